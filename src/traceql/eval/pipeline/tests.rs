//! Stages against a slow evaluator that follows the tables of spec/traceql.md chapters 8 and 9 span by span.

use super::*;
use crate::traceql::ast::Relation;
use crate::traceql::eval::place::TreeNumber;
use proptest::prelude::*;

const NUM_FILTERS: usize = 3;

/// Traces as they are told to a pipeline, with what the filters keep and the values of the only expression.
struct Fake {
    traces: Vec<Range<usize>>,
    tree: Tree,
    kept: Vec<Arc<Bitmap>>,
    values: Vec<Scalar>,
}

impl TraceRows for Fake {
    fn num_rows(&self) -> usize {
        self.values.len()
    }

    fn traces(&self) -> &[Range<usize>] {
        &self.traces
    }

    fn matches(&self, filter: usize) -> Result<Arc<Bitmap>, EvalError> {
        Ok(Arc::clone(&self.kept[filter]))
    }

    fn values(&self, _expression: usize, rows: &[u32]) -> Result<Vec<Scalar>, EvalError> {
        assert!(rows.is_sorted());
        Ok(rows.iter().map(|row| self.values[*row as usize].clone()).collect())
    }

    fn tree(&self) -> Result<&Tree, EvalError> {
        Ok(&self.tree)
    }
}

/// Each trace as the depths of its spans in depth-first order, whether its top spans are orphans, and per span which filters keep
/// it and its value.
type Spans = Vec<(usize, bool, [bool; NUM_FILTERS], Option<i64>)>;

