//! The same answer wherever the spans are: in the head, in blocks, or in both.

mod budget;
mod concurrency;
mod damage;
mod damaged_files;
mod late_spans;
mod metrics;
mod order;
mod tags;
mod times;
mod unreadable;
