//! The index of the output: the inputs' indexes, merged, with new ordinals.

use super::order::OutputTrace;
use super::shared::in_id_order;
use super::{MergeError, of_block};
use crate::block::index;
use crate::block::meta::FileMeta;
use crate::block::output::{BlockSink, Output};
use crate::block::reader::Block;
use crate::block::schema::INDEX_FILE;
use crate::model::TraceId;
use std::io::{self, BufWriter};
use std::sync::Arc;

/// Stands for a trace that did not come from this input.
const ELSEWHERE: u32 = u32::MAX;

/// The new ordinals of all traces: four bytes each, since the inputs are sorted by id already.
pub(super) struct OutputIds {
    /// By input and ordinal there.
    ordinals: Vec<Vec<u32>>,
    /// Of traces that were joined.
    joined: Vec<(TraceId, u32)>,
    num_traces: u32,
}

impl OutputIds {
    pub fn new(inputs: &[Arc<Block>]) -> Self {
        let ordinals = inputs.iter().map(|block| vec![ELSEWHERE; block.meta().num_traces as usize]).collect();
        OutputIds { ordinals, joined: Vec::new(), num_traces: 0 }
    }

    /// Gives the next ordinal to a trace.
    pub fn add(&mut self, trace: &OutputTrace) {
        let ordinal = self.num_traces;
        self.num_traces += 1;
        match self.ordinals.get_mut(trace.input) {
            Some(of_input) => of_input[trace.ordinal as usize] = ordinal,
            None => self.joined.push((trace.id, ordinal)),
        }
    }

    /// Writes `index`.
    pub fn write(mut self, inputs: &[Arc<Block>], sink: &dyn BlockSink) -> Result<FileMeta, MergeError> {
        self.joined.sort_unstable();
        let mut output = BufWriter::with_capacity(1 << 16, Output::create(sink, INDEX_FILE)?);
        let (ids, ordinals) = (self.sorted(inputs)?.map(|(id, _)| id), self.sorted(inputs)?.map(|(_, ordinal)| ordinal));
        index::write(&mut output, self.num_traces, ids, ordinals)?;
        Ok(output.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?)
    }

    fn sorted<'a>(&'a self, inputs: &'a [Arc<Block>]) -> Result<impl Iterator<Item = (TraceId, u32)> + 'a, MergeError> {
        type Ids<'a> = Box<dyn Iterator<Item = (TraceId, u32)> + 'a>;
        let of_input = |(block, ordinals): (&'a Arc<Block>, &'a Vec<u32>)| -> Result<Ids<'a>, MergeError> {
            let renumbered = block.index().map_err(of_block(block))?.sorted().map(|(id, ordinal)| (id, ordinals[ordinal as usize]));
            Ok(Box::new(renumbered.filter(|(_, ordinal)| *ordinal != ELSEWHERE)))
        };
        let joined: Ids<'a> = Box::new(self.joined.iter().copied());
        let lists = inputs.iter().zip(&self.ordinals).map(of_input).chain(std::iter::once(Ok(joined)));
        Ok(in_id_order(lists.collect::<Result<_, _>>()?).map(|(id, _, ordinal)| (id, ordinal)))
    }
}
