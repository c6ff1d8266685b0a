//! Command line, file and environment, put together.

use super::draft::Draft;
use super::env::{self, Lookup};
use super::flags::{Flags, Word};
use super::keys::ROOT;
use super::schema::{RemarkKind, Report, Walk};
use super::{Config, ConfigError, yaml};

/// What to do, and with which settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Tempo's own warnings ("spec/config.md §16"): logged at start; with any, `-config.verify` exits 1.
    pub warnings: Vec<String>,
    /// Keys that are accepted but do less than they say: logged at start; `-config.verify` does not mind them.
    pub notes: Vec<String>,
    /// What the process is to do.
    pub command: Command,
}

/// What the process is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server.
    Run,
    /// Run the server with data of its own making (`demo` before the flags).
    Demo,
    /// Look whether a start would work, and say what to change; exit 0 if so, else 1 (`doctor` before the flags).
    Doctor,
    /// Print the warnings; exit 0 without any, else 1 (`-config.verify`).
    Verify,
    /// Print the version on stdout, exit 0 (`-version`).
    Version,
    /// Print [`usage`](super::usage), exit 0 (`-help`).
    Help,
    /// Ask a running server for its readiness; exit 0 on 200, else 1 (`-health`).
    Health {
        /// What to ask, default `http://localhost:3200/ready` (`-health.url`).
        url: String,
    },
}

/// Reads the command line (without the program's name), and the file that it names. Defaults < file < command line.
///
/// `env` looks up variables for `-config.expand-env`.
///
/// # Errors
/// See [`ConfigError`]: its text goes to stderr, and it knows its exit code.
pub fn load(args: &[String], env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    let flags = Flags::parse(args)?;
    if let Some(command) = command_without_file(&flags) {
        return Ok(Loaded { config: Config::default(), warnings: Vec::new(), notes: Vec::new(), command });
    }
    let mut draft = Draft::default();
    let mut report = Report::default();
    if let Some(path) = &flags.config_file {
        read_file(path, flags.expand_env.then_some(env), &mut draft, &mut report)?;
        draft.settle(&mut report);
    }
    draft.config.overrides.expand_env = flags.expand_env;
    flags.apply(&mut draft, &mut report)?;
    draft.settle(&mut report);
    let config = draft.finish(flags.config_file.is_some(), &mut report)?;
    let command = match &flags {
        Flags { version: true, .. } => Command::Version,
        Flags { verify: true, .. } => Command::Verify,
        Flags { word: Some(Word::Demo), .. } => Command::Demo,
        Flags { word: Some(Word::Doctor), .. } => Command::Doctor,
        _ => Command::Run,
    };
    let (warnings, notes) = (report.lines(RemarkKind::Warning), report.lines(RemarkKind::Note));
    Ok(Loaded { config, warnings, notes, command })
}

/// Commands that need no settings, and must work even beside a file that is wrong.
fn command_without_file(flags: &Flags) -> Option<Command> {
    if flags.help {
        return Some(Command::Help);
    }
    flags.health.then(|| Command::Health { url: flags.health_url.clone() })
}

/// Puts a file into the draft. `env` is there if variables are to be expanded.
fn read_file(path: &str, env: Option<Lookup<'_>>, draft: &mut Draft, report: &mut Report) -> Result<(), ConfigError> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    let text = match env {
        None => text,
        Some(env) => match env::expand(&text, env) {
            Ok(expanded) => expanded,
            Err(message) => return Err(ConfigError::Expand { path, message }),
        },
    };
    let document = match yaml::parse(&text) {
        Ok(document) => document,
        Err(problem) => {
            return Err(ConfigError::Syntax { path, line: problem.line, message: problem.message });
        }
    };
    report.problems = document.problems;
    Walk::new(&ROOT, report).section(draft, &ROOT, &document.root, "");
    if report.problems.is_empty() {
        return Ok(());
    }
    let mut problems = std::mem::take(&mut report.problems);
    // The walk goes in the order of the table; a reader goes in the order of the file.
    problems.sort();
    problems.dedup();
    Err(ConfigError::Keys { path, problems })
}
