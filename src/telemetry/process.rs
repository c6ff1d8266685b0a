//! What the system says of this process, under the names that every Prometheus client library uses. Linux only; elsewhere there is
//! nothing to read, and nothing is told.

use super::registry::{Behaviour, Reading};

/// Ticks of `/proc/*/stat` in a second; the kernel shows a hundred to programs, whatever it uses itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// Position of fields of `/proc/self/stat` behind the name of the program, counted from 0.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const START_TICKS: usize = 19;

/// All of it at this moment; what cannot be read is left out.
pub fn readings() -> Vec<Reading> {
    let file = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
    let (stat, status, system) = (file("/proc/self/stat"), file("/proc/self/status"), file("/proc/stat"));
    let open_fds = std::fs::read_dir("/proc/self/fd").map(|entries| entries.count() as f64).ok();
    let gauge = Behaviour::Gauge;
    let all = [
        ("process_cpu_seconds", "Time of all cores that was used", Behaviour::Counter, cpu_seconds(&stat)),
        ("process_resident_memory_bytes", "Memory in use", gauge, kib(&status, "VmRSS:")),
        ("process_virtual_memory_bytes", "Address space in use", gauge, kib(&status, "VmSize:")),
        ("process_threads", "Threads", gauge, number_after(&status, "Threads:")),
        ("process_open_fds", "Open files and connections", gauge, open_fds),
        ("process_start_time_seconds", "Start of the process, Unix seconds", gauge, start_seconds(&stat, &system)),
    ];
    let reading = |(name, help, behaviour, value): (_, _, _, Option<f64>)| {
        Some(Reading { name, help, behaviour, values: vec![(Vec::new(), value?)] })
    };
    all.into_iter().filter_map(reading).collect()
}

/// Bytes of memory in use, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    kib(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:").map(|bytes| bytes as u64)
}

/// A field of `/proc/self/stat`. The program's name before them may have blanks and brackets of its own.
fn field(stat: &str, at: usize) -> Option<f64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(at)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, USER_TICKS)? + field(stat, SYSTEM_TICKS)?) / TICKS_PER_SECOND)
}

fn start_seconds(stat: &str, system: &str) -> Option<f64> {
    Some(number_after(system, "btime")? + field(stat, START_TICKS)? / TICKS_PER_SECOND)
}

fn number_after(text: &str, word: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kib(status: &str, word: &str) -> Option<f64> {
    Some(number_after(status, word)? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let stat = "4242 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20 0 9 0 12345 1000 2000";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(start_seconds(stat, "cpu 1 2\nbtime 1000\n"), Some(1123.45));
        assert_eq!(kib("VmPeak:\t9 kB\nVmRSS:\t   12 kB\n", "VmRSS:"), Some(12.0 * 1024.0));
        for nothing in ["", "4242 (x", "4242 (x) S 1"] {
            assert_eq!((cpu_seconds(nothing), start_seconds(nothing, "btime x")), (None, None), "{nothing}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn all_of_it_is_there() {
        assert_eq!(readings().len(), 6);
    }
}
