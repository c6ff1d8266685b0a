//! Every object key: `<tenant>/<block id>/<file>`, under the store's prefix.

use crate::block::schema::META_FILE;
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
