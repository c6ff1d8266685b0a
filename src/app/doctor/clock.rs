//! Whether the clocks are right: spans are placed by time, and buckets refuse requests from another time.

use super::Finding;
use std::time::{Duration, Instant, SystemTime};

/// When this was written (1 January 2026): a clock that shows an earlier time was never set.
const WRITTEN: Duration = Duration::from_secs(1_767_225_600);
/// The header `Date` has whole seconds, and the answer takes its time.
const UNSEEN: Duration = Duration::from_secs(5);
/// S3 refuses requests from 15 minutes on; long before, queries for the last minutes look at the wrong ones.
const TOLERABLE: Duration = Duration::from_secs(60);
const WATCHED: Duration = Duration::from_millis(200);
/// A busy machine may hold the process up between two readings, but hardly for longer.
const JUMP: Duration = Duration::from_millis(500);

const NTP: &str = "set the clock of this machine, with NTP (chrony, systemd-timesyncd)";

/// This machine's clock: set at all, and moving at the pace of the monotonic one.
pub(super) async fn examine() -> Finding {
    let (wall, monotonic) = (SystemTime::now(), Instant::now());
    tokio::time::sleep(WATCHED).await;
    let (wall_after, passed) = (SystemTime::now(), monotonic.elapsed());
    judge(wall, wall_after, passed)
}

fn judge(wall: SystemTime, wall_after: SystemTime, passed: Duration) -> Finding {
    const SUBJECT: &str = "clock";
    let shown = httpdate::fmt_http_date(wall_after.max(SystemTime::UNIX_EPOCH));
    if wall_after < SystemTime::UNIX_EPOCH + WRITTEN {
        return Finding::bad(SUBJECT, format!("it shows {shown}, which is past: {NTP}"));
    }
    if distance(wall + passed, wall_after) > JUMP {
        return Finding::doubtful(SUBJECT, format!("it jumped while it was watched, to {shown}: something sets it hard; let NTP slew it"));
    }
    Finding::good(SUBJECT, format!("{shown}, and steady"))
}

/// The clock of a bucket beside that of this machine.
pub(super) fn compare(here: SystemTime, there: Option<SystemTime>) -> Finding {
    const SUBJECT: &str = "clock of the bucket";
    let Some(there) = there else { return Finding::doubtful(SUBJECT, "its answers have no Date, so that it cannot be compared") };
    let difference = distance(here, there);
    let shown = httpdate::fmt_http_date;
    let both = format!("here it is {}, there it is {}", shown(here), shown(there));
    match () {
        () if difference <= UNSEEN => Finding::good(SUBJECT, "the same as here"),
        () if difference <= TOLERABLE => Finding::doubtful(SUBJECT, format!("{both}: {NTP}")),
        () => Finding::bad(SUBJECT, format!("{both}: {NTP}")),
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn clocks_that_differ_are_shown() {
        let here = SystemTime::UNIX_EPOCH + WRITTEN;
        for (there, health) in [
            (Some(here - SECOND), Health::Good),
            (Some(here + 30 * SECOND), Health::Doubtful),
            (Some(here - 30 * SECOND), Health::Doubtful),
            (Some(here + 3600 * SECOND), Health::Bad),
            (None, Health::Doubtful),
        ] {
            assert_eq!(compare(here, there).health, health, "{there:?}");
        }
        let told = compare(here, Some(here + 3600 * SECOND)).told;
        assert!(told.contains("here it is Thu, 01 Jan 2026 00:00:00 GMT, there it is Thu, 01 Jan 2026 01:00:00 GMT"), "{told}");
    }

    #[test]
    fn a_clock_that_was_never_set_or_jumps_is_told() {
        let set = SystemTime::UNIX_EPOCH + WRITTEN;
        assert_eq!(judge(set, set + SECOND, SECOND).health, Health::Good);
        assert_eq!(judge(set, set + 3 * SECOND, SECOND).health, Health::Doubtful);
        assert_eq!(judge(set + 9 * SECOND, set, SECOND).health, Health::Doubtful);
        assert_eq!(judge(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + SECOND, SECOND).health, Health::Bad);
    }
}
