//! Logs to stderr, as logfmt or JSON (spec/config.md §15.3).

use super::spans::{SpanLayer, is_own};
use std::borrow::Cow;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

/// Starts logging for the process, and taking its own spans if somebody exports them; a second call has no effect. `RUST_LOG`
/// overrides the level.
pub fn start(level: &str, as_json: bool, spans: Option<SpanLayer>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let format = if as_json { LineFormat::Json } else { LineFormat::Logfmt };
    let lines = tracing_subscriber::fmt::layer().event_format(format).with_writer(std::io::stderr).with_filter(filter);
    let spans = spans.map(|layer| layer.with_filter(filter_fn(is_own)));
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
}

/// One line an event.
enum LineFormat {
    /// `level=info ts=… target=… msg="…" key=value`.
    Logfmt,
    /// The same members as an object.
    Json,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut pairs = vec![
            (Cow::Borrowed("level"), level_word(*event.metadata().level()).to_string()),
            (Cow::Borrowed("ts"), rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())),
            (Cow::Borrowed("target"), event.metadata().target().to_string()),
            (Cow::Borrowed("msg"), fields.message),
        ];
        pairs.extend(fields.others);
        match self {
            LineFormat::Logfmt => write_logfmt(&mut writer, &pairs),
            LineFormat::Json => write_json(&mut writer, &pairs),
        }
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Members of a line whose names are known only when it is written, as the value of a field `pairs`.
pub fn pairs(members: &[(String, String)]) -> String {
    // Texts are always representable as JSON.
    serde_json::to_string(members).unwrap_or_default()
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(Cow<'static, str>, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_string(),
            "pairs" => {
                let members: Vec<(String, String)> = serde_json::from_str(value).unwrap_or_default();
                self.others.extend(members.into_iter().map(|(name, value)| (Cow::Owned(name), value)));
            }
            name => self.others.push((Cow::Borrowed(name), value.to_string())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn write_logfmt(out: &mut Writer<'_>, pairs: &[(Cow<'_, str>, String)]) -> std::fmt::Result {
    for (at, (key, value)) in pairs.iter().enumerate() {
        let gap = if at == 0 { "" } else { " " };
        let is_bare = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '=');
        match is_bare {
            true => write!(out, "{gap}{key}={value}")?,
            false => write!(out, "{gap}{key}={value:?}")?,
        }
    }
    writeln!(out)
}

fn write_json(out: &mut Writer<'_>, pairs: &[(Cow<'_, str>, String)]) -> std::fmt::Result {
    let object: serde_json::Map<String, serde_json::Value> =
        pairs.iter().map(|(key, value)| (key.to_string(), serde_json::Value::from(value.as_str()))).collect();
    writeln!(out, "{}", serde_json::Value::Object(object))
}

/// UTC with nanoseconds, by the civil-from-days rule of the proleptic Gregorian calendar.
pub fn rfc3339(since_epoch: Duration) -> String {
    let (seconds, nanos) = (since_epoch.as_secs(), since_epoch.subsec_nanos());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nanos:09}Z", rest / 3_600, rest / 60 % 60, rest % 60);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_as_utc() {
        assert_eq!(rfc3339(Duration::ZERO), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(Duration::from_nanos(1_709_210_096_000_000_007)), "2024-02-29T12:34:56.000000007Z");
        assert_eq!(rfc3339(Duration::from_secs(4_102_444_799)), "2099-12-31T23:59:59.000000000Z");
    }
}
