//! Bearer tokens: from the operator's file, as often as it changes, to the guards of all listeners.

use super::listeners::Receiver;
use crate::config::{Config, load_tokens};
use crate::runtime::memory::Memory;
use crate::runtime::serve::Router;
use crate::runtime::serve::admission::within;
use crate::runtime::serve::measured::measured;
use crate::runtime::serve::tokens::{Guard, NeedsOf, Tokens, guarded};
use crate::telemetry::registry::Durations;
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Tokens, if requests need them.
#[derive(Clone)]
pub(super) struct Access {
    tokens: Option<Tokens>,
    multitenancy: bool,
}

impl Access {
    /// Reads the file. One that cannot be read is an error now, while later the tokens stay as they were.
    pub(super) fn start(config: &Config) -> anyhow::Result<Self> {
        let Some(file) = &config.tokens.file else { return Ok(Access { tokens: None, multitenancy: config.multitenancy_enabled }) };
        let tokens = Tokens::default();
        tokens.replace(load_tokens(file).context("the tokens of clients (bearer_tokens.file)")?);
        tracing::info!(tokens = tokens.len(), "requests need a bearer token");
        if !super::listeners::wanted_udp(config).is_empty() {
            tracing::warn!("datagrams carry no token: Jaeger's UDP receivers are not served while bearer_tokens.file is set");
        }
        Ok(Access { tokens: Some(tokens), multitenancy: config.multitenancy_enabled })
    }

    /// Before the listeners of the query API.
    pub(super) fn guard(&self, needs: NeedsOf) -> Option<Guard> {
        self.tokens.clone().map(|tokens| Guard::new(tokens, self.multitenancy, needs))
    }

    /// What stands before a receiver, from the outside in: tokens, time, memory.
    pub(super) fn entrance(&self, memory: &Memory, durations: &Durations) -> impl Fn(Receiver, Router) -> Router + use<> {
        let (access, memory, durations) = (self.clone(), memory.clone(), durations.clone());
        move |receiver, router| {
            let guard = access.tokens.clone().map(|tokens| Guard::of_receiver(tokens, access.multitenancy));
            guarded(measured(within(router, memory.clone()), durations.clone(), receiver.name()), guard)
        }
    }

    /// Reads the file again and again until told to stop.
    pub(super) async fn run(self, config: Config, mut stop: watch::Receiver<()>) {
        let (Some(tokens), Some(file)) = (self.tokens, config.tokens.file) else { return };
        let period = config.tokens.reload_interval.max(Duration::from_millis(10));
        let mut has_failed = false;
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(period) => reload(&tokens, file.clone(), &mut has_failed).await,
            }
        }
    }
}

async fn reload(tokens: &Tokens, file: PathBuf, has_failed: &mut bool) {
    match tokio::task::spawn_blocking(move || load_tokens(&file)).await {
        Ok(Ok(read)) => {
            tokens.replace(read);
            *has_failed = false;
        }
        // The same file is read every few seconds; its error is told once.
        Ok(Err(error)) if !*has_failed => {
            tracing::error!(%error, "the tokens of clients cannot be read; those that hold go on to hold");
            *has_failed = true;
        }
        Ok(Err(_)) | Err(_) => {}
    }
}
