//! Every object key: `<tenant>/<block id>/<file>`, under the store's prefix.

use crate::block::schema::{CATALOGUE_FILE, INDEX_FILE, META_FILE, TABLE_FILES, bloom_file};
use crate::model::{BlockId, TenantId};
use object_store::path::Path;

/// A key as it stands. `Path::from` would encode `*`, which tenants may have in their names, and a listing gives it back
/// encoded; every other character of ids and file names stands for itself either way.
fn key(text: &str) -> Path {
    Path::parse(text).unwrap_or_else(|_| Path::from(text))
}

/// The folder of a tenant's blocks.
pub fn tenant(tenant: &TenantId) -> Path {
    key(tenant.as_str())
}

/// The folder of a block.
pub fn block(tenant: &TenantId, id: &BlockId) -> Path {
    key(&format!("{tenant}/{id}"))
}

/// A file of a block.
pub fn file(tenant: &TenantId, id: &BlockId, name: &str) -> Path {
    key(&format!("{tenant}/{id}/{name}"))
}

/// The file that makes a block exist.
pub fn meta(tenant: &TenantId, id: &BlockId) -> Path {
    file(tenant, id, META_FILE)
}

/// Whether a file of this name may be part of a block of ours. Tempo's have other files beside those with our names.
pub fn is_file_of_block(name: &str) -> bool {
    const FILES: [&str; 3] = [INDEX_FILE, CATALOGUE_FILE, META_FILE];
    let is_shard = || name.strip_prefix("bloom-").and_then(|number| number.parse().ok()).is_some_and(|shard| bloom_file(shard) == name);
    FILES.contains(&name) || TABLE_FILES.contains(&name) || is_shard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_told_apart() {
        assert!(
            ["data.parquet", "attributes.parquet", "link-attributes.parquet", "index", "bloom-0", "bloom-12"]
                .into_iter()
                .all(is_file_of_block)
        );
        assert!(!["meta.compacted.json", "bloom-", "bloom-x", "bloom-+1", "index.json.gz"].into_iter().any(is_file_of_block));
    }
}
