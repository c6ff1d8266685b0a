//! The order of rows in a block: which trace comes where, and the spans of a trace depth-first.
//!
//! Traces are ordered by (minute of start, root service, root name, start), so that neighbours look alike and a search
//! for the newest traces reads the newest row groups first. Within a trace a span is followed by its whole subtree;
//! `parent_offset` and `subtree` then say all that parent ids and nested sets say (layout E of
//! shared/design-measurements.md: 24.5 bytes a span against 33.4 for start order).

pub use super::depth_first::SourceRow;
use super::depth_first::{DepthFirst, Node};
use crate::columns::Chunk;
use crate::columns::chunk::NO_ROW;
use crate::columns::export::export;
use crate::model::TraceId;
use crate::proto::otlp::TracesData;
use prost::Message;

/// Row groups end at the first trace boundary at or after this many rows (shared/design-measurements.md, recommendation 6).
pub const ROW_GROUP_ROWS: usize = 128 * 1024;

/// A trace's place and summary in the block.
#[derive(Clone, Debug)]
pub struct ArrangedTrace {
    /// The trace.
    pub id: TraceId,
    /// First row in the block.
    pub first_row: u32,
    /// Number of rows, at least 1.
    pub num_rows: u32,
    /// Earliest span start, Unix nanoseconds.
    pub start: u64,
    /// Latest span end, Unix nanoseconds.
    pub end: u64,
    /// The root span, if the trace has one.
    pub root: Option<SourceRow>,
}

/// The rows of a block in order, with what the order says about structure.
#[derive(Default)]
pub struct Arrangement {
    /// Traces in order; a trace's position is its ordinal.
    pub traces: Vec<ArrangedTrace>,
    /// The origin of each row.
    pub rows: Vec<SourceRow>,
    /// For each row, the number of rows back to its parent; 0 if it has none here.
    pub parent_offset: Vec<u32>,
    /// For each row, the number of rows of its subtree, itself included.
    pub subtree: Vec<u32>,
    /// Row groups as ranges of trace ordinals; each has at least one trace.
    pub row_groups: Vec<std::ops::Range<usize>>,
    /// Spans left out because an identical one is there (the same request, stored twice).
    pub num_duplicates: usize,
}

/// One source's part of a trace.
struct Piece {
    id: TraceId,
    source: u32,
    ordinal: u32,
}

/// A trace that is to be placed: its pieces as a range, and what it is ordered by.
struct Placed<'a> {
    pieces: std::ops::Range<usize>,
    minute: u64,
    service: &'a str,
    name: &'a [u8],
    start: u64,
    end: u64,
    root: Option<SourceRow>,
}

/// Nanoseconds in the unit of the first ordering key.
const MINUTE: u64 = 60_000_000_000;

/// Arranges all spans of the traces that `takes` accepts. Row groups end at the first trace boundary at or after
/// `group_rows` rows, [`ROW_GROUP_ROWS`] in every block that is stored.
pub fn arrange(sources: &[&Chunk], takes: &dyn Fn(&TraceId) -> bool, group_rows: usize) -> Arrangement {
    let pieces = collect_pieces(sources, takes);
    let mut placed = place(sources, &pieces);
    placed.sort_by(|a, b| {
        (a.minute, a.service, a.name, a.start)
            .cmp(&(b.minute, b.service, b.name, b.start))
            .then_with(|| a.pieces.start.cmp(&b.pieces.start))
    });
    let mut arrangement = Arrangement::default();
    let mut walk = DepthFirst::default();
    for trace in &placed {
        append_trace(&mut arrangement, &mut walk, sources, &pieces[trace.pieces.clone()], trace);
    }
    arrangement.row_groups = row_groups(&arrangement.traces, group_rows);
    arrangement
}

fn collect_pieces(sources: &[&Chunk], takes: &dyn Fn(&TraceId) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (source, chunk) in sources.iter().enumerate() {
        for (ordinal, summary) in chunk.traces.summaries().iter().enumerate() {
            if takes(&summary.id) {
                pieces.push(Piece { id: summary.id, source: source as u32, ordinal: ordinal as u32 });
            }
        }
    }
    pieces.sort_unstable_by_key(|piece| (piece.id, piece.source));
    pieces
}

fn place<'a>(sources: &[&'a Chunk], pieces: &[Piece]) -> Vec<Placed<'a>> {
    let mut placed = Vec::new();
    let mut first = 0;
    while first < pieces.len() {
        let last = first + pieces[first..].iter().take_while(|piece| piece.id == pieces[first].id).count();
        placed.push(place_trace(sources, pieces, first..last));
        first = last;
    }
    placed
}

fn place_trace<'a>(sources: &[&'a Chunk], pieces: &[Piece], range: std::ops::Range<usize>) -> Placed<'a> {
    let (mut start, mut end, mut root) = (u64::MAX, 0, None);
    for piece in &pieces[range.clone()] {
        let summary = &sources[piece.source as usize].traces.summaries()[piece.ordinal as usize];
        start = start.min(summary.start);
        end = end.max(summary.end);
        if summary.root_row != NO_ROW {
            root = Some(SourceRow { source: piece.source, row: summary.root_row });
        }
    }
    // Where the root is missing (1 % of traces in the measured data) the first span stands in for it.
    let first = &pieces[range.start];
    let first_row = sources[first.source as usize].traces.summaries()[first.ordinal as usize].first_row;
    let key = root.unwrap_or(SourceRow { source: first.source, row: first_row });
    let chunk = sources[key.source as usize];
    Placed {
        pieces: range,
        minute: start / MINUTE,
        service: chunk.service_name(key.row),
        name: chunk.names.get(chunk.name[key.row as usize]),
        start,
        end,
        root,
    }
}

fn append_trace(arrangement: &mut Arrangement, walk: &mut DepthFirst, sources: &[&Chunk], pieces: &[Piece], trace: &Placed<'_>) {
    walk.clear();
    for piece in pieces {
        let chunk = sources[piece.source as usize];
        for row in chunk.rows_of(piece.ordinal) {
            let at = row as usize;
            walk.add(Node {
                origin: SourceRow { source: piece.source, row },
                id: chunk.span_id[at],
                parent_id: chunk.parent_id[at],
                start: chunk.start[at],
                kind: chunk.kind[at],
            });
        }
    }
    arrangement.num_duplicates += walk.remove_duplicates(|origin| content(sources, origin));
    let first_row = arrangement.rows.len() as u32;
    walk.run(|node, parent_offset, subtree| {
        arrangement.rows.push(node.origin);
        arrangement.parent_offset.push(parent_offset);
        arrangement.subtree.push(subtree);
    });
    arrangement.traces.push(ArrangedTrace {
        id: pieces[0].id,
        first_row,
        num_rows: arrangement.rows.len() as u32 - first_row,
        start: trace.start,
        end: trace.end,
        root: trace.root,
    });
}

/// The bytes of a span with its resource and scope: equal for spans that are the same in every field.
fn content(sources: &[&Chunk], origin: SourceRow) -> Vec<u8> {
    let resource_spans = export(sources[origin.source as usize], std::iter::once(origin.row));
    TracesData { resource_spans }.encode_to_vec()
}

fn row_groups(traces: &[ArrangedTrace], group_rows: usize) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let (mut first, mut rows) = (0, 0);
    for (ordinal, trace) in traces.iter().enumerate() {
        rows += trace.num_rows as usize;
        if rows >= group_rows || ordinal + 1 == traces.len() {
            groups.push(first..ordinal + 1);
            (first, rows) = (ordinal + 1, 0);
        }
    }
    groups
}
