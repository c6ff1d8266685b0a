//! What holds for every trace of the shop, and for the way it gets into the server.

use super::feed::{Feed, NUM_PAST_VISITS, request_of};
use super::recorder::{Recorded, Visit};
use super::rng::Rng;
use super::services::Service;
use super::shop;
use crate::columns::validate::validate;
use crate::distributor::{Distributor, Push, PushError, PushFuture, PushTarget};
use crate::model::{TenantId, UnixNanos};
use crate::proto::otlp::{ExportTraceServiceRequest, Span, SpanKind, StatusCode, Value};
use parking_lot::Mutex;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Enough for every turn that a visit can take.
const NUM_VISITS: usize = 2_000;
const NOW: UnixNanos = UnixNanos(1_790_000_000_000_000_000);

static VISITS: LazyLock<Vec<Vec<Recorded>>> = LazyLock::new(|| {
    let mut rng = Rng::seeded(42);
    (0..NUM_VISITS).map(|_| shop::visit(&mut rng).ending_at(NOW)).collect()
});

fn traces_of(visit: &[Recorded]) -> BTreeMap<&[u8], Vec<&Span>> {
    let mut traces: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    for Recorded { span, .. } in visit {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    traces
}

fn text_of<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.iter().find(|pair| pair.key == key).and_then(|pair| match &pair.value.as_ref()?.value {
        Some(Value::StringValue(text)) => Some(text.as_str()),
        _ => None,
    })
}

fn is_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32)
}

#[test]
fn every_trace_is_a_tree_whose_children_lie_inside_their_parents() {
    for visit in VISITS.iter() {
        for spans in traces_of(visit).into_values() {
            let by_id: HashMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), *span)).collect();
            assert_eq!(by_id.len(), spans.len(), "span ids are unique");
            assert_eq!(spans.iter().filter(|span| span.parent_span_id.is_empty()).count(), 1, "one root");
            for span in spans {
                assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
                assert!(span.end_time_unix_nano <= NOW.0);
                for event in &span.events {
                    assert!((span.start_time_unix_nano..=span.end_time_unix_nano).contains(&event.time_unix_nano));
                }
                if !span.parent_span_id.is_empty() {
                    let parent = by_id[span.parent_span_id.as_slice()];
                    assert!(span.start_time_unix_nano >= parent.start_time_unix_nano);
                    assert!(span.end_time_unix_nano <= parent.end_time_unix_nano);
                }
            }
        }
    }
}

#[test]
fn every_inner_server_has_a_client_above_it_in_another_service() {
    for visit in VISITS.iter() {
        let by_id: HashMap<&[u8], &Recorded> = visit.iter().map(|one| (one.span.span_id.as_slice(), one)).collect();
        for Recorded { origin, span } in visit.iter().filter(|one| !one.span.parent_span_id.is_empty()) {
            let parent = by_id[span.parent_span_id.as_slice()];
            if span.kind == SpanKind::Server as i32 {
                assert_eq!(parent.span.kind, SpanKind::Client as i32);
                assert_ne!(parent.origin.service, origin.service);
            } else {
                assert_eq!(parent.origin, *origin, "what is no server runs where its parent runs");
            }
        }
    }
}

#[test]
fn ids_are_unique_over_all_visits() {
    let (mut traces, mut spans) = (HashSet::new(), HashSet::new());
    for visit in VISITS.iter() {
        for trace_id in traces_of(visit).into_keys() {
            assert!(traces.insert(trace_id.to_vec()));
        }
        for Recorded { span, .. } in visit {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            assert!(spans.insert(span.span_id.clone()));
        }
    }
}

#[test]
fn no_span_says_the_same_thing_twice() {
    for Recorded { origin, span } in VISITS.iter().flatten() {
        let resource = origin.resource();
        for attributes in [&span.attributes, &resource.attributes] {
            let keys: HashSet<&str> = attributes.iter().map(|pair| pair.key.as_str()).collect();
            assert_eq!(keys.len(), attributes.len(), "{span:?}");
        }
    }
}

#[test]
fn every_request_passes_the_servers_own_checks() {
    for visit in VISITS.iter() {
        let num_spans = visit.len();
        let validated = validate(&request_of(visit.clone()).encode_to_vec()).expect("the shop's spans are legal");
        assert_eq!(validated.num_spans, num_spans);
    }
}

#[test]
fn readers_of_the_queue_link_to_its_writer() {
    let mut num_links = 0;
    for visit in VISITS.iter() {
        for Recorded { span, .. } in visit.iter().filter(|one| one.span.kind == SpanKind::Consumer as i32) {
            let [link] = span.links.as_slice() else { panic!("one link, found {:?}", span.links) };
            let writer = visit.iter().find(|one| one.span.span_id == link.span_id).expect("the writer is of the same visit");
            assert_eq!(writer.span.trace_id, link.trace_id);
            assert_ne!(writer.span.trace_id, span.trace_id, "another trace");
            assert_eq!(writer.span.kind, SpanKind::Producer as i32);
            assert!(writer.span.end_time_unix_nano <= span.start_time_unix_nano);
            num_links += 1;
        }
    }
    assert!(num_links > 100, "{num_links}");
}

