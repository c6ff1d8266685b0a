//! Profiles in the format of pprof: where the CPU is busy, and who holds memory.
//!
//! Nothing runs unless somebody asks: a CPU profile sets a timer and a handler of SIGPROF for as long as it lasts, and takes them back.
//! The crate `pprof` does that; its own messages would need a second prost, so they are written here.

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

/// Samples in a second of CPU time; no divisor of anything that a server does in turns.
const FREQUENCY: i32 = 99;

/// Libraries in which a thread must not be interrupted to look at its stack: their locks are taken by looking.
const NOT_INTERRUPTED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[error("Could not enable CPU profiling: {0}")]
pub struct ProfilingError(String);

/// A CPU profile that is being taken; it ends when it is dropped.
pub struct CpuProfile {
    guard: pprof::ProfilerGuard<'static>,
}

impl CpuProfile {
    /// Begins.
    ///
    /// # Errors
    /// Another one is being taken, or the system does not allow it.
    pub fn start() -> Result<Self, ProfilingError> {
        let builder = pprof::ProfilerGuardBuilder::default().frequency(FREQUENCY);
        let guard = builder.blocklist(&NOT_INTERRUPTED).build().map_err(|error| ProfilingError(error.to_string()))?;
        Ok(CpuProfile { guard })
    }

    /// What was seen so far, as a gzipped message. Reads the debug information of the program, which takes a while the first time.
    ///
    /// # Errors
    /// The samples cannot be read.
    pub fn finish(self, lasted: Duration) -> Result<Vec<u8>, ProfilingError> {
        let report = self.guard.report().build().map_err(|error| ProfilingError(error.to_string()))?;
        let period = 1_000_000_000 / i64::from(FREQUENCY);
        let mut profile = Writer::new(&[("samples", "count"), ("cpu", "nanoseconds")], ("cpu", "nanoseconds"), period);
        profile.message.duration_nanos = i64::try_from(lasted.as_nanos()).unwrap_or(i64::MAX);
        for (stack, count) in &report.data {
            let mut locations = Vec::new();
            // The innermost calls are those that look at the stack.
            for frame in stack.frames.iter().skip_while(|frame| frame.iter().any(looks_at_stacks)) {
                // Of functions that were put into each other there are several at one address, the innermost first.
                locations.push(profile.location(frame.iter().map(Place::of).collect()));
            }
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            profile.message.sample.push(Sample { location_id: locations, value: vec![count, count.saturating_mul(period)] });
        }
        Ok(profile.finish())
    }
}

/// Whether a function is of the crates that look at stacks; inlined ones have no path in their name, but a file.
fn looks_at_stacks(symbol: &pprof::Symbol) -> bool {
    let file = symbol.filename();
    symbol.name().contains("backtrace::") || file.contains("/backtrace-") || file.contains("/pprof-")
}

/// Bytes by who holds them, as a profile of memory in use.
pub fn memory_profile(held: &[(String, u64)], comment: &str) -> Vec<u8> {
    let mut profile = Writer::new(&[("inuse_space", "bytes")], ("space", "bytes"), 1);
    let comment = profile.text(comment);
    profile.message.comment.push(comment);
    for (name, bytes) in held {
        let location = profile.location(vec![Place { function: name.clone(), ..Place::default() }]);
        profile.message.sample.push(Sample { location_id: vec![location], value: vec![i64::try_from(*bytes).unwrap_or(i64::MAX)] });
    }
    profile.finish()
}

/// A line of a function.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Place {
    function: String,
    /// The function's name in the program. Where it is that for people, pprof takes parts of it for templates and leaves them out.
    symbol: String,
    file: String,
    line: u32,
}

impl Place {
    fn of(symbol: &pprof::Symbol) -> Self {
        let in_program = String::from_utf8_lossy(symbol.name.as_deref().unwrap_or_default()).into_owned();
        Place { function: symbol.name(), symbol: in_program, file: symbol.filename().into_owned(), line: symbol.lineno() }
    }
}

