//! What a query answers with: series of samples, their labels, and the order of both (spec/traceql.md §11.5).

use crate::model::gofmt;
use crate::traceql::ast::Attribute;
use crate::traceql::duration::format_duration;
use crate::traceql::eval::Scalar;
use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

/// Labels and samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the order of the answer.
    pub labels: Vec<Label>,
    /// One for each bucket, NaN where there is none.
    pub samples: Vec<f64>,
    /// Spans that contributed, by time.
    pub exemplars: Vec<Exemplar>,
}

/// A span that contributed to a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The attributes that the query looks at, first of all `trace:id`.
    pub labels: Vec<Label>,
    /// The measured value; NaN stands for the series' own sample.
    pub value: f64,
    /// Start of the span, Unix nanoseconds.
    pub unix_nanos: u64,
}

/// A name with a typed value.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The canonical text of an attribute, or a name of its own such as `__name__`.
    pub name: Arc<str>,
    /// The value.
    pub value: LabelValue,
}

/// What a label can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelValue {
    /// A text; also durations as Go prints them, and the words of statuses and kinds.
    Str(Arc<str>),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
}

impl LabelValue {
    /// The value as it is shown; `None` for nil.
    pub fn of(value: &Scalar) -> Option<Self> {
        Some(match value {
            Scalar::Nil => return None,
            Scalar::Str(text) => LabelValue::Str(Arc::clone(text)),
            Scalar::Int(int) => LabelValue::Int(*int),
            Scalar::Float(double) => LabelValue::Double(*double),
            Scalar::Bool(bit) => LabelValue::Bool(*bit),
            Scalar::Duration(nanos) => LabelValue::Str(format_duration(*nanos).into()),
            Scalar::Status(status) => LabelValue::Str(status.as_str().into()),
            Scalar::Kind(kind) => LabelValue::Str(kind.as_str().into()),
            Scalar::Array(_) => LabelValue::Str("nil".into()),
        })
    }

    /// The text of the value as a protobuf message prints itself, by which series are ordered.
    fn protobuf_text(&self) -> String {
        match self {
            LabelValue::Str(text) => {
                let mut out = String::with_capacity(text.len() + 16);
                out.push_str("string_value:\"");
                text.bytes().for_each(|byte| push_escaped(&mut out, byte));
                out.push('"');
                out
            }
            LabelValue::Int(int) => format!("int_value:{int}"),
            LabelValue::Double(double) => format!("double_value:{}", gofmt::float_g(*double)),
            LabelValue::Bool(bit) => format!("bool_value:{bit}"),
        }
    }

    /// Orders values as the ranking stages do on ties (§11.8): by text, which only texts have, then by type and number. Recorded
    /// (metrics-topk-008): of two numbers the larger one comes first.
    fn tie_order(&self, other: &Self) -> Ordering {
        let text = |value: &LabelValue| match value {
            LabelValue::Str(text) => Arc::clone(text),
            _ => Arc::from(""),
        };
        let by_number = || match (self, other) {
            (LabelValue::Int(left), LabelValue::Int(right)) => right.cmp(left),
            (LabelValue::Double(left), LabelValue::Double(right)) => right.total_cmp(left),
            (LabelValue::Bool(left), LabelValue::Bool(right)) => right.cmp(left),
            _ => self.type_rank().cmp(&other.type_rank()),
        };
        text(self).cmp(&text(other)).then_with(by_number)
    }

    fn type_rank(&self) -> u8 {
        match self {
            LabelValue::Int(_) => 0,
            LabelValue::Double(_) => 1,
            LabelValue::Str(_) => 2,
            LabelValue::Bool(_) => 3,
        }
    }
}

fn push_escaped(out: &mut String, byte: u8) {
    match byte {
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x20..0x7f => out.push(char::from(byte)),
        // Writing to memory does not fail.
        _ => _ = write!(out, "\\{byte:03o}"),
    }
}

impl Label {
    /// A label with a text.
    pub fn text(name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        Label { name: name.into(), value: LabelValue::Str(value.into()) }
    }

    /// A text that differs where labels differ.
    pub fn sort_text(&self) -> (Arc<str>, String) {
        (Arc::clone(&self.name), self.value.protobuf_text())
    }

