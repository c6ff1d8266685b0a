//! What the system lets a process have.

use super::Finding;
use rustix::process::{Resource, getrlimit};

/// Connections, files of blocks and segments of the log together.
const ENOUGH_FILES: u64 = 4096;
/// Below this a server with a few senders and queries runs out.
const LEAST_FILES: u64 = 256;

/// Files and connections that may be open at once.
pub(super) fn open_files() -> Finding {
    judge(getrlimit(Resource::Nofile).current)
}

fn judge(limit: Option<u64>) -> Finding {
    const SUBJECT: &str = "open files";
    const FIX: &str = "raise it: `ulimit -n 65536`, LimitNOFILE=65536 in a unit of systemd, or --ulimit nofile=65536 of docker run";
    match limit {
        None => Finding::good(SUBJECT, "no limit"),
        Some(limit @ ENOUGH_FILES..) => Finding::good(SUBJECT, format!("{limit} at once")),
        Some(limit @ LEAST_FILES..) => {
            Finding::doubtful(SUBJECT, format!("{limit} at once may be too few where many senders keep connections; {FIX}"))
        }
        Some(limit) => Finding::bad(SUBJECT, format!("{limit} at once are too few; {FIX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    #[test]
    fn few_files_are_told() {
        for (limit, health) in [
            (None, Health::Good),
            (Some(4096), Health::Good),
            (Some(4095), Health::Doubtful),
            (Some(256), Health::Doubtful),
            (Some(255), Health::Bad),
        ] {
            assert_eq!(judge(limit).health, health, "{limit:?}");
        }
        assert!(judge(Some(64)).told.contains("ulimit -n"));
    }
}
