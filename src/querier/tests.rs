//! Answers do not depend on catalogues.

use super::search::{SearchParams, Watcher, search, search_watched};
use super::tags::{TagParams, tag_names, tag_values};
use super::unit::Units;
use super::{QueryError, Snapshot};
use crate::block::catalogue::tests::without_lists;
use crate::block::output::FilesInMemory;
use crate::block::reader::Block;
use crate::block::schema::CATALOGUE_FILE;
use crate::block::{BlockInput, NewBlock, write_block};
use crate::columns::Chunk;
use crate::model::{BlockId, TenantId, TimeRange, UnixNanos};
use crate::proto::tempopb::{SearchResponse, TraceSearchMetadata};
use crate::traceql::ast::{Attribute, Body, FieldExpr, Intrinsic, Pipeline, Query, Scope, SpansetExpr, Stage};
use crate::traceql::eval::Filter;
use crate::traceql::eval::tests::random::{chunk_of, expression, origins};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;

/// What becomes of a block's catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Removed,
    AsWritten,
    /// Bounds and filters have to do.
    WithoutLists,
}

fn written(chunk: &Chunk) -> Option<NewBlock> {
    let tenant = TenantId::parse("someone").expect("legal");
    let input = BlockInput { id: BlockId::random(), tenant: &tenant, sources: &[chunk], takes: &|_| true, created: UnixNanos(1) };
    write_block(&input).expect("chunks can be written")
}

fn opened(block: &NewBlock, form: Form) -> Arc<Block> {
    let (mut meta, mut files) = (block.meta.clone(), block.files.clone());
    match form {
        Form::AsWritten => {}
        Form::Removed => meta.files.retain(|file| file.name != CATALOGUE_FILE),
        Form::WithoutLists => {
            let (_, bytes) = files.iter_mut().find(|(name, _)| name == CATALOGUE_FILE).expect("every block has one");
            *bytes = Bytes::from(without_lists(bytes));
            let listed = meta.files.iter_mut().find(|file| file.name == CATALOGUE_FILE).expect("every file is listed");
            (listed.bytes, listed.crc32c) = (bytes.len() as u64, crc32c::crc32c(bytes));
        }
    }
    let id = BlockId::parse(&meta.block_id).expect("our own");
    Arc::new(Block::open(id, meta, Arc::new(FilesInMemory(files))).expect("our own"))
}

/// A moment with a block of each chunk; the later ones list the traces that they share with earlier ones.
fn snapshot(chunks: &[Chunk], form: Form) -> Snapshot {
    let mut blocks: Vec<NewBlock> = chunks.iter().filter_map(written).collect();
    for at in 1..blocks.len() {
        let (earlier, later) = blocks.split_at_mut(at);
        let is_known = |id| earlier.iter().any(|block| block.trace_ids.contains(id));
        later[0].meta.split = later[0].trace_ids.iter().filter(|id| is_known(id)).map(|id| id.to_string()).collect();
    }
    let blocks = blocks.iter().map(|block| opened(block, form)).collect();
    Snapshot { blocks: Arc::new(blocks), ..Snapshot::default() }
}

fn query(filter: &FieldExpr) -> Query {
    let stages = vec![Stage::Spansets(SpansetExpr::Filter(filter.clone()))];
    Query { body: Body::Pipeline(Pipeline { stages }), hints: Vec::new() }
}

/// All that is answered about a filter, and about everything.
fn answers(snapshot: &Snapshot, filter: &FieldExpr) -> Vec<Result<String, String>> {
    let params = SearchParams { query: Some(query(filter)), limit: 3, spans_per_span_set: 3, range: TimeRange::ALL };
    let mut answers = vec![shown(search(snapshot, &params).map(|response| response.traces))];
    for filter in [None, Some(filter.clone())] {
        let params = TagParams { filter, ..TagParams::default() };
        answers.push(shown(tag_names(snapshot, &params)));
        let scopes = [Scope::None, Scope::Span, Scope::Resource, Scope::Instrumentation, Scope::Event, Scope::Link];
        let attributes = scopes.into_iter().map(|scope| Attribute::scoped(scope, "a"));
        let intrinsics = [Intrinsic::Name, Intrinsic::Kind, Intrinsic::Status, Intrinsic::EventName, Intrinsic::RootName];
        let tags = attributes.chain(intrinsics.into_iter().map(Attribute::Intrinsic));
        answers.extend(tags.map(|tag| shown(tag_values(snapshot, &tag, &params))));
    }
    answers
}

fn shown<T: std::fmt::Debug>(result: Result<T, QueryError>) -> Result<String, String> {
    result.map(|answer| format!("{answer:?}")).map_err(|error| error.to_string())
}

/// Wants to know everything at once.
#[derive(Default)]
struct Eager(Vec<SearchResponse>);

impl Watcher for Eager {
    fn is_due(&mut self) -> bool {
        true
    }

    fn tell(&mut self, partial: SearchResponse) {
        self.0.push(partial);
    }
}

