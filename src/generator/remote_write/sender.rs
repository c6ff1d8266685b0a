//! From the queue to the receiver.

use super::EndpointCounts;
use super::queue::{Queue, Waiting};
use crate::generator::settings::{Authorization, Credential, GeneratorConfig, RemoteWrite, TenantSettings, without_user};
use crate::model::TenantId;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, StatusCode};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often the queue is looked at where nobody rings.
const IDLE: Duration = Duration::from_secs(1);

/// Most of a refusal that the log shows.
const MAX_SHOWN_BYTES: usize = 300;

/// Longest pause that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

const TENANT_HEADER: &str = "x-scope-orgid";

/// When a tenant's requests are tried again.
struct Pause {
    until: Instant,
    length: Duration,
}

/// What a receiver says to a request.
enum Reply {
    Taken,
    Refused(String),
    Later { reason: String, after: Option<Duration> },
}

/// Sends the requests of one queue.
pub(super) struct Sender {
    settings: RemoteWrite,
    tenants: Arc<TenantSettings>,
    /// Whether the tenant is named where no header of the configuration does.
    names_tenant: bool,
    client: Client,
    queue: Arc<Queue>,
    work: Notify,
    is_stopping: AtomicBool,
    pauses: Mutex<HashMap<TenantId, Pause>>,
    sent: AtomicU64,
    refused: AtomicU64,
    retried: AtomicU64,
}

