//! Resources and scopes of a block: those of all sources, each once.

use super::schema::origin;
use super::table::{Cells, Coding, Leaf, LeafType, TableWriter};
use crate::columns::Dictionary;
use crate::columns::resources::{OriginKind, OriginTable};
use bytes::Bytes;
use parquet::errors::ParquetError;

/// Resources or scopes of all sources, numbered anew.
pub struct Origins {
    table: OriginTable,
    kind: OriginKind,
    /// For each source, the new number of each of its entries.
    ids: Vec<Vec<u32>>,
}

impl Origins {
    /// Joins the tables of the sources.
    pub fn collect<'a>(tables: impl Iterator<Item = &'a OriginTable>) -> Self {
        let mut tables = tables.peekable();
        let kind = tables.peek().map_or(OriginKind::Resource, |table| table.kind());
        let mut joined = OriginTable::new(kind);
        let ids = tables
            .map(|table| {
                let id = |entry: u32| {
                    let (message, schema_url) = table.message(entry);
                    // The same bytes were parsed when they were stored.
                    joined.intern(message, schema_url).unwrap_or(0)
                };
                (0..table.len() as u32).map(id).collect()
            })
            .collect();
        Origins { table: joined, kind, ids }
    }

    /// The number in the block of a source's entry.
    pub fn id(&self, source: u32, entry: u32) -> u32 {
        self.ids[source as usize][entry as usize]
    }
}

/// The bytes of `resources.parquet` or `scopes.parquet`.
pub fn write_origins(origins: &Origins) -> Result<Bytes, ParquetError> {
    let leaves = [
        Leaf::required(origin::NAME, LeafType::Text, Coding::DictionaryLz4),
        Leaf::required(origin::SCHEMA_URL, LeafType::Text, Coding::DictionaryLz4),
        Leaf::required(origin::OTLP, LeafType::Bytes, Coding::PlainZstd),
    ];
    let (mut names, mut schema_urls, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, parsed) in origins.table.entries().iter().enumerate() {
        let (message, schema_url) = origins.table.message(entry as u32);
        names.push(match origins.kind {
            OriginKind::Resource => parsed.service_name().into(),
            OriginKind::Scope => (&*parsed.name).into(),
        });
        schema_urls.push(String::from_utf8_lossy(schema_url).as_ref().into());
        messages.push(message.to_vec().into());
    }
    let mut table = TableWriter::new(&leaves, Vec::new())?;
    let mut group = table.row_group()?;
    for cells in [names, schema_urls, messages] {
        group.column(Cells::Bytes(cells), None)?;
    }
    group.finish()?;
    table.finish()
}

/// Distinct service names, and the code of each resource's.
pub fn service_names(origins: &Origins) -> (Dictionary, Vec<u32>) {
    let mut names = Dictionary::default();
    let codes = origins.table.entries().iter().map(|resource| names.intern(resource.service_name().as_bytes())).collect();
    (names, codes)
}
