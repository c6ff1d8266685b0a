//! Why a start is refused.

use std::io;

use super::yaml::Problem;

/// Why a command line or a configuration file is refused. The text is what belongs on stderr ("spec/config.md §3", "§15.4").
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A wrong command line: print the text and then [`usage`](super::usage), exit 2.
    #[error("{0}")]
    Flag(String),
    /// The file cannot be read, or is not UTF-8.
    #[error("failed parsing config: failed to read configFile {path}: {source}")]
    Read {
        /// The file as given.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// `-config.expand-env` met a form that it does not know.
    #[error("failed parsing config: failed to expand env vars from configFile {path}: {message}")]
    Expand {
        /// The file as given.
        path: String,
        /// The line and what is wrong there.
        message: String,
    },
    /// The file is no YAML.
    #[error("failed parsing config: failed to parse configFile {path}: yaml: line {line}: {message}")]
    Syntax {
        /// The file as given.
        path: String,
        /// Line, counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// The file is YAML, but names unknown keys, keys twice, or values of a wrong kind: one line for each.
    #[error("failed parsing config: failed to parse configFile {path}: yaml: unmarshal errors:{}", listed(problems))]
    Keys {
        /// The file as given.
        path: String,
        /// What is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
    /// Every value alone is well formed, but the server cannot run with them.
    #[error("invalid configuration: {0}")]
    Invalid(String),
}

impl ConfigError {
    /// The exit code of a process that stops for this: 2 for the command line, else 1 ("spec/config.md §15.4").
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Flag(_) => 2,
            _ => 1,
        }
    }
}

/// Each problem on a line of its own, indented as Go's YAML library does.
fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  line {}: {}", problem.line, problem.message)).collect()
}
