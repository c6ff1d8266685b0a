//! Starting and stopping.

mod config;
mod demo;
mod doctor;
mod shutdown;