fn fake(traces: &[Spans]) -> Fake {
    let (mut ranges, mut offsets, mut orphans, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut kept = vec![Vec::new(); NUM_FILTERS];
    for spans in traces {
        let first = offsets.len();
        // The last row at each depth.
        let mut path: Vec<usize> = Vec::new();
        for (depth, is_orphan, bits, value) in spans {
            let row = offsets.len();
            path.truncate(*depth);
            offsets.push(path.last().map_or(0, |parent| (row - parent) as u32));
            if path.is_empty() && *is_orphan {
                orphans.push(row as u32);
            }
            path.push(row);
            (0..NUM_FILTERS).filter(|filter| bits[*filter]).for_each(|filter| kept[filter].push(row as u32));
            values.push(value.map_or(Scalar::Nil, Scalar::Int));
        }
        ranges.push(first..offsets.len());
    }
    let mut subtrees = vec![1; offsets.len()];
    for row in (0..offsets.len()).rev().filter(|row| offsets[*row] > 0) {
        subtrees[row - offsets[row] as usize] += subtrees[row];
    }
    let ends = ranges.iter().map(|range: &Range<usize>| range.end as u32);
    let tree = Tree::new(std::iter::once(0).chain(ends).collect(), &offsets, subtrees, &orphans);
    let kept = kept.iter().map(|rows| Arc::new(Bitmap::from_rows(values.len(), rows))).collect();
    Fake { traces: ranges, tree, kept, values }
}

/// The spansets of one trace after a list of stages; `None` if that is an error.
fn slow_stages(stages: &[Stage], fake: &Fake, mut sets: Vec<(Vec<u32>, Vec<Scalar>)>) -> Option<Vec<(Vec<u32>, Vec<Scalar>)>> {
    for stage in stages {
        sets = match stage {
            Stage::Spansets(operand) => {
                let kept = sets.into_iter().map(|(rows, values)| Some((slow_operand(operand, fake, &rows)?.concat(), values)));
                kept.collect::<Option<Vec<_>>>()?
            }
            Stage::Coalesce => vec![(sets.into_iter().flat_map(|(rows, _)| rows).collect(), Vec::new())],
            Stage::GroupBy { .. } => sets.into_iter().flat_map(|(rows, values)| slow_groups(fake, &rows, &values)).collect(),
            Stage::Aggregate { aggregate, op, value, .. } => {
                let judged = sets.into_iter().filter_map(|(rows, mut values)| {
                    let number = slow_aggregate(*aggregate, fake, &rows)?;
                    let Scalar::Int(bound) = value else { panic!("only ints are compared with") };
                    let is_kept = if *op == BinaryOp::Gt { number > *bound as f64 } else { number <= *bound as f64 };
                    values.push(Scalar::Float(number));
                    is_kept.then_some((rows, values))
                });
                judged.collect()
            }
        };
        sets.iter_mut().for_each(|(rows, _)| {
            rows.sort_unstable();
            rows.dedup();
        });
        sets.retain(|(rows, _)| !rows.is_empty());
    }
    Some(sets)
}

fn slow_groups(fake: &Fake, rows: &[u32], values: &[Scalar]) -> Vec<(Vec<u32>, Vec<Scalar>)> {
    let mut groups: Vec<(Vec<u32>, Vec<Scalar>)> = Vec::new();
    for row in rows {
        let value = &fake.values[*row as usize];
        match groups.iter_mut().find(|(_, of)| of.last() == Some(value)) {
            Some((group, _)) => group.push(*row),
            None => groups.push((vec![*row], values.iter().chain([value]).cloned().collect())),
        }
    }
    groups
}

fn slow_aggregate(aggregate: Aggregate, fake: &Fake, rows: &[u32]) -> Option<f64> {
    let numbers: Vec<i64> =
        rows.iter().filter_map(|row| if let Scalar::Int(int) = fake.values[*row as usize] { Some(int) } else { None }).collect();
    match aggregate {
        Aggregate::Count => Some(rows.len() as f64),
        Aggregate::Over(..) if numbers.is_empty() => None,
        Aggregate::Over(AggregateOp::Max, _) => numbers.iter().max().map(|max| *max as f64),
        Aggregate::Over(AggregateOp::Min, _) => numbers.iter().min().map(|min| *min as f64),
        Aggregate::Over(AggregateOp::Sum, _) => Some(numbers.iter().sum::<i64>() as f64),
        Aggregate::Over(AggregateOp::Avg, _) => Some(numbers.iter().sum::<i64>() as f64 / numbers.len() as f64),
    }
}

/// The spansets of an operand on some rows of a trace; `None` for an error.
fn slow_operand(operand: &Operand, fake: &Fake, rows: &[u32]) -> Option<Vec<Vec<u32>>> {
    let (op, left, right) = match operand {
        Operand::Binary { op: op @ (SpansetOp::And | SpansetOp::Related(_) | SpansetOp::UnionRelated(_)), left, right } => {
            let left = slow_operand(left, fake, rows)?;
            if left.concat().is_empty() {
                return Some(vec![Vec::new()]);
            }
            (*op, left, slow_operand(right, fake, rows)?)
        }
        Operand::Filter(filter) => return Some(vec![rows.iter().copied().filter(|row| fake.kept[*filter].contains(*row)).collect()]),
        Operand::Pipeline(stages) => {
            return slow_stages(stages, fake, vec![(rows.to_vec(), Vec::new())])
                .map(|sets| sets.into_iter().map(|(rows, _)| rows).collect());
        }
        Operand::Binary { op, left, right } => (*op, slow_operand(left, fake, rows)?, slow_operand(right, fake, rows)?),
    };
    let (num_left, num_right) = (left.len(), right.len());
    let (left, right) = (left.concat(), right.concat());
    if !right.is_empty() && (num_left > 1 || num_right > 1) {
        return None;
    }
    let has = |relation, b: u32| left.iter().any(|a| is_related(relation, *a, b, fake));
    let is_left_of = |relation, a: u32| right.iter().any(|b| is_related(relation, a, *b, fake));
    Some(vec![match op {
        SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
        SpansetOp::And | SpansetOp::Or => left.iter().chain(&right).copied().collect(),
        SpansetOp::Related(relation) => right.iter().copied().filter(|b| has(relation, *b)).collect(),
        SpansetOp::NotRelated(relation) => right.iter().copied().filter(|b| !has(relation, *b)).collect(),
        SpansetOp::UnionRelated(relation) => {
            let lefts = left.iter().copied().filter(|a| is_left_of(relation, *a));
            lefts.chain(right.iter().copied().filter(|b| has(relation, *b))).collect()
        }
    }])
}

/// The table of §8.2.
fn is_related(relation: Relation, a: u32, b: u32, fake: &Fake) -> bool {
    let number = |number, row: u32| fake.tree.numbers(number)[row as usize];
    let (left, right, parent) = (TreeNumber::Left, TreeNumber::Right, TreeNumber::Parent);
    let is_below = |y, x| number(left, y) > number(left, x) && number(right, y) < number(right, x);
    if number(left, a) == 0 || number(left, b) == 0 {
        return false;
    }
    match relation {
        Relation::Child => number(parent, b) == number(left, a),
        Relation::Parent => number(parent, a) == number(left, b),
        Relation::Descendant => is_below(b, a),
        Relation::Ancestor => is_below(a, b),
        Relation::Sibling => a != b && number(parent, a) == number(parent, b),
    }
}

fn relation() -> impl Strategy<Value = Relation> {
    prop::sample::select(vec![Relation::Child, Relation::Parent, Relation::Descendant, Relation::Ancestor, Relation::Sibling])
}

fn spanset_op() -> impl Strategy<Value = SpansetOp> {
    prop_oneof![
        Just(SpansetOp::And),
        Just(SpansetOp::Or),
        relation().prop_map(SpansetOp::Related),
        relation().prop_map(SpansetOp::NotRelated),
        relation().prop_map(SpansetOp::UnionRelated),
    ]
}

fn operand() -> impl Strategy<Value = Operand> {
    let leaf = prop_oneof![
        4 => (0..NUM_FILTERS).prop_map(Operand::Filter),
        1 => (0..NUM_FILTERS, other_stage()).prop_map(|(filter, stage)| Operand::Pipeline(vec![Stage::Spansets(Operand::Filter(filter)), stage])),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        (spanset_op(), inner.clone(), inner).prop_map(|(op, left, right)| Operand::Binary {
            op,
            left: Box::new(left),
            right: Box::new(right),
        })
    })
}

