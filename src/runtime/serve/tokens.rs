//! Bearer tokens: who may do what, for which tenants.
//!
//! Of a token only its SHA-256 is kept, and compared in constant time with those of all tokens. The operator's file is read by
//! `config`; here its content is held, swapped whole, and asked for each request before anything else looks at it.

use super::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use parking_lot::RwLock;
use ring::digest::{SHA256, digest};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tonic::Status;

/// The header that names the tenant.
const TENANT_HEADER: HeaderName = HeaderName::from_static("x-scope-orgid");

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Sending spans.
    Write,
    /// Asking for them.
    Read,
    /// Changing limits; for all tenants also: metrics and state of the server, flushing, shutting down, profiles.
    Admin,
}

impl Scope {
    /// The scope of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Scope::Write, Scope::Read, Scope::Admin].into_iter().find(|scope| scope.as_str() == text)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Write => "write",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }
}

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// No token.
    Nothing,
    /// A token with this scope for the tenants that it names.
    ForTenant(Scope),
    /// A token with this scope for all tenants.
    ForAll(Scope),
}

/// One token.
#[derive(Clone)]
pub struct Token {
    digest: [u8; 32],
    /// `None` for all.
    tenants: Option<BTreeSet<String>>,
    scopes: BTreeSet<Scope>,
}

impl Token {
    /// A token by its text; `tenants` is `None` for all of them.
    pub fn new(text: &str, tenants: Option<BTreeSet<String>>, scopes: BTreeSet<Scope>) -> Self {
        Token { digest: digest_of(text.as_bytes()), tenants, scopes }
    }

    /// A token by the SHA-256 of its text.
    pub fn of_digest(digest: [u8; 32], tenants: Option<BTreeSet<String>>, scopes: BTreeSet<Scope>) -> Self {
        Token { digest, tenants, scopes }
    }

    fn is_for(&self, tenant: &str) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }

    /// The only tenant that it is for.
    fn only_tenant(&self) -> Option<&str> {
        let tenants = self.tenants.as_ref().filter(|tenants| tenants.len() == 1)?;
        tenants.first().map(String::as_str)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Token").field("tenants", &self.tenants).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

fn digest_of(text: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text).as_ref());
    bytes
}

/// All tokens; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<RwLock<Arc<Vec<Token>>>>);

impl Tokens {
    /// Puts tokens in the place of all there are.
    pub fn replace(&self, tokens: Vec<Token>) {
        *self.0.write() = Arc::new(tokens);
    }

    /// Number of them.
    pub fn len(&self) -> usize {
        self.0.read().len()
    }

    /// True if there are none, so that nobody may do anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token of that text. Every one is compared, so that the time tells nothing of them.
    fn find(&self, text: &[u8]) -> Option<Token> {
        let (digest, tokens) = (digest_of(text), Arc::clone(&self.0.read()));
        let mut found = None;
        for token in tokens.iter() {
            if bool::from(token.digest.ct_eq(&digest)) {
                found = Some(token.clone());
            }
        }
        found
    }
}

/// What the requests of a listener need.
pub type NeedsOf = Arc<dyn Fn(&Method, &str) -> Needs + Send + Sync>;

/// Stands before a listener.
#[derive(Clone)]
pub struct Guard {
    tokens: Tokens,
    /// Whether requests name their tenant.
    multitenancy: bool,
    needs: NeedsOf,
}

impl Guard {
    /// Of requests that need what `needs` says of method and path.
    pub fn new(tokens: Tokens, multitenancy: bool, needs: NeedsOf) -> Self {
        Guard { tokens, multitenancy, needs }
    }

    /// Before a receiver: all but the questions of browsers, which have no token, writes.
    pub fn of_receiver(tokens: Tokens, multitenancy: bool) -> Self {
        let needs = |method: &Method, _: &str| if method == Method::OPTIONS { Needs::Nothing } else { Needs::ForTenant(Scope::Write) };
        Guard::new(tokens, multitenancy, Arc::new(needs))
    }

    /// The tenant to be named for the request, if it names none, or why it may not pass.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let needs = (self.needs)(method, path);
        if needs == Needs::Nothing {
            return Ok(None);
        }
        let token = bearer(headers).and_then(|text| self.tokens.find(text)).ok_or(Refusal::Unknown)?;
        let scope = match needs {
            Needs::ForTenant(scope) | Needs::ForAll(scope) => scope,
            Needs::Nothing => return Ok(None),
        };
        if !token.scopes.contains(&scope) {
            return Err(Refusal::Scope(scope));
        }
        match needs {
            Needs::ForAll(_) if self.multitenancy && token.tenants.is_some() => Err(Refusal::AllTenants),
            Needs::ForTenant(_) if self.multitenancy => self.check_tenants(&token, headers),
            _ => Ok(None),
        }
    }

    fn check_tenants(&self, token: &Token, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let mut named = headers.get_all(TENANT_HEADER).iter().peekable();
        if named.peek().is_none() {
            // A token of one tenant says already whose data it is about.
            return Ok(token.only_tenant().and_then(|tenant| HeaderValue::try_from(tenant).ok()));
        }
        for value in named {
            let text = String::from_utf8_lossy(value.as_bytes());
            for name in text.split('|') {
                // Receivers take what is behind a colon for metadata.
                let name = name.split(':').next().unwrap_or_default();
                if !token.is_for(name) {
                    return Err(Refusal::Tenant(name.to_string()));
                }
            }
        }
        Ok(None)
    }
}

