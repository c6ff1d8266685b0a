//! Integration tests: the real binary, asked over real sockets. The folders mirror the server.
//!
//! Every test starts its own server on free ports with its own data directory. A server that logs a warning or an error
//! that its test did not expect fails the test.

mod support;

mod receiver;

mod ingester;

mod compactor;

mod generator;

mod querier;

mod api;

mod app;

mod conformance;

mod seeds;
