//! Resources and scopes of a block: those of all sources, each once.

use super::meta::FileMeta;
use super::output::BlockSink;
use super::schema::{RESOURCES_FILE, SCOPES_FILE, origin};
use super::table::{Cells, Coding, Leaf, LeafType, TableWriter};
use crate::columns::Dictionary;
use crate::columns::resources::{Origin, OriginKind, OriginTable};
use parquet::errors::ParquetError;

/// Resources or scopes of all sources, numbered anew.
pub struct Origins {
    table: OriginTable,
    kind: OriginKind,
    /// For each source, the new number of each of its entries.
    ids: Vec<Vec<u32>>,
}

impl Origins {
    /// Joins the tables of the sources; there is at least one, or no row.
    pub fn collect<'a>(tables: impl Iterator<Item = &'a OriginTable>) -> Self {
        let mut tables = tables.peekable();
        let mut origins = Origins::new(tables.peek().map_or(OriginKind::Resource, |table| table.kind()));
        tables.for_each(|table| origins.add(table));
        origins
    }

    /// No sources yet.
    pub fn new(kind: OriginKind) -> Self {
        Origins { table: OriginTable::new(kind), kind, ids: Vec::new() }
    }

    /// Adds the next source.
    pub fn add(&mut self, table: &OriginTable) {
        let id = |entry: u32| {
            let (message, schema_url) = table.message(entry);
            // The same bytes were parsed when they were stored.
            self.table.intern(message, schema_url).unwrap_or(0)
        };
        self.ids.push((0..table.len() as u32).map(id).collect());
    }

    /// The numbers in the block of a source's entries.
    pub fn ids(&self, source: usize) -> &[u32] {
        &self.ids[source]
    }

    /// All of them; a position is the number in the block.
    pub fn entries(&self) -> &[Origin] {
        self.table.entries()
    }

    /// The number in the block of a source's entry.
    pub fn id(&self, source: u32, entry: u32) -> u32 {
        self.ids[source as usize][entry as usize]
    }
}

/// Writes `resources.parquet` or `scopes.parquet`.
pub fn write_origins(origins: &Origins, sink: &dyn BlockSink) -> Result<FileMeta, ParquetError> {
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
    let file = match origins.kind {
        OriginKind::Resource => RESOURCES_FILE,
        OriginKind::Scope => SCOPES_FILE,
    };
    let mut table = TableWriter::new(sink, file, &leaves, Vec::new())?;
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
