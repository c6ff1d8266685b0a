//! Whether a filter can keep any span at all, told from a catalogue.
//!
//! `false` is certain: evaluated over data that the catalogue describes, the filter keeps nothing and does not fail. So pruning
//! changes no answer. `true` means that nobody knows.

use super::condition::{AnyValue, Test};
use super::leaf::{Asks, Leaf};
use super::node::Node;
use super::place::{Place, SpanColumn};
use super::scalar::Scalar;
use crate::columns::known::{Catalogue, Holder, Known};
use crate::columns::value::ValueKind;
use crate::columns::view::{Column, Condition, Detail};

impl Node {
    /// See the top of the file.
    pub(super) fn may_match(&self, catalogue: &dyn Catalogue) -> bool {
        match self {
            Node::Const(bit) => *bit,
            Node::Leaf(leaf) => leaf.may_match(catalogue),
            Node::SameDetail(of, conditions) => {
                let holder = holder_of(*of);
                catalogue.has(holder) && conditions.iter().all(|leaf| may_fulfil(&leaf.place, &leaf.asks, holder, catalogue))
            }
            Node::And(operands) => {
                // What comes after an operand that can fail might have hidden a failure.
                for operand in operands {
                    if !operand.may_match(catalogue) {
                        return false;
                    }
                    if operand.can_fail() {
                        return true;
                    }
                }
                true
            }
            Node::Or(operands) => operands.iter().any(|operand| operand.may_match(catalogue)),
            Node::Not(_) | Node::Computed(_) => true,
        }
    }
}

impl Leaf {
    fn may_match(&self, catalogue: &dyn Catalogue) -> bool {
        may_fulfil(&self.place, &self.asks, Holder::Span, catalogue)
    }
}

/// `holder` is what the place is told in the terms of: spans, events or links.
fn may_fulfil(place: &Place, asks: &Asks, holder: Holder, catalogue: &dyn Catalogue) -> bool {
    let test = match asks {
        Asks::Passes(test) => test,
        Asks::IsNil => return !place.is_never_nil(),
    };
    match place {
        Place::Span(key) => attribute(holder, key, test, catalogue),
        Place::Resource(key) => resource(key, test, catalogue),
        Place::Scope(key) => origin(Holder::Instrumentation, key, test, catalogue),
        Place::ScopeName => may_be(catalogue.column(Holder::Instrumentation, SpanColumn::Name.id()), |column| any_value(column, test)),
        Place::Unscoped(key) => resource(key, test, catalogue) || attribute(holder, key, test, catalogue),
        Place::Column(column) => span_column(*column, holder, test, catalogue),
        Place::Detail(of, inner) => {
            let of = holder_of(*of);
            catalogue.has(of) && may_fulfil(inner, asks, of, catalogue)
        }
        // Facts of the whole trace may come from another block.
        Place::Trace(_) | Place::Tree(_) | Place::ScopeVersion => true,
    }
}

fn holder_of(of: Detail) -> Holder {
    match of {
        Detail::Event => Holder::Event,
        Detail::Link => Holder::Link,
    }
}

fn attribute(holder: Holder, key: &str, test: &Test, catalogue: &dyn Catalogue) -> bool {
    let may_pass = |kind: &ValueKind| match kind {
        ValueKind::Any => may_hold(catalogue.attribute(holder, key, *kind), test, &AnyValue(test)),
        _ => may_hold(catalogue.attribute(holder, key, *kind), test, test),
    };
    test.kinds().iter().any(may_pass)
}

/// A resource without `service.name` has the empty one, so it is asked in any case.
fn resource(key: &str, test: &Test, catalogue: &dyn Catalogue) -> bool {
    let place = Place::Resource(key.to_owned());
    (place.is_never_nil() && test.passes(&Scalar::text(b""))) || origin(Holder::Resource, key, test, catalogue)
}

fn origin(holder: Holder, key: &str, test: &Test, catalogue: &dyn Catalogue) -> bool {
    let kinds = Test::Present.kinds().iter();
    let may_pass = |kind: &ValueKind| match catalogue.attribute(holder, key, *kind) {
        Known::Values(column) => any_value(column, test),
        known => test.kinds().contains(kind) && may_hold(known, test, test),
    };
    kinds.clone().any(may_pass)
}

fn span_column(column: SpanColumn, holder: Holder, test: &Test, catalogue: &dyn Catalogue) -> bool {
    // The rows that the column leaves out may pass, too.
    let is_complete = matches!(column, SpanColumn::Name | SpanColumn::Kind | SpanColumn::Status | SpanColumn::Duration);
    if matches!(test, Test::Present) || (!is_complete && test.passes(&column.missing())) {
        return true;
    }
    may_hold(catalogue.column(holder, column.id()), test, test)
}

/// Whether some value of a column may pass, where the source would ask `condition`.
fn may_hold(known: Known<'_>, test: &Test, condition: &dyn Condition) -> bool {
    match (known, test) {
        (Known::Ints(min, max), _) => condition.may_pass_int(min, max),
        (Known::Doubles(min, max), Test::Double(compare)) => compare.may_pass(&min, &max),
        (Known::Texts(texts), test) => match test.equal_texts() {
            Some(list) => list.iter().any(|text| texts.may_contain(text)),
            None => texts.may_hold(condition.required()),
        },
        (known, _) => may_be(known, |column| !condition.rows(column).is_empty()),
    }
}

fn may_be(known: Known<'_>, passes: impl Fn(&Column<'static>) -> bool) -> bool {
    match known {
        Known::Absent => false,
        Known::Values(column) => passes(column),
        Known::Nothing | Known::Ints(..) | Known::Doubles(..) | Known::Texts(_) => true,
    }
}

/// Whether a value of a column passes as those of resources and scopes are asked, one by one.
fn any_value(column: &Column<'_>, test: &Test) -> bool {
    let mut values = (0..column.len() as u32).filter_map(|at| column.value(at));
    values.any(|value| test.passes(&Scalar::from(value)))
}
