//! Whose data a query sees (spec/query-api.md §1.3).

use crate::model::TenantId;
use crate::model::ids::TenantIdError;
use http::HeaderMap;

/// The HTTP header and gRPC metadata key that names the tenant; header names are compared without case.
const TENANT_HEADER: &str = "x-scope-orgid";

/// Why it is not clear whose data a query may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TenantError {
    /// The header is missing or empty, or one of its parts is.
    #[error("no org id")]
    Missing,
    /// Not a legal name.
    #[error(transparent)]
    Illegal(TenantIdError),
    /// `a|b`.
    #[error("queries over several tenants are not implemented yet")]
    Several,
}

/// The tenant that the headers of a request, or the metadata of a call, name; without multi-tenancy they are not looked at.
pub(super) fn tenant_of(headers: &HeaderMap, multitenancy_enabled: bool) -> Result<TenantId, TenantError> {
    if !multitenancy_enabled {
        return Ok(TenantId::single());
    }
    let value = headers.get(TENANT_HEADER).ok_or(TenantError::Missing)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let names: Result<Vec<TenantId>, TenantIdError> = text.split('|').map(TenantId::parse).collect();
    let mut names = names.map_err(|error| match error {
        TenantIdError::Missing => TenantError::Missing,
        error => TenantError::Illegal(error),
    })?;
    names.sort();
    names.dedup();
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (Some(_), false) => Err(TenantError::Several),
        (None, _) => Err(TenantError::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_header_decides_only_with_multitenancy() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(http::HeaderName::from_static(TENANT_HEADER), HeaderValue::from_static(value))]);
        assert_eq!(tenant_of(&with("a/b"), false), Ok(TenantId::single()));
        assert_eq!(tenant_of(&HeaderMap::new(), true), Err(TenantError::Missing));
        assert_eq!(tenant_of(&with("a|a"), true).map(|tenant| tenant.to_string()), Ok("a".to_string()));
        assert_eq!(tenant_of(&with("b|a"), true), Err(TenantError::Several));
        assert_eq!(tenant_of(&with("a|"), true), Err(TenantError::Missing));
        let error = tenant_of(&with("a/b"), true).expect_err("slash");
        assert_eq!(error.to_string(), "tenant ID 'a/b' contains unsupported character '/'");
    }
}
