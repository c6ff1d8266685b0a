//! Where new spans come from.

use crate::columns::Chunk;
use crate::model::TenantId;
use std::ops::Range;

/// Rows that were not seen before, in a chunk that has them all.
pub struct NewRows<'a> {
    /// The chunk; it may grow once this is over, unless these are its last rows.
    pub chunk: &'a Chunk,
    /// Tells the tenant's chunks apart.
    pub serial: u64,
    /// The new rows; may be empty.
    pub rows: Range<u32>,
    /// Whether nothing more of this chunk will come.
    pub is_last: bool,
}

/// Gives out each span that arrives once. Spans that were there before the process started are never given out.
pub trait SpanFeed: Send + Sync {
    /// All tenants that have sent anything.
    fn tenants(&self) -> Vec<TenantId>;

    /// Calls `visit` with new rows of a tenant, chunk by chunk in pieces that take well below a millisecond each, since a chunk
    /// that still grows cannot be written to meanwhile.
    fn visit(&self, tenant: &TenantId, visit: &mut dyn FnMut(NewRows<'_>));

    /// Spans of a tenant that were left out because nobody came for them in time.
    fn num_missed(&self, tenant: &TenantId) -> u64;
}
