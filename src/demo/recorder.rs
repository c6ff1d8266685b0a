//! One trace while it happens.
//!
//! The recorder has a clock of its own that only [`Recorder::spend`] and [`Recorder::wait`] move, and a stack of open spans: what is opened
//! becomes a child of the innermost one. So a child is inside its parent by construction. Times are nanoseconds since
//! the visit began, until [`Visit::ending_at`] turns them into moments.

use super::attributes::text;
use super::rng::Rng;
use super::services::{Origin, Service};
use crate::model::UnixNanos;
use crate::proto::otlp::{Event, KeyValue, Link, Span, SpanKind, Status, StatusCode};
use std::time::Duration;

/// A span and who sent it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// The copy of the service.
    pub(super) origin: Origin,
    /// The span.
    pub(super) span: Span,
}

/// Everything that one customer's request caused: one trace or, behind a queue, several.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// All spans, with times that count from the beginning of the visit.
    pub(super) spans: Vec<Recorded>,
}

impl Visit {
    /// The spans with real times, so that the last of them ends at `end`.
    pub(super) fn ending_at(mut self, end: UnixNanos) -> Vec<Recorded> {
        let length = self.spans.iter().map(|recorded| recorded.span.end_time_unix_nano).max().unwrap_or(0);
        let began = end.0.saturating_sub(length);
        for Recorded { span, .. } in &mut self.spans {
            span.start_time_unix_nano += began;
            span.end_time_unix_nano += began;
            for event in &mut span.events {
                event.time_unix_nano += began;
            }
        }
        self.spans
    }
}

/// What a link points at.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanRef {
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

/// An exception, as a runtime names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// Its class.
    pub(super) class: &'static str,
    /// What it says.
    pub(super) message: &'static str,
    /// Where it was thrown.
    pub(super) stacktrace: &'static str,
}

/// One trace while it happens.
pub(super) struct Recorder<'a> {
    rng: &'a mut Rng,
    trace_id: [u8; 16],
    clock: Duration,
    /// The first span is the root, and always there.
    spans: Vec<Recorded>,
    /// Indexes of the open spans, the innermost last; the root is left out, it stays open until the end.
    open: Vec<usize>,
}

impl<'a> Recorder<'a> {
    /// Begins a trace with its root, `at` after the beginning of the visit.
    pub(super) fn begin(rng: &'a mut Rng, at: Duration, service: Service, kind: SpanKind, name: &str) -> Self {
        let trace_id = rng.trace_id();
        let pod = rng.below(service.num_pods());
        let mut recorder = Recorder { rng, trace_id, clock: at, spans: Vec::new(), open: Vec::new() };
        let span = recorder.new_span(kind, name, Vec::new());
        recorder.spans.push(Recorded { origin: Origin { service, pod }, span });
        recorder
    }

    /// Ends the root, and with it the trace.
    pub(super) fn finish(mut self) -> Vec<Recorded> {
        debug_assert!(self.open.is_empty(), "every call closes what it opens");
        self.innermost().span.end_time_unix_nano = nanos(self.clock);
        self.spans
    }

    /// Opens a span inside the innermost open one. A service that stays the same stays on the same pod.
    pub(super) fn open(&mut self, service: Service, kind: SpanKind, name: &str) {
        let Recorded { origin, span } = self.innermost();
        let (caller, parent_span_id) = (*origin, span.span_id.clone());
        let pod = if caller.service == service { caller.pod } else { self.rng.below(service.num_pods()) };
        let span = self.new_span(kind, name, parent_span_id);
        self.open.push(self.spans.len());
        self.spans.push(Recorded { origin: Origin { service, pod }, span });
    }

    /// Ends the innermost open span.
    pub(super) fn close(&mut self) {
        self.innermost().span.end_time_unix_nano = nanos(self.clock);
        self.open.pop();
    }

    /// Lets about `median` pass.
    pub(super) fn spend(&mut self, median: Duration) {
        self.clock += self.rng.around(median);
    }

    /// Lets a time limit pass, which is kept to the nanosecond.
    pub(super) fn wait(&mut self, limit: Duration) {
        self.clock += limit;
    }

    /// Two things that begin at the same moment; goes on when both have ended.
    pub(super) fn at_once<T, U>(&mut self, first: impl FnOnce(&mut Self) -> T, second: impl FnOnce(&mut Self) -> U) -> (T, U) {
        let began = self.clock;
        let of_first = first(self);
        let first_ended = std::mem::replace(&mut self.clock, began);
        let of_second = second(self);
        self.clock = self.clock.max(first_ended);
        (of_first, of_second)
    }

    /// Adds attributes to the innermost open span.
    pub(super) fn note(&mut self, attributes: impl IntoIterator<Item = KeyValue>) {
        self.innermost().span.attributes.extend(attributes);
    }

    /// Adds an event to the innermost open span.
    pub(super) fn event(&mut self, name: &str, attributes: Vec<KeyValue>) {
        let time_unix_nano = nanos(self.clock);
        self.innermost().span.events.push(Event { time_unix_nano, name: name.to_owned(), attributes, ..Event::default() });
    }

    /// Marks the innermost open span as failed; `kind` is what `error.type` says. Of several failures the first, which is
    /// the cause, stays.
    pub(super) fn fail(&mut self, kind: &str, message: &str) {
        if self.innermost().span.status.is_some() {
            return;
        }
        self.innermost().span.status = Some(Status { code: StatusCode::Error as i32, message: message.to_owned() });
        self.note([text("error.type", kind)]);
    }

    /// Throws an exception in the innermost open span, which fails with it.
    pub(super) fn throw(&mut self, failure: Failure) {
        let attributes = vec![
            text("exception.type", failure.class),
            text("exception.message", failure.message),
            text("exception.stacktrace", format!("{}: {}\n{}", failure.class, failure.message, failure.stacktrace)),
        ];
        self.event("exception", attributes);
        self.fail(failure.class, failure.message);
    }

    /// Links the innermost open span to another trace's.
    pub(super) fn link(&mut self, target: SpanRef) {
        let link = Link { trace_id: target.trace_id.to_vec(), span_id: target.span_id.to_vec(), ..Link::default() };
        self.innermost().span.links.push(link);
    }

    /// The innermost open span, for a link.
    pub(super) fn here(&mut self) -> SpanRef {
        let trace_id = self.trace_id;
        let mut span_id = [0; 8];
        span_id.copy_from_slice(&self.innermost().span.span_id);
        SpanRef { trace_id, span_id }
    }

    /// The service of the innermost open span.
    pub(super) fn service(&mut self) -> Service {
        self.innermost().origin.service
    }

    /// Time since the beginning of the visit.
    pub(super) fn clock(&self) -> Duration {
        self.clock
    }

    /// For what happens by chance on the way.
    pub(super) fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    fn innermost(&mut self) -> &mut Recorded {
        let root = 0;
        &mut self.spans[self.open.last().copied().unwrap_or(root)]
    }

    fn new_span(&mut self, kind: SpanKind, name: &str, parent_span_id: Vec<u8>) -> Span {
        Span {
            trace_id: self.trace_id.to_vec(),
            span_id: self.rng.span_id().to_vec(),
            parent_span_id,
            name: name.to_owned(),
            kind: kind as i32,
            start_time_unix_nano: nanos(self.clock),
            ..Span::default()
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