    /// A label with a double.
    pub fn double(name: &str, value: f64) -> Self {
        Label { name: name.into(), value: LabelValue::Double(value) }
    }
}

impl Series {
    /// A series without exemplars.
    pub fn new(labels: Vec<Label>, samples: Vec<f64>) -> Self {
        Series { labels, samples, exemplars: Vec::new() }
    }

    /// Whether there is any sample.
    pub fn has_samples(&self) -> bool {
        self.samples.iter().any(|sample| !sample.is_nan())
    }

    /// Orders series as the ranking stages do on ties.
    pub fn tie_order(&self, other: &Self) -> Ordering {
        let pairs = self.labels.iter().zip(&other.labels);
        let by_label = pairs.map(|(left, right)| left.value.tie_order(&right.value)).find(|order| order.is_ne());
        by_label.unwrap_or_else(|| self.labels.len().cmp(&other.labels.len()))
    }
}

/// Puts series into the order of the answer: fewer labels first, then label by label by name and text of the value.
pub fn sort(series: &mut [Series]) {
    series.sort_by_cached_key(|series| {
        let texts = series.labels.iter().map(|label| (Arc::clone(&label.name), label.value.protobuf_text()));
        (series.labels.len(), texts.collect::<Vec<_>>())
    });
}

/// The labels of a group: nil is left out, but if all are nil the first one stays as the text `nil`.
pub fn group_labels(by: &[Arc<str>], values: impl Iterator<Item = Scalar>) -> Vec<Label> {
    let label = |(name, value): (&Arc<str>, Scalar)| Some(Label { name: Arc::clone(name), value: LabelValue::of(&value)? });
    by.iter().zip(values).filter_map(label).collect()
}

/// What stands for a group whose labels are all nil.
pub fn all_nil(by: &[Arc<str>]) -> Vec<Label> {
    by.first().map(|name| Label::text(Arc::clone(name), "nil")).into_iter().collect()
}

/// The names of the labels of `by (…)`.
pub fn label_names(by: &[Attribute]) -> Vec<Arc<str>> {
    by.iter().map(|attribute| attribute.canonical_text().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: Vec<Label>) -> Series {
        Series::new(labels, Vec::new())
    }

    #[test]
    fn series_are_ordered_by_the_text_of_their_labels() {
        let int = |value| Label { name: "a".into(), value: LabelValue::Int(value) };
        let ordered = vec![
            vec![Label { name: "a".into(), value: LabelValue::Bool(true) }],
            vec![Label::double("a", 0.5)],
            vec![int(-5)],
            vec![int(10)],
            vec![int(9)],
            vec![Label::text("a", "")],
            vec![Label::text("a", "B")],
            // Written as a backslash and digits.
            vec![Label::text("a", "\u{e4}")],
            // The quote that ends the shorter text comes before letters, a blank even before the quote.
            vec![Label::text("a", "a b")],
            vec![Label::text("a", "a")],
            vec![Label::text("a", "aa")],
            vec![Label::text("a", "b")],
            vec![Label::text("b", "a")],
            vec![Label::text("a", "a"), Label::text("b", "a")],
        ];
        let mut sorted: Vec<Series> = ordered.iter().rev().cloned().map(series).collect();
        sort(&mut sorted);
        assert_eq!(sorted, ordered.into_iter().map(series).collect::<Vec<_>>());
    }

    #[test]
    fn ties_are_broken_by_text_then_number() {
        let text = |value: &str| series(vec![Label::text("a", value)]);
        let double = |value| series(vec![Label::double("a", value)]);
        assert_eq!(text("a b").tie_order(&text("a")), Ordering::Greater);
        assert_eq!(double(0.5).tie_order(&double(0.25)), Ordering::Less);
        assert_eq!(double(0.5).tie_order(&text("a")), Ordering::Less);
    }

    #[test]
    fn nil_labels_are_left_out() {
        let by: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        let (nil, five) = (Scalar::Nil, Scalar::Int(5));
        assert_eq!(group_labels(&by, [nil.clone(), five].into_iter()), [Label { name: "b".into(), value: LabelValue::Int(5) }]);
        assert_eq!(group_labels(&by, [nil.clone(), nil].into_iter()), []);
        assert_eq!(all_nil(&by), [Label::text("a", "nil")]);
        assert_eq!(all_nil(&[]), []);
    }
}