#[test]
fn the_traces_have_something_of_everything() {
    let spans: Vec<&Recorded> = VISITS.iter().flatten().collect();
    let services: BTreeSet<Service> = spans.iter().map(|one| one.origin.service).collect();
    assert_eq!(services.into_iter().collect::<Vec<_>>(), Service::ALL);

    let roots: Vec<&Span> = spans.iter().map(|one| &one.span).filter(|span| span.parent_span_id.is_empty()).collect();
    let share = |hits: usize| hits as f64 / roots.len() as f64;
    let failed = share(roots.iter().filter(|span| is_failed(span)).count());
    assert!((0.005..0.05).contains(&failed), "{failed}");
    let slow = |span: &Span| span.end_time_unix_nano - span.start_time_unix_nano > 500_000_000;
    let slow = share(roots.iter().filter(|span| slow(span)).count());
    assert!((0.005..0.1).contains(&slow), "{slow}");

    let thrown: BTreeSet<&str> = spans
        .iter()
        .filter(|one| one.span.events.iter().any(|event| event.name == "exception"))
        .map(|one| one.origin.service.name())
        .collect();
    assert_eq!(thrown.into_iter().collect::<Vec<_>>(), ["cart", "email", "payment"]);
    for (key, expected) in [("db.system", ["postgresql", "redis"].as_slice()), ("messaging.system", &["kafka"]), ("rpc.system", &["grpc"])]
    {
        let found: BTreeSet<&str> = spans.iter().filter_map(|one| text_of(&one.span, key)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{key}");
    }
}

#[test]
fn the_same_seed_makes_the_same_visits() {
    let visits_of = |seed| {
        let mut rng = Rng::seeded(seed);
        (0..20).map(|_| request_of(shop::visit(&mut rng).ending_at(NOW)).encode_to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(visits_of(1), visits_of(1));
    assert_ne!(visits_of(1), visits_of(2));
}

#[test]
fn a_visit_without_spans_has_no_times() {
    assert!(Visit::default().ending_at(NOW).is_empty());
}

/// Keeps what is pushed, after refusing some of it.
#[derive(Default)]
struct Store {
    num_failures_left: Mutex<usize>,
    pushes: Mutex<Vec<Push>>,
}

impl PushTarget for Store {
    fn push(&self, push: Push) -> PushFuture<'_> {
        let mut num_failures_left = self.num_failures_left.lock();
        if *num_failures_left > 0 {
            *num_failures_left -= 1;
            return Box::pin(async { Err(PushError::Overloaded { message: "busy".to_owned(), retry_after: Duration::ZERO }) });
        }
        self.pushes.lock().push(push);
        Box::pin(async { Ok(()) })
    }
}

fn spans_in(store: &Store) -> Vec<Span> {
    let requests = store.pushes.lock();
    let decoded = requests.iter().map(|push| ExportTraceServiceRequest::decode(push.request.clone()).expect("encoded by the feed"));
    decoded.flat_map(|request| request.resource_spans).flat_map(|of_resource| of_resource.scope_spans).flat_map(|s| s.spans).collect()
}

#[tokio::test]
async fn the_past_is_filled_in_spite_of_failures() {
    let store = Arc::new(Store { num_failures_left: Mutex::new(3), ..Store::default() });
    let target: Arc<dyn PushTarget> = Arc::<Store>::clone(&store);
    let tenant = TenantId::single();
    Feed::new(Distributor::new(target), tenant.clone(), Rng::seeded(5)).fill_past(NOW).await;

    assert!(store.pushes.lock().iter().all(|push| push.tenant == tenant));
    let spans = spans_in(&store);
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    let num_visits = roots.iter().filter(|span| span.kind == SpanKind::Server as i32).count();
    assert_eq!(num_visits, usize::try_from(NUM_PAST_VISITS).expect("a small number"));
    assert!(roots.len() > num_visits, "orders leave work in the queue");
    let oldest = spans.iter().map(|span| span.start_time_unix_nano).min().expect("there are spans");
    let newest = spans.iter().map(|span| span.end_time_unix_nano).max().expect("there are spans");
    assert!((590..620).contains(&Duration::from_nanos(NOW.0 - oldest).as_secs()));
    assert!(Duration::from_nanos(NOW.0 - newest) < Duration::from_secs(3));
}

#[tokio::test]
async fn the_demo_goes_on_after_the_past() {
    let store = Arc::new(Store::default());
    let target: Arc<dyn PushTarget> = Arc::<Store>::clone(&store);
    let demo = tokio::spawn(super::run(Distributor::new(target), TenantId::single()));
    let has_gone_on = async {
        let num_requests_of_the_past = 30;
        while store.pushes.lock().len() < num_requests_of_the_past + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), has_gone_on).await.expect("the next visits come within a second");
    demo.abort();
    let newest = spans_in(&store).iter().map(|span| span.end_time_unix_nano).max().expect("there are spans");
    assert!(newest.abs_diff(UnixNanos::now().0) < 20_000_000_000);
}