fn other_stage() -> impl Strategy<Value = Stage> {
    let aggregate = prop_oneof![
        Just(Aggregate::Count),
        prop::sample::select(vec![AggregateOp::Max, AggregateOp::Min, AggregateOp::Sum, AggregateOp::Avg])
            .prop_map(|op| Aggregate::Over(op, 0)),
    ];
    prop_oneof![
        (aggregate, any::<bool>(), -2_i64..4).prop_map(|(aggregate, is_greater, bound)| Stage::Aggregate {
            key: "aggregate".to_owned(),
            aggregate,
            op: if is_greater { BinaryOp::Gt } else { BinaryOp::Le },
            value: Scalar::Int(bound),
        }),
        Just(Stage::GroupBy { key: "by".to_owned(), expression: 0 }),
        Just(Stage::Coalesce),
    ]
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    prop::collection::vec(prop_oneof![3 => operand().prop_map(Stage::Spansets), 2 => other_stage()], 1..4)
}

fn spans() -> impl Strategy<Value = Spans> {
    prop::collection::vec((0_usize..4, any::<bool>(), any::<[bool; NUM_FILTERS]>(), prop::option::of(-2_i64..3)), 1..8)
}

fn numbers(attributes: &[(Arc<str>, Scalar)]) -> Vec<String> {
    let shown = |value: &Scalar| match value {
        Scalar::Int(int) => format!("{:?}", *int as f64),
        Scalar::Float(double) => format!("{double:?}"),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|(_, value)| shown(value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn stages_follow_the_tables(traces in prop::collection::vec(spans(), 1..4), stages in stages()) {
        let fake = fake(&traces);
        let slow: Option<Vec<_>> = fake.traces.iter()
            .map(|range| slow_stages(&stages, &fake, vec![((range.start as u32..range.end as u32).collect(), Vec::new())]))
            .collect();
        let pipeline = Pipeline { stages, filters: vec![Filter::everything(); NUM_FILTERS], expressions: Vec::new() };
        let found = match (pipeline.run(&fake), &slow) {
            (Ok(found), Some(_)) => found,
            (Err(EvalError::Runtime(_)), None) => return Ok(()),
            (result, slow) => panic!("{result:?} instead of {slow:?}"),
        };
        for (trace, expected) in slow.unwrap_or_default().into_iter().enumerate() {
            let sets = found.sets_of(trace as u32, &fake.traces);
            let mut ours: Vec<_> = sets.iter().map(|set| (set.rows.clone(), numbers(&set.attributes))).collect();
            let named = |values: Vec<Scalar>| numbers(&values.into_iter().map(|value| ("".into(), value)).collect::<Vec<_>>());
            let mut expected: Vec<_> = expected.into_iter().map(|(rows, values)| (rows, named(values))).collect();
            ours.sort();
            expected.sort();
            prop_assert_eq!(&ours, &expected);
            prop_assert_eq!(found.traces(&fake.traces).contains(&(trace as u32)), !expected.is_empty());
            if !expected.is_empty() {
                let range = &fake.traces[trace];
                let has_match = |filter: usize| fake.kept[filter].any_in(range.clone());
                prop_assert!(pipeline.may_match(&has_match), "a trace that is found may be found");
            }
        }
    }
}

#[test]
fn a_query_is_compiled_into_stages() {
    let compiled = |query: &str| {
        let query = crate::traceql::compile(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        Pipeline::compile(&query).unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(compiled("{ name = \"a\" }").filters_only(), Some(vec![0]));
    assert_eq!(compiled("{ .a = 1 } | select(.b) | { .c = 2 }").filters_only(), Some(vec![0, 1]));
    assert_eq!(compiled("{ .a = 1 } | count() > 1").filters_only(), None);
    assert_eq!(compiled("{ .a = 1 } && { .b = 1 }").filters_only(), None);
    assert!(!compiled("{ false } >> { .a = 1 }").can_match());
    assert!(!compiled("{ false } && { .a = 1 }").can_match());
    assert!(compiled("{ false } || { .a = 1 }").can_match());
    assert!(compiled("{ false } !>> { .a = 1 }").can_match());
    let Stage::Aggregate { key, .. } = &compiled("{ } | avg(span.x) > 1").stages[1] else { panic!("no aggregate") };
    assert_eq!(key, "avg(span.x)");
}
