//! The samples of the last hours, for the query API.
//!
//! All series of a tenant are collected at the same moments, the *ticks*, whose times are kept once ([`Timeline`]). A series
//! keeps what changed from tick to tick ([`Log`]): one that rests costs nothing, a counter two to four bytes a tick, a
//! histogram about two for each bucket that changed and six for its sum. Ticks are grouped into *epochs*; each begins with
//! whole values, so that the oldest can be dropped.

use crate::columns::wire::{put_varint, split_varint};
use std::collections::VecDeque;
use std::sync::Arc;

/// Ticks of an epoch: half an hour at the default interval.
const EPOCH_TICKS: u64 = 120;

/// Ticks that are kept: six hours at the default interval.
const MAX_TICKS: usize = 1440;

/// Sums are kept in nanoseconds.
const NANOS: f64 = 1e9;

/// Floats name every whole number up to this one.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The times of ticks.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    first: u64,
    times: VecDeque<i64>,
}

impl Timeline {
    /// Adds a tick, whose number is returned.
    pub(super) fn push(&mut self, millis: i64) -> u64 {
        self.times.push_back(millis);
        self.first + self.times.len() as u64 - 1
    }

    /// The time of a tick that is kept, Unix milliseconds.
    pub(super) fn time(&self, tick: u64) -> Option<i64> {
        self.times.get(usize::try_from(tick.checked_sub(self.first)?).ok()?).copied()
    }

    /// Number of the newest tick.
    pub(super) fn last(&self) -> Option<u64> {
        (self.first + self.times.len() as u64).checked_sub(1).filter(|_| !self.times.is_empty())
    }

    /// The ticks whose time is within `start..=end`.
    pub(super) fn within(&self, start: i64, end: i64) -> std::ops::Range<u64> {
        let at = |position: usize| self.first + position as u64;
        at(self.times.partition_point(|time| *time < start))..at(self.times.partition_point(|time| *time <= end))
    }

    /// Whether there are more ticks than are to be kept.
    pub(super) fn is_full(&self) -> bool {
        self.times.len() > MAX_TICKS
    }

    /// Drops the oldest epoch; false if there is none. Logs are to be [trimmed](Log::trim) to what is left.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let end = (self.first / EPOCH_TICKS + 1) * EPOCH_TICKS;
        let num = usize::try_from(end - self.first).unwrap_or(usize::MAX).min(self.times.len());
        self.times.drain(..num);
        // Also of an epoch that is not over, so that logs have nothing left of it.
        self.first = if num > 0 { end } else { self.first };
        num > 0
    }

    /// The oldest tick that is kept.
    pub(super) fn first(&self) -> u64 {
        self.first
    }
}

/// The values of one series over time. Of a histogram: the count of each bucket alone, then the sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Shared with queries that read them.
    epochs: VecDeque<Arc<Epoch>>,
    /// What a reader has read when it is at the end.
    last: Vec<f64>,
    last_tick: u64,
    /// The tick after its last one, of a series that has ended.
    pub(super) ended: Option<u64>,
    /// When it counted as 0, Unix milliseconds, and the tick after that.
    pub(super) zero: Option<(i64, u64)>,
}

#[derive(Clone, Debug)]
struct Epoch {
    first_tick: u64,
    start: Box<[f64]>,
    changes: Vec<u8>,
}

impl Log {
    /// Adds the values at a tick. `sum_at` is the position of the one that is no count.
    pub(super) fn record(&mut self, tick: u64, values: &[f64], sum_at: Option<usize>) {
        let is_new = self.epochs.back().is_none_or(|epoch| epoch.first_tick / EPOCH_TICKS != tick / EPOCH_TICKS);
        if is_new || self.last.len() != values.len() {
            self.epochs.push_back(Arc::new(Epoch { first_tick: tick, start: values.into(), changes: Vec::new() }));
            (self.last, self.last_tick) = (values.to_vec(), tick);
            return;
        }
        let is_changed = |at: &usize| !same(values[*at], self.last[*at], sum_at == Some(*at));
        let changed: Vec<usize> = (0..values.len()).filter(is_changed).collect();
        let Some(epoch) = self.epochs.back_mut().filter(|_| !changed.is_empty()) else { return };
        let epoch = Arc::make_mut(epoch);
        put_varint(&mut epoch.changes, tick - self.last_tick);
        put_varint(&mut epoch.changes, changed.len() as u64);
        let mut next = 0;
        for at in changed {
            put_varint(&mut epoch.changes, (at - next) as u64);
            self.last[at] = put_change(&mut epoch.changes, self.last[at], values[at], sum_at == Some(at));
            next = at + 1;
        }
        self.last_tick = tick;
    }

