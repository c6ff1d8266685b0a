//! The write-ahead log: what is acknowledged survives.
//!
//! One log per process, for all tenants. An ingested request becomes one record; its future resolves when an fdatasync
//! covers it. The log is read only at start, and a part of it is deleted as soon as all its spans are in durable blocks.
//!
//! ```text
//! caller:  Frame::encode (snappy, CRC) ─ append ─┐                       ┌─ Receipt { sequence, segment }
//! thread:                          bounded queue └─ round: writev, fdatasync, pin ─┘       one thread, all tenants
//! flush:   block's data files ─ ledger (fsync) ─ block's meta.json ─ release(pins) ─ segments, then ledgers deleted
//! start:   ledgers without block deleted ─ torn tail cut ─ new segment opened, requests served ─ old segments replayed meanwhile
//! ```
//!
//! # Ordering rules
//! 1. A record is acknowledged after the fdatasync that covers it, and pinned before it is acknowledged.
//! 2. A segment exists durably, with its header and its name, before a record goes into it; its predecessor is wholly
//!    durable before that. So only the last segment can be torn.
//! 3. A ledger is durable before the block that it speaks of exists. If the block never comes to exist, the ledger is void.
//!    So at any moment of a crash every span is in the log, in a block, or in both with a ledger that says so.
//! 4. Pins are released after the block exists; a segment's deletion is durable before a ledger about it goes.
//!    A segment that is still being replayed is not deleted, and no ledger is before all are.
//! 5. A block's `meta.json` is deleted after its ledger has been settled, if it has one still: the ledger holds from then on without
//!    the block. So what retention or a merge has deleted does not come back from segments that other heads pin. A block that a
//!    start finds beside its ledger settles it, too: later it may be merged twice, and nothing would name it any more. Without the
//!    mark, a ledger whose block does not exist would mean either that the block never came to exist, and its spans must
//!    come back, or that it was deleted, and they must not.
//! 6. Sequence and segment numbers are never used again, not those of refused records, nor those of deleted segments as
//!    long as anything still mentions them.
//!
//! # Torn tail
//! Replay cuts the last segment where its bad end begins: what follows was never acknowledged. Zeros count as bad. Bad
//! contents behind a good header are skipped if a good record follows; they are damage, reported and kept, as is any bad
//! record in an earlier segment. See `replay.rs` and `tail.rs`.
//!
//! # Serving while the log is replayed
//! New records go to new segments with higher numbers, so replay and requests never touch the same file, and a crash in the middle
//! of replay leaves what a crash after it leaves: segments, each whole but the last, and ledgers. A flush may take replayed and
//! new spans together; its ledger names the records of both. A record is in memory whole or not at all when a flush looks, and
//! it was pinned before. Answers say that they are partial until replay has ended.
//!
//! # Failures
//! A round that cannot be written or synced is refused as a whole, retryably, and removed from the file; see `committer.rs`.
//! The one exception: if the disk refuses the write or sync *and* the removal, refused records may come back at replay
//! (spans twice at worst, never lost).
//!
//! # Cancellation and shutdown
//! A dropped `append` future promises nothing and leaks nothing. `Wal::close` writes what is queued.
//!
//! # Rejected
//! - *A log per tenant*: as many fdatasyncs as tenants, and thousands of small files.
//! - *An async writer*: tokio's file IO is a thread pool anyway; one thread gives group commit without a lock.
//! - *Preallocated or recycled segments*: 0.12 instead of 0.3 ms per fdatasync here, but stale records behind the tail
//!   must then be told from torn ones. Worth another look on slow disks.
//! - *`O_DSYNC`, `O_DIRECT`*: alignment rules, and no gain for rounds of hundreds of KiB.
//! - *Replaying before requests are served*: 1 GB of log takes longer than senders like to wait.
//! - *Settling each ledger when its block is there*: an fdatasync of the directory a flush, for a mark that hardly any ledger lives
//!   to need.
//! - *Rewriting a segment to drop flushed spans*: ledgers say the same in a few KiB.
//! - *Guards that release pins on drop*: a panic or a cancelled task would delete acknowledged spans.
//! - *Looking for the next header after a bad one*: spans may hold bytes that look like a record, of another tenant even. The
//!   bytes are kept for people.
//! - *A count-bounded tokio channel*: 64 MiB records would make it unbounded in bytes; a semaphore counts bytes instead.

mod committer;
mod error;
mod files;
mod frame;
mod instruments;
mod ledger;
mod prepare;
mod registry;
mod replay;
mod segment;
#[cfg(test)]
mod simulation;
mod tail;
mod writer;

pub use error::WalError;
pub use frame::{Damage, Frame, MAX_RAW_BYTES};
pub use instruments::{Counter, WalInstruments};
pub use ledger::{Ledger, Standing};
pub use prepare::prepare;
pub use registry::{HeldLedger, HeldSegment};
pub use replay::{Applied, BoxError, Cut, DamagedSegment, Replay, ReplayError, ReplayReport, ReplayedRecord, SkipFilter};
pub use writer::{Options, Receipt, Start, SyncMode, Wal};
