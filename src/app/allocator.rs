//! Keeping glibc's allocator from hoarding.
//!
//! glibc gives every thread an arena of its own, up to eight times the cores, and what a block's worth of columns leaves
//! behind in one arena serves no other. With two arenas the full load needs 250 MiB instead of 370, at the same CPU
//! (docs/decisions/0001-two-malloc-arenas.md). glibc reads the setting when a process starts, so the process starts
//! itself once more with it.
//!
//! Where an operator has set a limit, buffers from 256 KiB on are taken from the system one by one and given back at once:
//! a minute of overload with a limit of 256 MiB then needs 252 MiB instead of 340, at 8 % more CPU.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "MALLOC_ARENA_MAX";
const ARENAS: &str = "2";
/// glibc would raise the threshold to 32 MiB by itself, and keep what is below it.
const GIVING_BACK: [(&str, &str); 2] = [("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_TRIM_THRESHOLD_", "1048576")];

/// Replaces the process by itself with few arenas, and giving back what it can if there is a `memory_limit_bytes`, unless somebody has set the number, or the libc is another one.
/// Returns where it cannot; then memory is a little higher, and nothing else.
pub fn limit_arenas(memory_limit_bytes: Option<u64>) {
    if !cfg!(target_env = "gnu") || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut args = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    if memory_limit_bytes.is_some() {
        command.envs(GIVING_BACK);
    }
    // Only returns if the program could not be started.
    let _ = command.args(args).env(VARIABLE, ARENAS).exec();
}
