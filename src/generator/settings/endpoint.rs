//! Where samples are sent, and as whom (spec/metrics-generator.md §9).

use super::RelabelRule;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A receiver of remote write (spec/metrics-generator.md §9). Its secrets are not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteWrite {
    /// Where samples are posted.
    pub url: String,
    /// What the log calls it; empty for its URL's host.
    pub name: String,
    /// Headers of each request.
    pub headers: BTreeMap<String, String>,
    /// Who sends.
    pub authorization: Authorization,
    /// A file with certificates to trust beside the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Whether certificates are not looked at.
    pub skip_verify: bool,
    /// How long a request may take; default 30 s.
    pub timeout: Duration,
    /// Most samples of a request; default 2000.
    pub max_samples_per_send: usize,
    /// Pause after the first failure; default 30 ms.
    pub min_backoff: Duration,
    /// Longest pause between two tries; default 5 s.
    pub max_backoff: Duration,
    /// What becomes of labels, and which series are left out; default nothing (`write_relabel_configs`).
    pub relabel: Vec<RelabelRule>,
}

impl Default for RemoteWrite {
    fn default() -> Self {
        RemoteWrite {
            url: String::new(),
            name: String::new(),
            headers: BTreeMap::new(),
            authorization: Authorization::None,
            ca_file: None,
            skip_verify: false,
            timeout: Duration::from_secs(30),
            max_samples_per_send: 2000,
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            relabel: Vec::new(),
        }
    }
}

impl std::fmt::Debug for RemoteWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWrite").field("url", &without_user(&self.url)).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A URL without the name and password that may stand in it, and without a query that may hold a key.
pub(in crate::generator) fn without_user(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// How a sender of samples names itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    None,
    /// Name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Credential,
    },
    /// A scheme, such as `Bearer`, and what follows it.
    Scheme {
        /// The scheme.
        scheme: String,
        /// What follows it.
        credentials: Credential,
    },
}

/// A secret as such, or the file that has it, which is read anew for each try.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The secret.
    Text(String),
    /// Its file.
    File(PathBuf),
}
