//! Every object key: `<tenant>/<block id>/<file>`, under the store's prefix.

use crate::block::schema::META_FILE;
use crate::model::{BlockId, TenantId};
use object_store::path::Path;

/// The folder of a tenant's blocks.
pub fn tenant(tenant: &TenantId) -> Path {
    Path::from(tenant.as_str())
}

/// The folder of a block.
pub fn block(tenant: &TenantId, id: &BlockId) -> Path {
    Path::from_iter([tenant.as_str(), &id.to_string()])
}

/// A file of a block.
pub fn file(tenant: &TenantId, id: &BlockId, name: &str) -> Path {
    Path::from_iter([tenant.as_str(), &id.to_string(), name])
}

/// The file that makes a block exist.
pub fn meta(tenant: &TenantId, id: &BlockId) -> Path {
    file(tenant, id, META_FILE)
}
