//! Keeping glibc's allocator from hoarding.
//!
//! glibc gives every thread an arena of its own, up to eight times the cores, and what a block's worth of columns leaves
//! behind in one arena serves no other. With two arenas the full load needs 250 MiB instead of 370, at the same CPU
//! (docs/decisions/0001-two-malloc-arenas.md). glibc reads the setting when a process starts, so the process starts
//! itself once more with it.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "MALLOC_ARENA_MAX";
const ARENAS: &str = "2";

/// Replaces the process by itself with few arenas, unless somebody has set the number, or the libc is another one.
/// Returns where it cannot; then memory is a little higher, and nothing else.
pub fn limit_arenas() {
    if !cfg!(target_env = "gnu") || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut args = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    // Only returns if the program could not be started.
    let _ = command.args(args).env(VARIABLE, ARENAS).exec();
}