/// The expression about events where it is about spans.
fn of_events(expression: &FieldExpr) -> FieldExpr {
    let boxed = |operand: &FieldExpr| Box::new(of_events(operand));
    match expression {
        FieldExpr::Attribute(Attribute::Scoped { scope: Scope::Span, key }) => FieldExpr::Attribute(Attribute::scoped(Scope::Event, key)),
        FieldExpr::Attribute(Attribute::Intrinsic(Intrinsic::Name)) => FieldExpr::Attribute(Attribute::Intrinsic(Intrinsic::EventName)),
        FieldExpr::Static(_) | FieldExpr::Attribute(_) => expression.clone(),
        FieldExpr::Unary { op, operand } => FieldExpr::Unary { op: *op, operand: boxed(operand) },
        FieldExpr::IsNil(operand) => FieldExpr::IsNil(boxed(operand)),
        FieldExpr::NotNil(operand) => FieldExpr::NotNil(boxed(operand)),
        FieldExpr::Binary { op, left, right } => FieldExpr::Binary { op: *op, left: boxed(left), right: boxed(right) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_told_on_the_way_is_in_the_answer(data in vec(origins(), 1..4), filter in expression(), limit in 1usize..5) {
        let chunks: Vec<Chunk> = data.into_iter().map(chunk_of).collect();
        let snapshot = snapshot(&chunks, Form::AsWritten);
        let params = SearchParams { query: Some(query(&filter)), limit, spans_per_span_set: 3, range: TimeRange::ALL };
        let mut eager = Eager::default();
        // Expressions that cannot be evaluated are tested elsewhere.
        let Ok(answer) = search_watched(&snapshot, &params, &mut eager) else { return Ok(()) };
        // As text, where what is no number equals itself.
        let text = |trace: &TraceSearchMetadata| format!("{trace:?}");
        let answer: Vec<String> = answer.traces.iter().map(text).collect();
        let unwatched = search(&snapshot, &params).expect("as before").traces;
        prop_assert_eq!(&answer, &unwatched.iter().map(text).collect::<Vec<_>>());
        let told: Vec<_> = eager.0.into_iter().flat_map(|partial| partial.traces).collect();
        let ids: HashSet<_> = told.iter().map(|trace| trace.trace_id.clone()).collect();
        prop_assert_eq!(ids.len(), told.len(), "told once");
        for trace in told.iter().filter(|told| unwatched.iter().any(|trace| trace.trace_id == told.trace_id)) {
            prop_assert!(answer.contains(&text(trace)), "what is told does not change: {:?}", trace);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn answers_do_not_depend_on_catalogues(data in vec(origins(), 1..3), filters in vec((expression(), any::<bool>()), 1..5)) {
        let chunks: Vec<Chunk> = data.into_iter().map(chunk_of).collect();
        let snapshots = [Form::Removed, Form::AsWritten, Form::WithoutLists].map(|form| snapshot(&chunks, form));
        for (filter, is_of_events) in &filters {
            let filter = if *is_of_events { of_events(filter) } else { filter.clone() };
            let [expected, as_written, without_lists] = [0, 1, 2].map(|at: usize| answers(&snapshots[at], &filter));
            prop_assert_eq!(&as_written, &expected, "{:?}", filter);
            prop_assert_eq!(&without_lists, &expected, "{:?}", filter);
        }
    }
}

/// Whether the catalogue of a block with one span rules a filter out.
fn is_ruled_out(filter: &str, form: Form) -> bool {
    use crate::proto::otlp::{AnyValue, Event, KeyValue, Span, Value};
    let attribute =
        |key: &str, value| KeyValue { key: key.to_string(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() };
    let text = |text: &str| Value::StringValue(text.to_string());
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET /".to_string(),
        start_time_unix_nano: 10,
        end_time_unix_nano: 30,
        attributes: vec![
            attribute("order.id", text("o-1")),
            attribute("size", Value::IntValue(7)),
            attribute("ratio", Value::DoubleValue(0.5)),
        ],
        events: vec![Event { name: "retry".to_string(), ..Event::default() }],
        ..Span::default()
    };
    let request = crate::traceql::eval::tests::request(vec![attribute("service.name", text("shop"))], Default::default(), vec![span]);
    let mut chunk = Chunk::default();
    crate::traceql::eval::tests::append(&mut chunk, &request);
    let query = crate::traceql::compile(filter).expect("a query");
    let Body::Pipeline(Pipeline { stages }) = &query.body else { panic!("no pipeline") };
    let [Stage::Spansets(SpansetExpr::Filter(expression))] = &stages[..] else { panic!("more than a filter") };
    let snapshot = snapshot(&[chunk], form);
    Units::of(&snapshot).rules_out(0, &Filter::compile(expression).expect("supported")).expect("own files")
}

#[test]
fn what_cannot_be_is_ruled_out() {
    let by_lists = [
        "{ name = \"POST /\" }",
        "{ name =~ \"P.*\" }",
        "{ span.order.id =~ \"p.*\" }",
        "{ resource.service.name = \"cart\" }",
        "{ .order.id != \"o-1\" }",
        "{ kind = server }",
        "{ status = error }",
        "{ event:name = \"other\" }",
        "{ span.size != 7 }",
    ];
    let by_bounds = [
        "{ span.order.id = \"no-such\" }",
        "{ .order.id = \"no-such\" }",
        "{ span.size > 7 }",
        "{ span.size = 6 || span.ratio < 0.5 }",
        "{ duration > 1s && name = \"GET /\" }",
        "{ span.other != nil }",
        "{ span.order.id = 5 }",
        "{ link.k = 1 }",
        "{ event.k = 1 }",
        "{ resource.k = \"v\" }",
    ];
    for filter in by_lists.iter().chain(&by_bounds) {
        assert!(is_ruled_out(filter, Form::AsWritten), "{filter}");
        assert!(!is_ruled_out(filter, Form::Removed), "{filter}");
    }
    for filter in by_bounds {
        assert!(is_ruled_out(filter, Form::WithoutLists), "{filter}");
    }
    let matching = [
        "{ span.order.id = \"o-1\" }",
        "{ span.size = 7 && duration = 20ns }",
        "{ span.other = nil }",
        "{ event:name = \"retry\" }",
        "{ !(name = \"POST /\") }",
        "{ rootName = \"other\" }",
    ];
    for filter in matching {
        for form in [Form::AsWritten, Form::WithoutLists] {
            assert!(!is_ruled_out(filter, form), "{filter}");
        }
    }
}
