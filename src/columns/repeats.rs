//! Spans that a chunk has more than once, because the same request came twice.

use super::chunk::Chunk;
use std::sync::OnceLock;

/// The answer of [`Chunk::repeated_traces`], kept until the chunk grows.
#[derive(Default)]
pub struct Repeats(OnceLock<Box<[u32]>>);

impl Repeats {
    /// Forgets the answer, because a span is added.
    #[inline]
    pub(super) fn forget(&mut self) {
        if self.0.get().is_some() {
            self.0.take();
        }
    }
}

impl Chunk {
    /// Ordinals of the traces that have some span more than once, told by its id and kind; ascending. Looked for when it is
    /// first asked, which takes a while on a large chunk.
    pub fn repeated_traces(&self) -> &[u32] {
        self.repeats.0.get_or_init(|| {
            let mut spans = Vec::new();
            let mut has_twins = |ordinal: &u32| {
                spans.clear();
                spans.extend(self.rows_of(*ordinal).map(|row| (self.span_id[row as usize], self.kind[row as usize])));
                spans.sort_unstable();
                spans.windows(2).any(|pair| pair[0] == pair[1])
            };
            (0..self.traces.summaries().len() as u32).filter(|ordinal| has_twins(ordinal)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::SpanFields;
    use super::*;
    use crate::model::TraceId;

    #[test]
    fn twins_have_one_id_and_kind() {
        let mut chunk = Chunk::default();
        let push = |chunk: &mut Chunk, trace: u8, span_id: u64, kind: i32| {
            chunk.push_span(&SpanFields { trace_id: TraceId([trace; 16]), span_id, kind, ..SpanFields::default() }, 0);
        };
        for (trace, id, kind) in [(1, 1, 2), (2, 1, 2), (2, 2, 2), (1, 1, 3)] {
            push(&mut chunk, trace, id, kind);
        }
        assert_eq!(chunk.repeated_traces(), [] as [u32; 0]);
        push(&mut chunk, 2, 1, 2);
        assert_eq!(chunk.repeated_traces(), [1]);
    }
}
