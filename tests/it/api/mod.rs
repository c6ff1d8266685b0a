//! The forms of answers, who may ask what, and the clients that ask.

mod budgets;
mod clients;
mod compat;
mod forms;
mod limits;
mod page;
mod profiles;
mod self_tracing;
mod senders;
mod streaming;
mod strict;
mod tenants;
mod tokens;
mod user_overrides;
