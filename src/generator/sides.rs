//! What one side of an edge says of itself: its service, and the dimensions that are asked for.

use super::Batch;
use super::attributes::{ABSENT, KeyCodes, Pairs, Texts};
use super::span_metrics::{attribute, text};
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::sync::Arc;

/// Sides that are remembered, so that equal ones are one; forgetting them costs time only.
const MAX_SIDES: usize = 16_384;

/// One side of an edge.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Side {
    /// The name of the service or of the virtual node.
    pub(super) service: Box<str>,
    /// The value of each dimension, empty for none; no values at all for a virtual node.
    pub(super) dimensions: Box<[Box<str>]>,
}

/// All sides that were seen lately.
pub(super) struct Sides {
    dimensions: Vec<String>,
    known: HashSet<Arc<Side>, RandomState>,
}

/// The sides of one chunk.
#[derive(Default)]
pub(super) struct SideChunk {
    levels: Vec<Pairs>,
    keys: Vec<KeyCodes>,
    texts: Texts,
    by_group: Vec<Option<Arc<Side>>>,
    is_known: Vec<bool>,
}

impl SideChunk {
    /// The side of a group; nothing if it has no service.
    pub(super) fn get(&self, group: u32) -> Option<&Arc<Side>> {
        self.by_group[group as usize].as_ref()
    }
}

impl Sides {
    /// Sides with these dimensions.
    pub(super) fn new(dimensions: Vec<String>) -> Self {
        Sides { dimensions, known: HashSet::default() }
    }

    /// The side of a node of which only the name is known.
    pub(super) fn named(&mut self, name: &str) -> Arc<Side> {
        self.intern(Side { service: name.into(), dimensions: Box::default() })
    }

    fn intern(&mut self, side: Side) -> Arc<Side> {
        if let Some(known) = self.known.get(&side) {
            return Arc::clone(known);
        }
        if self.known.len() >= MAX_SIDES {
            self.known.clear();
        }
        let side = Arc::new(side);
        self.known.insert(Arc::clone(&side));
        side
    }

    /// The group of each row of a batch, of which the chunk then knows the side.
    pub(super) fn of_rows(&mut self, known: &mut SideChunk, batch: &Batch<'_>) -> Vec<u32> {
        let SideChunk { levels, keys, texts, .. } = known;
        levels.resize_with(self.dimensions.len(), Pairs::default);
        keys.resize_with(self.dimensions.len(), KeyCodes::default);
        let mut groups: Vec<u32> = batch.rows.iter().map(|row| batch.chunk.resource[*row as usize]).collect();
        for ((key, known), level) in self.dimensions.iter().zip(keys).zip(levels) {
            let mut codes = vec![ABSENT; batch.range.len()];
            known.visit(batch.chunk, key, &batch.range, texts, |at, code| codes[at] = if codes[at] == ABSENT { code } else { codes[at] });
            for (group, row) in groups.iter_mut().zip(batch.rows) {
                *group = level.number(*group, codes[(row - batch.range.start) as usize]);
            }
        }
        for (group, row) in groups.iter().zip(batch.rows) {
            let at = *group as usize;
            if known.is_known.len() <= at {
                known.is_known.resize(at + 1, false);
                known.by_group.resize(at + 1, None);
            }
            if !known.is_known[at] {
                known.is_known[at] = true;
                known.by_group[at] = self.side(batch, *row);
            }
        }
        groups
    }

    fn side(&mut self, batch: &Batch<'_>, row: u32) -> Option<Arc<Side>> {
        let resource = &batch.chunk.resources.entries()[batch.chunk.resource[row as usize] as usize];
        let service = text(resource, "service.name").filter(|name| !name.is_empty())?;
        let dimensions = self.dimensions.iter().map(|key| attribute(batch.chunk, resource, key, row).into()).collect();
        Some(self.intern(Side { service: service.into(), dimensions }))
    }
}

/// Sets the texts of rows whose resource has one of some keys: these go before a span's.
pub(super) fn fill_from_resources(keys: &[String], batch: &Batch<'_>, texts: &mut Texts, codes: &mut [u32]) {
    let resources = batch.chunk.resources.entries();
    let has_any = |resource: &crate::columns::resources::Origin| keys.iter().any(|key| resource.attribute(key).is_some());
    if !resources.iter().any(has_any) {
        return;
    }
    for row in batch.rows {
        let resource = &resources[batch.chunk.resource[*row as usize] as usize];
        if let Some(text) = keys.iter().find_map(|key| text(resource, key)) {
            codes[(row - batch.range.start) as usize] = texts.intern(&text);
        }
    }
}
