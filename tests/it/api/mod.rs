//! The forms of answers.

mod forms;
mod streaming;