impl Sender {
    /// A sender of a queue.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn new(
        settings: RemoteWrite,
        config: &GeneratorConfig,
        tenants: Arc<TenantSettings>,
        queue: Arc<Queue>,
    ) -> Result<Self, String> {
        // Fails only if there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(settings.timeout).redirect(reqwest::redirect::Policy::none());
        if settings.skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path).map_err(|error| format!("tls_config.ca_file {}: {error}", path.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| format!("tls_config.ca_file: {error}"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        reqwest::Url::parse(&settings.url).map_err(|error| format!("url: {error}"))?;
        let names_tenant = config.add_org_id_header && !names_tenant(&settings.headers);
        let sender = Sender {
            settings,
            tenants,
            names_tenant,
            client,
            queue,
            work: Notify::new(),
            is_stopping: AtomicBool::new(false),
            pauses: Mutex::default(),
            sent: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            retried: AtomicU64::new(0),
        };
        sender.headers(&TenantId::single())?;
        Ok(sender)
    }

    /// Sends until it is stopped.
    pub(super) async fn run(self: Arc<Self>) {
        while !self.is_stopping.load(Relaxed) {
            let now = Instant::now();
            let is_ready = |tenant: &TenantId| self.pauses.lock().get(tenant).is_none_or(|pause| pause.until <= now);
            match self.queue.next(is_ready) {
                Some(waiting) => self.send(&waiting).await,
                None => {
                    let until = self.pauses.lock().values().map(|pause| pause.until).min();
                    let wait = until.map_or(IDLE, |until| until.saturating_duration_since(now)).clamp(Duration::from_millis(5), IDLE);
                    let _ = tokio::time::timeout(wait, self.work.notified()).await;
                }
            }
        }
    }

    async fn send(&self, waiting: &Waiting) {
        let Ok(body) = self.queue.read(waiting) else {
            // Dropped meanwhile for want of room.
            return self.queue.remove(waiting);
        };
        match self.post(&waiting.tenant, body).await {
            Reply::Taken => {
                self.pauses.lock().remove(&waiting.tenant);
                self.sent.fetch_add(waiting.num_samples as u64, Relaxed);
                self.queue.remove(waiting);
            }
            Reply::Refused(reason) => {
                self.pauses.lock().remove(&waiting.tenant);
                self.refused.fetch_add(waiting.num_samples as u64, Relaxed);
                self.queue.remove(waiting);
                tracing::warn!(url = without_user(&self.settings.url), tenant = %waiting.tenant, samples = waiting.num_samples, reason, "remote write refused samples");
            }
            Reply::Later { reason, after } => {
                self.retried.fetch_add(waiting.num_samples as u64, Relaxed);
                self.pause(&waiting.tenant, &reason, after);
            }
        }
    }

    fn pause(&self, tenant: &TenantId, reason: &str, after: Option<Duration>) {
        let mut pauses = self.pauses.lock();
        if !pauses.contains_key(tenant) {
            // Told once, not for each try.
            tracing::warn!(url = without_user(&self.settings.url), %tenant, reason, "remote write fails; samples wait on disk");
        }
        let (min, max) = (self.settings.min_backoff, self.settings.max_backoff);
        let length = pauses.get(tenant).map_or(min, |pause| (pause.length * 2).min(max));
        let until = Instant::now() + after.unwrap_or(length).max(length);
        pauses.insert(tenant.clone(), Pause { until, length });
    }

    async fn post(&self, tenant: &TenantId, body: Vec<u8>) -> Reply {
        let headers = match self.headers(tenant) {
            Ok(headers) => headers,
            Err(reason) => return Reply::Later { reason, after: None },
        };
        let answer = match self.client.post(&self.settings.url).headers(headers).body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return Reply::Later { reason: chain(&error.without_url()), after: None },
        };
        let status = answer.status();
        if status.is_success() {
            return Reply::Taken;
        }
        let after = answer.headers().get(RETRY_AFTER).and_then(retry_after);
        let text = answer.text().await.unwrap_or_default();
        let reason = format!("{status}: {}", text.get(..text.floor_char_boundary(MAX_SHOWN_BYTES)).unwrap_or_default().trim());
        match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            true => Reply::Later { reason, after },
            false => Reply::Refused(reason),
        }
    }

    fn headers(&self, tenant: &TenantId) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("conmoto/", env!("CARGO_PKG_VERSION"))));
        let settings = self.tenants.of(tenant);
        let tenant_headers = &settings.remote_write_headers.0;
        if self.names_tenant && *tenant != TenantId::single() && !names_tenant(tenant_headers) {
            headers.insert(TENANT_HEADER, value(tenant.as_str())?);
        }
        if let Some(authorization) = authorization(&self.settings.authorization)? {
            headers.insert(AUTHORIZATION, authorization);
        }
        for (name, text) in self.settings.headers.iter().chain(tenant_headers) {
            let known = HeaderName::try_from(name).map_err(|_| format!("header {name:?} has no legal name"))?;
            headers.insert(known, value(text).map_err(|error| format!("header {name:?}: {error}"))?);
        }
        Ok(headers)
    }

    /// There may be something to send.
    pub(super) fn wake(&self) {
        self.work.notify_one();
    }

    /// No further request is begun.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
        self.work.notify_one();
    }

    /// Whether the last try of some tenant failed.
    pub(super) fn is_failing(&self) -> bool {
        !self.pauses.lock().is_empty()
    }

    /// What became of the samples.
    pub(super) fn counts(&self) -> EndpointCounts {
        let (queued, dropped, queue_bytes) = self.queue.counts();
        EndpointCounts {
            url: without_user(&self.settings.url),
            queued,
            sent: self.sent.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dropped,
            retried: self.retried.load(Relaxed),
            queue_bytes,
        }
    }
}

fn names_tenant(headers: &BTreeMap<String, String>) -> bool {
    headers.keys().any(|name| name.eq_ignore_ascii_case(TENANT_HEADER))
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a character that a header cannot have".to_owned())
}

fn authorization(how: &Authorization) -> Result<Option<HeaderValue>, String> {
    use base64::Engine;
    let text = match how {
        Authorization::None => return Ok(None),
        Authorization::Basic { user, password } => {
            let pair = format!("{user}:{}", secret(password)?);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Authorization::Scheme { scheme, credentials } => format!("{scheme} {}", secret(credentials)?),
    };
    let mut header = value(&text)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

fn secret(credential: &Credential) -> Result<String, String> {
    match credential {
        Credential::Text(text) => Ok(text.clone()),
        Credential::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(text.trim_end().to_owned())
        }
    }
}

/// Seconds, or a date.
fn retry_after(header: &HeaderValue) -> Option<Duration> {
    let text = header.to_str().ok()?;
    let date = || httpdate::parse_http_date(text).ok()?.duration_since(std::time::SystemTime::now()).ok();
    text.parse().ok().map(Duration::from_secs).or_else(date).map(|pause| pause.min(MAX_RETRY_AFTER))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
