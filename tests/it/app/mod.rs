//! Starting and stopping.

mod config;
mod demo;
mod shutdown;