    /// The same values, to be read and not added to.
    pub(super) fn to_read(&self) -> Log {
        Log { epochs: self.epochs.clone(), ended: self.ended, zero: self.zero, ..Log::default() }
    }

    /// Drops what lies before a tick.
    pub(super) fn trim(&mut self, first: u64) {
        while self.epochs.front().is_some_and(|epoch| (epoch.first_tick / EPOCH_TICKS + 1) * EPOCH_TICKS <= first) {
            self.epochs.pop_front();
        }
        self.zero = self.zero.filter(|(_, tick)| *tick >= first);
        if self.epochs.is_empty() {
            self.last.clear();
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// Whether there was a value at any tick of a range.
    pub(super) fn has_any(&self, ticks: &std::ops::Range<u64>) -> bool {
        let end = self.ended.map_or(ticks.end, |ended| ended.min(ticks.end));
        self.epochs.front().is_some_and(|first| first.first_tick.max(ticks.start) < end)
    }

    /// Calls `visit` with each tick of a range at which there was a value, and the values.
    pub(super) fn read(&self, ticks: std::ops::Range<u64>, sum_at: Option<usize>, mut visit: impl FnMut(u64, &[f64])) {
        let end = self.ended.map_or(ticks.end, |ended| ended.min(ticks.end));
        for (number, epoch) in self.epochs.iter().enumerate() {
            let next_epoch = self.epochs.get(number + 1).map_or(u64::MAX, |next| next.first_tick);
            let end = end.min(next_epoch);
            if end <= ticks.start {
                continue;
            }
            let mut tick = epoch.first_tick;
            let mut state = epoch.start.to_vec();
            let mut rest = &epoch.changes[..];
            loop {
                let next = split_varint(rest).map(|(gap, rest)| (tick + gap, rest));
                let until = next.map_or(end, |(next, _)| next.min(end));
                (tick.max(ticks.start)..until).for_each(|tick| visit(tick, &state));
                match next.filter(|(next, _)| *next < end) {
                    Some((next, after)) => (tick, rest) = (next, read_changes(after, &mut state, sum_at)),
                    None => break,
                }
            }
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let epochs: usize = self.epochs.iter().map(|epoch| epoch.changes.capacity() + 8 * epoch.start.len() + size_of::<Epoch>()).sum();
        epochs + 8 * self.last.capacity()
    }
}

fn same(one: f64, other: f64, is_sum: bool) -> bool {
    if is_sum { nanos(one) == nanos(other) } else { one.to_bits() == other.to_bits() }
}

fn nanos(seconds: f64) -> f64 {
    (seconds * NANOS).round()
}

fn is_whole(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < MAX_EXACT
}

/// Writes how a value changes, and returns what will be read.
fn put_change(out: &mut Vec<u8>, old: f64, new: f64, is_sum: bool) -> f64 {
    let (from, to) = if is_sum { (nanos(old), nanos(new)) } else { (old, new) };
    if is_whole(from) && is_whole(to) && is_whole(to - from) {
        // Whole and small enough, as was just seen.
        #[allow(clippy::cast_possible_truncation)]
        let step = (to - from) as i64;
        put_varint(out, (((step << 1) ^ (step >> 63)) as u64) << 1);
        return if is_sum { to / NANOS } else { to };
    }
    put_varint(out, 1);
    out.extend_from_slice(&new.to_le_bytes());
    new
}

/// Applies the changes of one tick, and returns what follows. They are our own, so a reader never meets bad ones.
fn read_changes<'b>(mut rest: &'b [u8], state: &mut [f64], sum_at: Option<usize>) -> &'b [u8] {
    let varint = |rest: &mut &'b [u8]| {
        let (value, after) = split_varint(rest).unwrap_or((0, &[]));
        *rest = after;
        value
    };
    let num = varint(&mut rest);
    let mut next = 0;
    for _ in 0..num {
        let at = next + varint(&mut rest) as usize;
        let step = varint(&mut rest);
        let Some(value) = state.get_mut(at) else { return &[] };
        if step & 1 == 1 {
            let Some((bytes, after)) = rest.split_first_chunk() else { return &[] };
            (*value, rest) = (f64::from_le_bytes(*bytes), after);
        } else {
            let zigzag = step >> 1;
            let step = ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)) as f64;
            *value = if sum_at == Some(at) { (nanos(*value) + step) / NANOS } else { *value + step };
        }
        next = at + 1;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(log: &Log, ticks: std::ops::Range<u64>, sum_at: Option<usize>) -> Vec<(u64, Vec<f64>)> {
        let mut read = Vec::new();
        log.read(ticks, sum_at, |tick, values| read.push((tick, values.to_vec())));
        read
    }

    proptest! {
        #[test]
        fn what_was_recorded_is_read(
            start in 0u64..200,
            steps in proptest::collection::vec((0u32..3, 0.0f64..100.0, any::<bool>()), 1..300),
        ) {
            let (mut log, mut values, mut wanted) = (Log::default(), vec![0.0, 0.0, 0.0], Vec::new());
            for (at, (count, sum, whole)) in steps.iter().enumerate() {
                values[0] += f64::from(*count);
                values[1] += if *whole { 1.0 } else { 0.25 };
                values[2] += sum;
                log.record(start + at as u64, &values, Some(2));
                wanted.push((start + at as u64, values.clone()));
            }
            let end = start + steps.len() as u64;
            for (got, wanted) in read(&log, 0..end, Some(2)).iter().zip(&wanted) {
                prop_assert_eq!((got.0, got.1[0], got.1[1]), (wanted.0, wanted.1[0], wanted.1[1]));
                prop_assert!((got.1[2] - wanted.1[2]).abs() < 2e-9 * wanted.1[2].max(1.0));
            }
            let middle = start + steps.len() as u64 / 2;
            prop_assert_eq!(read(&log, middle..end, Some(2)).len() as u64, end - middle);
            prop_assert_eq!(read(&log, 0..end, Some(2)).len(), wanted.len());
        }
    }

    #[test]
    fn a_series_that_rests_costs_nothing() {
        let mut log = Log::default();
        log.record(0, &[1.0], None);
        let memory = log.memory();
        (1..EPOCH_TICKS).for_each(|tick| log.record(tick, &[1.0], None));
        assert_eq!(log.memory(), memory);
        assert_eq!(read(&log, 100..103, None), [(100, vec![1.0]), (101, vec![1.0]), (102, vec![1.0])]);
        log.ended = Some(102);
        assert_eq!(read(&log, 100..103, None).len(), 2);
    }

    #[test]
    fn whole_epochs_are_dropped() {
        let (mut timeline, mut log) = (Timeline::default(), Log::default());
        for at in 0..300 {
            let tick = timeline.push(i64::from(at) * 1000);
            log.record(tick, &[f64::from(at)], None);
        }
        assert_eq!((timeline.within(1000, 3000), timeline.last()), (1..4, Some(299)));
        assert!(timeline.drop_oldest());
        log.trim(timeline.first());
        assert_eq!((timeline.first(), timeline.time(119), timeline.time(120)), (120, None, Some(120_000)));
        let left = read(&log, 0..300, None);
        assert_eq!((left.len(), &left[0]), (180, &(120, vec![120.0])));
        assert!(timeline.drop_oldest() && timeline.drop_oldest() && !timeline.drop_oldest());
        log.trim(timeline.first());
        assert!(log.is_empty());
        assert_eq!(timeline.push(7), 360);
    }
}
