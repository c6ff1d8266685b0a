//! From cells to the message in the catalogue.

use super::collect::SpanCounter;
use super::{BIN_SECONDS, MAX_BYTES, MIN_BYTES, NANOS_PER_SECOND, SPANS_PER_BYTE};
use crate::block::catalogue::message::SpanCountsMessage;
use prost::Message;

/// Whether a block with so many spans may have these counts.
pub(super) fn fits(message: &SpanCountsMessage, num_spans: usize) -> bool {
    message.encoded_len() <= (num_spans / SPANS_PER_BYTE).clamp(MIN_BYTES, MAX_BYTES)
}

impl SpanCounter {
    /// The cells by combination and bin.
    pub(super) fn message(&self) -> SpanCountsMessage {
        let width = BIN_SECONDS.get(self.width).copied().unwrap_or_default();
        let mut cells: Vec<_> = self.cells.iter().collect();
        cells.sort_unstable_by_key(|(combination, bin, _)| (*combination, *bin));
        let mut message = SpanCountsMessage {
            bin_seconds: width,
            services: self.services.iter().map(<[u8]>::to_vec).collect(),
            names: self.names.iter().map(<[u8]>::to_vec).collect(),
            first_bin: cells.iter().map(|(_, bin, _)| *bin).min().unwrap_or(0),
            ..SpanCountsMessage::default()
        };
        for cells in cells.chunk_by(|left, right| left.0 == right.0) {
            let (service, name, kind, status) = self.combinations[cells[0].0 as usize];
            message.combination_services.push(service);
            message.combination_names.push(name);
            message.combination_kinds.push(kind);
            message.combination_statuses.push(status);
            message.combination_cells.push(cells.len() as u32);
            let mut last_bin = message.first_bin;
            for (_, bin, cell) in cells {
                message.bin_steps.push(bin - last_bin);
                last_bin = *bin;
                let first_exponent = cell.counts.first().map_or(0, |(exponent, _)| *exponent);
                let past_exponent = cell.counts.last().map_or(0, |(exponent, _)| exponent + 1);
                message.first_exponents.push(first_exponent.into());
                message.num_exponents.push(u32::from(past_exponent - first_exponent));
                let mut counts = cell.counts.iter().peekable();
                message.counts.extend(
                    (first_exponent..past_exponent)
                        .map(|exponent| counts.next_if(|(other, _)| *other == exponent).map_or(0, |(_, count)| *count)),
                );
                message.sample_starts.push(cell.sample.start - bin * width * NANOS_PER_SECOND);
                message.sample_durations.push(cell.sample.duration);
                message.sample_traces.push(cell.sample.trace);
            }
        }
        message
    }
}
