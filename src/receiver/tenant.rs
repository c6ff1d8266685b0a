//! Whose spans a request carries (spec/ingest.md §8).

use crate::model::TenantId;
use crate::model::ids::TenantIdError;
use http::HeaderMap;

/// The HTTP header and gRPC metadata key that names the tenant; header names are compared without case.
pub const TENANT_HEADER: &str = "x-scope-orgid";

/// How the tenant of a request is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// All spans belong to `single-tenant`; the header is ignored.
    Single,
    /// The header must name one tenant (`multitenancy_enabled`).
    Header,
}

/// Why a request belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// The header is missing, empty or there twice. Tempo has its senders try again, and so do we.
    #[error("no org id")]
    Missing,
    /// `a|b`: spans can be written to one tenant only.
    #[error("multiple org IDs present")]
    Several,
    /// Not a legal name.
    #[error(transparent)]
    Illegal(TenantIdError),
}

impl Tenancy {
    /// The tenant that the headers of an HTTP request, or the metadata of a gRPC call, name.
    ///
    /// # Errors
    ///
    /// Only under [`Tenancy::Header`], as the variants of [`TenantError`] say.
    pub fn tenant_of(self, headers: &HeaderMap) -> Result<TenantId, TenantError> {
        match self {
            Tenancy::Single => Ok(TenantId::single()),
            Tenancy::Header => named_tenant(headers),
        }
    }
}

fn named_tenant(headers: &HeaderMap) -> Result<TenantId, TenantError> {
    let mut values = headers.get_all(TENANT_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(TenantError::Missing) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut names = text.split('|').map(without_metadata);
    let first = names.next().unwrap_or_default();
    if names.any(|name| name != first) {
        return Err(TenantError::Several);
    }
    TenantId::parse(first).map_err(|error| match error {
        TenantIdError::Missing => TenantError::Missing,
        error => TenantError::Illegal(error),
    })
}

/// A colon starts metadata of the name, which we do not use.
fn without_metadata(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn tenant(values: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("X-Scope-OrgID", HeaderValue::from_str(value).expect("visible characters"));
        }
        Tenancy::Header.tenant_of(&headers).map(|tenant| tenant.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_header_names_exactly_one_tenant() {
        assert_eq!(tenant(&["team-a"]).as_deref(), Ok("team-a"));
        assert_eq!(tenant(&["a|a"]).as_deref(), Ok("a"));
        assert_eq!(tenant(&["a:source=x"]).as_deref(), Ok("a"));
        for missing in [&[][..], &[""], &["a", "b"], &["a", "a"], &[":x"]] {
            assert_eq!(tenant(missing), Err("no org id".to_string()), "{missing:?}");
        }
        assert_eq!(tenant(&["a|b"]), Err("multiple org IDs present".to_string()));
        assert_eq!(tenant(&["a/b"]), Err("tenant ID 'a/b' contains unsupported character '/'".to_string()));
        assert_eq!(tenant(&[&"a".repeat(151)]), Err("tenant ID is too long: max 150 characters".to_string()));
    }

    #[test]
    fn a_single_tenant_server_does_not_look() {
        let mut headers = HeaderMap::new();
        headers.append(TENANT_HEADER, HeaderValue::from_static("a/b"));
        assert_eq!(Tenancy::Single.tenant_of(&headers), Ok(TenantId::single()));
    }
}
