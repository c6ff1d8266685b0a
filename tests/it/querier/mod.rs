//! The same answer wherever the spans are: in the head, in blocks, or in both.

mod budget;
mod concurrency;
mod damage;
mod late_spans;
mod metrics;
mod order;
mod tags;
mod times;
