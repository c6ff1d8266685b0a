//! The forms of answers.

mod forms;
mod page;
mod streaming;
