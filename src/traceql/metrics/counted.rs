//! Spans that were counted before, and spans that were counted although they should not have been.

use super::function::{Function, Kind, Observed};
use super::keys::{Keys, Spans};
use super::numbers;
use super::selected::Selected;
use crate::traceql::ast::{Attribute, Intrinsic, Scope};
use crate::traceql::eval::result::used;
use crate::traceql::eval::{Bitmap, EvalError};

/// What [`Function::observe_counted`] adds for each of the rows that it takes away.
const LESS: u64 = u64::MAX;

impl Function {
    /// Whether it can be told from counts of spans by service, name, kind, status, bin of time and duration's power of two. Its
    /// pipeline must be nothing but filters besides.
    pub fn is_countable(&self, bin_nanos: u64) -> bool {
        let of_duration = |attribute: &Attribute| *attribute == Attribute::Intrinsic(Intrinsic::Duration);
        let has_counts = match &self.kind {
            Kind::Count { .. } => true,
            Kind::Histogram(attribute) | Kind::Quantile(attribute, _) => of_duration(attribute),
            Kind::OverTime(..) | Kind::Compare(_) => false,
        };
        let exemplars = self.exemplars();
        has_counts
            && self.buckets.are_multiples_of(bin_nanos)
            && exemplars.fit_bins(bin_nanos)
            && self.by.iter().chain(&used(&self.pipeline)).all(is_counted_by)
    }

    /// Whether it shows spans besides.
    pub fn wants_exemplars(&self) -> bool {
        self.exemplars().are_wanted()
    }

    /// Whether it looks at durations.
    pub fn needs_durations(&self) -> bool {
        matches!(self.kind, Kind::Histogram(_) | Kind::Quantile(..))
    }

    /// Observes rows that stand for as many spans each as `weights` says, one for each row of the source; they are no exemplars.
    pub fn observe_counted(&self, spans: Spans<'_>, kept: &Bitmap, weights: &[u64], observed: &mut Observed) -> Result<(), EvalError> {
        self.observe_weighted(spans, kept, |row| weights.get(row as usize).copied().unwrap_or(0), observed)
    }

    /// Takes back rows that were counted.
    pub fn take_back(&self, spans: Spans<'_>, kept: &Bitmap, observed: &mut Observed) -> Result<(), EvalError> {
        self.observe_weighted(spans, kept, |_| LESS, observed)
    }

    fn observe_weighted(
        &self,
        spans: Spans<'_>,
        kept: &Bitmap,
        weight: impl Fn(u32) -> u64,
        observed: &mut Observed,
    ) -> Result<(), EvalError> {
        let selected = Selected::of(spans, kept, &self.buckets, false)?;
        if selected.is_empty() {
            return Ok(());
        }
        let keys = self.keys_of_counts(spans, &selected)?;
        let weights = selected.rows().iter().map(|row| weight(*row));
        observed.add_weighted(&keys, &selected, weights, self.buckets.len(), self.needs_durations());
        Ok(())
    }

    /// Takes exemplars from rows that were counted already.
    pub fn observe_samples(&self, spans: Spans<'_>, kept: &Bitmap, observed: &mut Observed) -> Result<(), EvalError> {
        let selected = Selected::of(spans, kept, &self.buckets, true)?;
        if selected.is_empty() || !observed.wants_exemplars() {
            return Ok(());
        }
        let keys = self.keys_of_counts(spans, &selected)?;
        let groups = observed.add_weighted(&keys, &selected, std::iter::repeat(0), self.buckets.len(), self.needs_durations());
        let value: Box<dyn Fn(usize) -> f64> = match &self.kind {
            Kind::Quantile(attribute, _) => {
                let values = numbers::whole(spans, attribute, selected.rows())?;
                Box::new(move |index| numbers::shown(attribute, values[index] as f64))
            }
            _ => Box::new(|_| f64::NAN),
        };
        observed.take_exemplars(self, spans, &selected, &groups, &|index| Some(value(index)))
    }

    fn keys_of_counts<'s>(&self, spans: Spans<'s>, selected: &Selected) -> Result<Vec<Keys<'s>>, EvalError> {
        let mut keys = self.by.iter().map(|attribute| Keys::read(spans, attribute, selected.rows())).collect::<Result<Vec<_>, _>>()?;
        if let Kind::Histogram(attribute) | Kind::Quantile(attribute, _) = &self.kind {
            keys.push(numbers::exponents(&numbers::whole(spans, attribute, selected.rows())?));
        }
        Ok(keys)
    }
}

fn is_counted_by(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Intrinsic(intrinsic) => matches!(intrinsic, Intrinsic::Name | Intrinsic::Kind | Intrinsic::Status),
        Attribute::Scoped { scope: Scope::Resource, key } => key == "service.name",
        Attribute::Scoped { .. } => false,
    }
}
