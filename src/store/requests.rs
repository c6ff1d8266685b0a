//! Counts requests where they leave the process, so that repetitions and the requests of several reads in one call are seen.

use super::instruments::StoreInstruments;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Makes HTTP clients that count.
#[derive(Debug)]
pub(super) struct CountingConnector {
    instruments: Arc<StoreInstruments>,
}

impl CountingConnector {
    pub fn new(instruments: Arc<StoreInstruments>) -> Self {
        CountingConnector { instruments }
    }
}

impl HttpConnector for CountingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(CountingService { inner, instruments: Arc::clone(&self.instruments) }))
    }
}

#[derive(Debug)]
struct CountingService {
    inner: HttpClient,
    instruments: Arc<StoreInstruments>,
}

impl CountingService {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let counts = &self.instruments;
        match *request.method() {
            http::Method::GET => counts.gets.inc(1),
            http::Method::HEAD => counts.heads.inc(1),
            http::Method::DELETE => counts.deletes.inc(1),
            _ => counts.puts.inc(1),
        }
        let answer = self.inner.execute(request).await;
        if answer.as_ref().map_or(true, |answer| answer.status().is_server_error()) {
            counts.failures.inc(1);
        }
        if let Ok(answer) = &answer {
            let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
            *counts.answered_at.lock() = date.and_then(|date| httpdate::parse_http_date(date).ok());
        }
        answer
    }
}

// The trait is written with the macro of the crate async-trait; this is what it expands to.
impl HttpService for CountingService {
    fn call<'s, 'f>(&'s self, request: HttpRequest) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(self.send(request))
    }
}