/// A profile under construction; texts, functions and locations are written once.
struct Writer {
    message: Profile,
    texts: HashMap<String, i64>,
    functions: HashMap<(String, String, String), u64>,
    locations: HashMap<Vec<Place>, u64>,
}

impl Writer {
    /// Of samples with values of these types and units.
    fn new(types: &[(&str, &str)], of_period: (&str, &str), period: i64) -> Self {
        let mut writer =
            Writer { message: Profile::default(), texts: HashMap::new(), functions: HashMap::new(), locations: HashMap::new() };
        // The first text must be empty.
        writer.text("");
        writer.message.sample_type = types.iter().map(|(kind, unit)| writer.value_type(kind, unit)).collect();
        writer.message.period_type = Some(writer.value_type(of_period.0, of_period.1));
        writer.message.period = period;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        writer.message.time_nanos = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        writer
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType { r#type: self.text(kind), unit: self.text(unit) }
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let number = self.message.string_table.len() as i64;
        self.message.string_table.push(text.to_string());
        self.texts.insert(text.to_string(), number);
        number
    }

    fn function(&mut self, place: &Place) -> u64 {
        let key = (place.function.clone(), place.symbol.clone(), place.file.clone());
        if let Some(known) = self.functions.get(&key) {
            return *known;
        }
        let id = self.message.function.len() as u64 + 1;
        let (name, system_name, filename) = (self.text(&place.function), self.text(&place.symbol), self.text(&place.file));
        self.message.function.push(Function { id, name, system_name, filename });
        self.functions.insert(key, id);
        id
    }

    fn location(&mut self, places: Vec<Place>) -> u64 {
        if let Some(known) = self.locations.get(&places) {
            return *known;
        }
        let id = self.message.location.len() as u64 + 1;
        let line = |place: &Place| Line { function_id: self.function(place), line: i64::from(place.line) };
        let line = places.iter().map(line).collect();
        self.message.location.push(Location { id, line });
        self.locations.insert(places, id);
        id
    }

    fn finish(self) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        let _ = encoder.write_all(&self.message.encode_to_vec());
        encoder.finish().unwrap_or_default()
    }
}

/// `perftools.profiles.Profile` (github.com/google/pprof, `proto/profile.proto`); members that are not written are left out.
#[derive(Clone, PartialEq, prost::Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn read(gzipped: &[u8]) -> Profile {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(gzipped).read_to_end(&mut bytes).expect("gzip");
        Profile::decode(bytes.as_slice()).expect("our own message")
    }

    #[test]
    fn holders_of_memory_are_functions() {
        let profile = read(&memory_profile(&[("heads".to_string(), 5), ("caches".to_string(), 7)], "estimates"));
        let text = |at: i64| profile.string_table[at as usize].as_str();
        assert_eq!((text(0), text(profile.comment[0]), text(profile.sample_type[0].r#type)), ("", "estimates", "inuse_space"));
        let named = |sample: &Sample| {
            let line = &profile.location[sample.location_id[0] as usize - 1].line[0];
            (text(profile.function[line.function_id as usize - 1].name).to_string(), sample.value[0])
        };
        assert_eq!(profile.sample.iter().map(named).collect::<Vec<_>>(), [("heads".to_string(), 5), ("caches".to_string(), 7)]);
    }

    #[test]
    fn the_same_place_is_written_once() {
        let mut writer = Writer::new(&[("a", "b")], ("a", "b"), 1);
        let place = |line| Place { function: "f".to_string(), line, ..Place::default() };
        let first = writer.location(vec![place(1)]);
        assert_eq!(writer.location(vec![place(1)]), first);
        assert_ne!(writer.location(vec![place(2)]), first);
        assert_eq!((writer.message.function.len(), writer.message.location.len()), (1, 2));
    }
}
