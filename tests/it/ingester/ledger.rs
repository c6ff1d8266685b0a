//! What a test has sent, and what was acknowledged of it.

use crate::support::client::matched;
use crate::support::data::{T0, TraceText};
use crate::support::http::with_query;
use crate::support::server::Server;
use std::collections::{BTreeMap, BTreeSet};

/// A span, by the id of its trace and its own.
pub type SpanKey = (u128, u64);

/// A request that was sent.
#[derive(Clone)]
pub struct Sent {
    pub request: Vec<u8>,
    pub spans: Vec<SpanKey>,
}

/// Everything that was sent to the servers on one data directory.
#[derive(Default)]
pub struct Ledger {
    acknowledged: BTreeSet<SpanKey>,
    /// Sent, but the answer never came: stored or not.
    open: Vec<Sent>,
}

impl Ledger {
    /// The request was answered: its spans must be found from now on.
    pub fn acknowledge(&mut self, sent: &Sent) {
        for span in &sent.spans {
            assert!(self.acknowledged.insert(*span), "the test sent {span:?} twice");
        }
    }

    /// The answer did not come.
    pub fn leave_open(&mut self, sent: Sent) {
        self.open.push(sent);
    }

    /// Number of acknowledged spans.
    pub fn num_acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Sends again what was left open, as senders do.
    pub fn send_again(&mut self, server: &Server) {
        for sent in std::mem::take(&mut self.open) {
            server.push(&sent.request);
            self.acknowledge(&sent);
        }
    }

    /// Sees that every acknowledged span is found exactly once by id and by search, and nothing that was not sent.
    pub fn check(&self, server: &Server) {
        let open: BTreeSet<SpanKey> = self.open.iter().flat_map(|sent| sent.spans.iter().copied()).collect();
        let traces: BTreeSet<u128> = self.acknowledged.iter().chain(&open).map(|(trace, _)| *trace).collect();
        let mut by_id: BTreeMap<String, u64> = BTreeMap::new();
        let mut found = BTreeSet::new();
        for trace in traces {
            let ids = server.span_ids(trace);
            if !ids.is_empty() {
                by_id.insert(short(trace), ids.len() as u64);
            }
            for id in ids {
                let key = (trace, u64::from_str_radix(&id, 16).expect("hex"));
                assert!(found.insert(key), "span {id} of {} is shown twice", trace.text());
                assert!(self.acknowledged.contains(&key) || open.contains(&key), "span {id} of {} was never sent", trace.text());
            }
        }
        let lost: Vec<&SpanKey> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{} of {} acknowledged spans are lost: {lost:x?}", lost.len(), self.acknowledged.len());
        let by_search: BTreeMap<String, u64> =
            server.search("{ }").iter().map(|trace| (trace["traceID"].as_str().unwrap_or_default().to_string(), matched(trace))).collect();
        let differing: Vec<_> = by_id.iter().filter(|(trace, count)| by_search.get(*trace) != Some(count)).collect();
        assert!(differing.is_empty(), "search counts other spans than there are by id: {differing:?}");
        assert_eq!(by_search.len(), by_id.len(), "search finds traces that were never sent");
        assert_eq!(counted(server), found.len() as f64, "count_over_time() counts other spans than there are by id");
        for sent in &self.open {
            let num_found = sent.spans.iter().filter(|span| found.contains(span)).count();
            assert!(num_found == 0 || num_found == sent.spans.len(), "{num_found} of the {} spans of a request", sent.spans.len());
        }
    }
}

/// Number of spans as a metrics query sees it.
fn counted(server: &Server) -> f64 {
    let (start, end) = ((T0 - 60).to_string(), (T0 + 600).to_string());
    let params = [("q", "{ } | count_over_time()"), ("start", &*start), ("end", &*end)];
    server.get_json(&with_query("/api/metrics/query", &params))["series"][0]["value"].as_f64().unwrap_or_default()
}

/// As search writes it.
fn short(trace: u128) -> String {
    format!("{trace:x}")
}