/// The text of `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Why a request may not pass.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("no token, or an unknown one: send Authorization: Bearer")]
    Unknown,
    #[error("the token lacks the scope {}", .0.as_str())]
    Scope(Scope),
    #[error("the token is not for tenant '{0}'")]
    Tenant(String),
    #[error("only a token for all tenants may do this")]
    AllTenants,
}

impl Refusal {
    /// As clients of HTTP or gRPC understand it.
    fn into_response(self, headers: &HeaderMap) -> Response {
        let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let message = self.to_string();
        match (self, is_grpc) {
            (Refusal::Unknown, true) => Status::unauthenticated(message).into_http(),
            (_, true) => Status::permission_denied(message).into_http(),
            (Refusal::Unknown, false) => {
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))], message + "\n").into_response()
            }
            (_, false) => (StatusCode::FORBIDDEN, message + "\n").into_response(),
        }
    }
}

/// The same service for requests with a token that allows them; for all if there is no guard.
pub fn guarded(router: Router, guard: Option<Guard>) -> Router {
    match guard {
        Some(guard) => router.layer(from_fn_with_state(guard, pass)),
        None => router,
    }
}

async fn pass(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match guard.check(request.method(), request.uri().path(), request.headers()) {
        Ok(tenant) => {
            if let Some(tenant) = tenant {
                request.headers_mut().insert(TENANT_HEADER, tenant);
            }
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(request.headers()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<T: Ord>(elements: impl IntoIterator<Item = T>) -> BTreeSet<T> {
        elements.into_iter().collect()
    }

    fn guard(multitenancy: bool) -> Guard {
        let tokens = Tokens::default();
        let named = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        tokens.replace(vec![
            Token::new("anna-writes", named(&["anna"]), set([Scope::Write])),
            Token::of_digest(digest_of(b"both-read"), named(&["anna", "bert"]), set([Scope::Read])),
            Token::new("root", None, set([Scope::Admin, Scope::Read])),
        ]);
        let needs = |_: &Method, path: &str| match path {
            "/open" => Needs::Nothing,
            "/write" => Needs::ForTenant(Scope::Write),
            "/read" => Needs::ForTenant(Scope::Read),
            _ => Needs::ForAll(Scope::Admin),
        };
        Guard::new(tokens, multitenancy, Arc::new(needs))
    }

    fn asked(guard: &Guard, path: &str, token: &str, tenants: &[&str]) -> Result<Option<HeaderValue>, Refusal> {
        let mut headers = HeaderMap::new();
        if !token.is_empty() {
            headers.insert(AUTHORIZATION, HeaderValue::try_from(token).expect("visible"));
        }
        for tenant in tenants {
            headers.append(TENANT_HEADER, HeaderValue::try_from(*tenant).expect("visible"));
        }
        guard.check(&Method::GET, path, &headers)
    }

    #[test]
    fn a_token_is_for_its_scopes_and_tenants() {
        let guard = guard(true);
        let refused = |path, token, tenants: &[&str]| asked(&guard, path, token, tenants).expect_err("refused");
        assert_eq!(asked(&guard, "/open", "", &[]), Ok(None));
        for token in ["", "Bearer", "Bearer ", "Bearer x", "Basic anna-writes", "anna-writes", "Bearer anna-writes2", "Bearer anna"] {
            assert_eq!(refused("/write", token, &["anna"]), Refusal::Unknown, "{token}");
        }
        assert_eq!(asked(&guard, "/write", "bearer  anna-writes", &["anna"]), Ok(None));
        assert_eq!(asked(&guard, "/write", "Bearer anna-writes", &[]), Ok(Some(HeaderValue::from_static("anna"))));
        assert_eq!(asked(&guard, "/write", "Bearer anna-writes", &["anna:k=v"]), Ok(None));
        assert_eq!(refused("/write", "Bearer anna-writes", &["bert"]), Refusal::Tenant("bert".to_string()));
        assert_eq!(refused("/write", "Bearer anna-writes", &["anna", "bert"]), Refusal::Tenant("bert".to_string()));
        assert_eq!(refused("/read", "Bearer anna-writes", &["anna"]), Refusal::Scope(Scope::Read));
        assert_eq!(asked(&guard, "/read", "Bearer both-read", &["bert|anna"]), Ok(None));
        assert_eq!(asked(&guard, "/read", "Bearer both-read", &[]), Ok(None), "not told whose; refused by who needs it");
        assert_eq!(refused("/read", "Bearer both-read", &["anna|carl"]), Refusal::Tenant("carl".to_string()));
        assert_eq!(asked(&guard, "/read", "Bearer root", &["carl"]), Ok(None));
        assert_eq!(asked(&guard, "/admin", "Bearer root", &[]), Ok(None));
        guard.tokens.replace(vec![Token::new("t", Some(set(["anna".to_string()])), set([Scope::Admin]))]);
        assert_eq!(refused("/admin", "Bearer t", &["anna"]), Refusal::AllTenants);
        assert_eq!(refused("/admin", "Bearer root", &[]), Refusal::Unknown);
    }

    #[test]
    fn without_tenants_scopes_decide() {
        let guard = guard(false);
        assert_eq!(asked(&guard, "/write", "Bearer anna-writes", &["bert"]), Ok(None));
        assert_eq!(asked(&guard, "/read", "Bearer anna-writes", &[]), Err(Refusal::Scope(Scope::Read)));
    }

    #[test]
    fn nothing_of_a_token_is_printed() {
        let printed = format!("{:?}", guard(true).tokens);
        assert!(printed.contains("anna") && !printed.contains("writes") && !printed.contains("digest"), "{printed}");
    }
}
