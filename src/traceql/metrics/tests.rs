//! Queries over spans as a whole.
