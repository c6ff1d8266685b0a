//! One data directory, and the servers that die on it.

use crate::bucket::S3;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::support::server::{DataDir, Process, Server};
use crate::support::until;
use crate::tally::Tally;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// How long a failpoint is waited for before the process is killed at this moment.
const PATIENCE: Duration = Duration::from_secs(4);

/// What a death leaves behind, and the next start says of it.
const LEFT_BEHIND: [&str; 2] = ["unfinished record", "the log is damaged and was cut off there"];

/// Where the blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Local,
    Bucket,
}

impl Place {
    /// Whether a process with its blocks there comes by a failpoint. Retention has a scenario of its own.
    pub fn has(self, name: &str) -> bool {
        match self {
            Place::Local => !name.starts_with("upload.") && !name.starts_with("retention."),
            Place::Bucket => name.starts_with("upload.") || name.starts_with("compact.") || name == "delete.meta",
        }
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// kill -9 so long after the load began.
    After { micros: u64 },
    /// When it comes by a place for the n-th time.
    At { name: &'static str, times: u64 },
}

impl Death {
    fn variable(self) -> Option<String> {
        match self {
            Death::After { .. } => None,
            Death::At { name, times } => Some(format!("{name}:{times}")),
        }
    }
}

/// Servers on one data directory, one after the other.
pub struct Campaign {
    data: DataDir,
    config: String,
    /// Serves as long as the campaign lasts.
    _bucket: Option<S3>,
    ledger: Ledger,
    seed: u64,
}

impl Campaign {
    pub fn new(place: Place, seed: u64) -> Self {
        let data = DataDir::new();
        let bucket = (place == Place::Bucket).then(S3::start);
        let config = bucket.as_ref().map_or_else(|| data.config(), |bucket| bucket.config(&data));
        let config = config.replace("    wal:\n", "    wal:\n      segment_bytes: 65536\n");
        let config = format!(
            "{config}compactor:\n  compaction:\n    compaction_cycle: 150ms\nlive_store:\n  max_block_duration: 300ms\n  \
             max_trace_idle: 50ms\n  flush_check_period: 40ms\n"
        );
        Campaign { data, config, _bucket: bucket, ledger: Ledger::default(), seed }
    }

    /// Each death, with a check after each start; at the end everything that is open is sent again, and nothing is missing.
    pub fn run(mut self, deaths: &[Death], tally: &mut Tally) {
        for (number, death) in deaths.iter().enumerate() {
            self.round(number as u64, *death, tally);
        }
        let server = self.start(None).expect("it has no reason to die");
        self.ledger.check(&server);
        self.ledger.send_again(&server);
        self.ledger.check(&server);
        server.flush();
        self.ledger.check(&server);
        tally.note_check(self.ledger.num_acknowledged());
        assert!(server.terminate().success());
    }

    fn round(&mut self, number: u64, death: Death, tally: &mut Tally) {
        let Some(server) = self.start(death.variable().as_deref()) else { return tally.note_death(death, true) };
        // A failpoint may be reached before the load begins: then the next start is checked.
        let checked = catch_unwind(AssertUnwindSafe(|| self.ledger.check(&server)));
        match checked {
            Ok(()) => tally.note_check(self.ledger.num_acknowledged()),
            Err(_) if is_gone(&server) => return tally.note_death(death, true),
            Err(panic) => resume_unwind(panic),
        }
        Load::new(&server, self.seed << 16 | number).run(&mut self.ledger, || match death {
            Death::After { micros } => std::thread::sleep(Duration::from_micros(micros)),
            Death::At { .. } => {
                let began = Instant::now();
                while !server.has_ended() && began.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        let was_reached = matches!(death, Death::At { .. }) && died_by_itself(&server.process);
        tally.note_death(death, was_reached);
    }

    /// A server that is ready, unless it died before.
    fn start(&self, failpoint: Option<&str>) -> Option<Server> {
        let variables: Vec<(&str, &str)> = failpoint.map(|failpoint| ("CONMOTO_FAILPOINT", failpoint)).into_iter().collect();
        let process = self.data.spawn_with("conmoto", &self.config, &[], &variables);
        match Server::of(&self.data, process) {
            Ok(mut server) => {
                LEFT_BEHIND.iter().for_each(|text| server.expect_log(text));
                Some(server)
            }
            Err(process) => {
                assert!(failpoint.is_some() && died_by_itself(&process), "the server ended at its start:\n{}", process.log());
                None
            }
        }
    }
}

/// The signal of a process that aborts.
const SIGABRT: i32 = 6;

/// Whether it aborted, rather than being killed from outside or ending in order.
pub fn died_by_itself(process: &Process) -> bool {
    process.ended().is_some_and(|status| status.signal() == Some(SIGABRT))
}

/// Whether the process ends about now: a connection breaks a moment before.
fn is_gone(server: &Server) -> bool {
    catch_unwind(AssertUnwindSafe(|| until("end of the process", || server.has_ended().then_some(())))).is_ok()
}
