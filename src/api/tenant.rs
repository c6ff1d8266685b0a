//! Whose data a query sees (spec/query-api.md §1.3).

use super::ApiConfig;
use crate::frontend::{Caller, Tenants};
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
    /// `a|b` where that is switched off (`query_frontend.multi_tenant_queries_enabled`).
    #[error("multiple org IDs present")]
    Several,
}

/// The tenant that the headers of a request, or the metadata of a call, name; without multi-tenancy they are not looked at.
pub(super) fn caller_of(headers: &HeaderMap, config: &ApiConfig) -> Result<Caller, TenantError> {
    tenants_of(headers, config.multitenancy_enabled, config.multi_tenant_queries_enabled).map(Caller::from)
}

/// The tenant of a request that can be of one only; without multi-tenancy the headers are not looked at.
pub(super) fn tenant_of(headers: &HeaderMap, multitenancy_enabled: bool) -> Result<TenantId, TenantError> {
    let tenants = tenants_of(headers, multitenancy_enabled, false)?;
    tenants.single().cloned().ok_or(TenantError::Several)
}

/// As [`caller_of`]; `a|b` names several tenants if that is allowed.
pub(super) fn tenants_of(headers: &HeaderMap, multitenancy_enabled: bool, several_allowed: bool) -> Result<Tenants, TenantError> {
    if !multitenancy_enabled {
        return Ok(TenantId::single().into());
    }
    let value = headers.get(TENANT_HEADER).ok_or(TenantError::Missing)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let names: Result<Vec<TenantId>, TenantIdError> = text.split('|').map(TenantId::parse).collect();
    let names = names.map_err(|error| match error {
        TenantIdError::Missing => TenantError::Missing,
        error => TenantError::Illegal(error),
    })?;
    let tenants = Tenants::of(names).ok_or(TenantError::Missing)?;
    if tenants.single().is_none() && !several_allowed {
        return Err(TenantError::Several);
    }
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_header_decides_only_with_multitenancy() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(http::HeaderName::from_static(TENANT_HEADER), HeaderValue::from_static(value))]);
        let named = |headers: &HeaderMap, several_allowed| tenants_of(headers, true, several_allowed).map(|tenants| tenants.to_string());
        assert_eq!(tenants_of(&with("a/b"), false, true), Ok(TenantId::single().into()));
        assert_eq!(named(&HeaderMap::new(), true), Err(TenantError::Missing));
        assert_eq!(named(&with("a|a"), false), Ok("a".to_string()));
        assert_eq!(named(&with("b|a"), true), Ok("a|b".to_string()));
        assert_eq!(named(&with("b|a"), false), Err(TenantError::Several));
        assert_eq!(named(&with("a|"), true), Err(TenantError::Missing));
        let error = named(&with("a/b"), true).expect_err("slash");
        assert_eq!(error.to_string(), "tenant ID 'a/b' contains unsupported character '/'");
    }
}
