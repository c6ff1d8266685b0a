//! Metrics functions, second stages and hints (spec/traceql.md §3.1, `metricsQuery` and `hints`).

use super::super::ast::{
    Attribute, BinaryOp, Compare, CompareWindow, CountingOp, Hint, MetricsFunction, MetricsQuery, OverTimeOp, Pipeline, SecondStage,
};
use super::super::error::{Error, ErrorKind};
use super::super::lexer::TokenKind;
use super::{Built, Parser};

/// How many values a `compare` keeps when it does not say.
const DEFAULT_TOP_N: i64 = 10;

/// The functions by their word.
#[derive(Debug, Clone, Copy)]
enum FunctionWord {
    Counting(CountingOp),
    OverTime(OverTimeOp),
    Quantile,
    Compare,
}

const FUNCTION_WORDS: [(&str, FunctionWord); 9] = [
    ("rate", FunctionWord::Counting(CountingOp::Rate)),
    ("count_over_time", FunctionWord::Counting(CountingOp::CountOverTime)),
    ("min_over_time", FunctionWord::OverTime(OverTimeOp::Min)),
    ("max_over_time", FunctionWord::OverTime(OverTimeOp::Max)),
    ("avg_over_time", FunctionWord::OverTime(OverTimeOp::Avg)),
    ("sum_over_time", FunctionWord::OverTime(OverTimeOp::Sum)),
    ("histogram_over_time", FunctionWord::OverTime(OverTimeOp::Histogram)),
    ("quantile_over_time", FunctionWord::Quantile),
    ("compare", FunctionWord::Compare),
];

impl Parser<'_> {
    pub(super) fn at_metrics_function(&self) -> bool {
        self.function_word().is_some()
    }

    fn function_word(&self) -> Option<FunctionWord> {
        let TokenKind::Word(word) = self.peek() else {
            return None;
        };
        FUNCTION_WORDS.iter().find(|(name, _)| name == word).map(|(_, function)| *function)
    }

    /// A metrics function and its second stages, behind a pipeline and its `|`.
    pub(super) fn metrics_query(&mut self, pipeline: Built<Pipeline>) -> Result<Built<Box<MetricsQuery>>, Error> {
        let function = self.metrics_function()?;
        let depth_below = pipeline.depth.max(function.depth);
        let query = MetricsQuery { pipeline: pipeline.tree, function: function.tree, second_stages: self.second_stages()? };
        self.node(Box::new(query), depth_below)
    }

    fn metrics_function(&mut self) -> Result<Built<MetricsFunction>, Error> {
        let word = self.function_word().ok_or_else(|| self.unexpected(&[]))?;
        self.advance();
        self.expect_symbol("(")?;
        let function = match word {
            FunctionWord::Compare => return self.compare(),
            FunctionWord::Counting(op) => {
                self.expect_symbol(")")?;
                MetricsFunction::Counting { op, by: self.group_list()? }
            }
            FunctionWord::OverTime(op) => {
                let attribute = self.attribute()?;
                self.expect_symbol(")")?;
                let by = self.group_list()?;
                MetricsFunction::OverTime { op, attribute, by }
            }
            FunctionWord::Quantile => {
                let attribute = self.attribute()?;
                let quantiles = self.quantiles()?;
                let by = self.group_list()?;
                MetricsFunction::Quantile { attribute, quantiles, by }
            }
        };
        Ok(Built::leaf(function))
    }

    /// `by (a, b)`, or nothing.
    fn group_list(&mut self) -> Result<Vec<Attribute>, Error> {
        if !self.eat_word("by") {
            return Ok(Vec::new());
        }
        self.expect_symbol("(")?;
        self.attributes()
    }

    /// `, 0.5, 1)`: at least one unsigned number.
    #[allow(clippy::cast_precision_loss)] // an int that large is no quantile anyway
    fn quantiles(&mut self) -> Result<Vec<f64>, Error> {
        let mut quantiles = Vec::new();
        self.expect_symbol(",")?;
        loop {
            match *self.peek() {
                TokenKind::Float(value) => quantiles.push(value),
                TokenKind::Int(value) => quantiles.push(value as f64),
                _ => return Err(self.unexpected(&["INTEGER", "FLOAT"])),
            }
            self.advance();
            if self.eat_symbol(")") {
                return Ok(quantiles);
            }
            if !self.eat_symbol(",") {
                return Err(self.unexpected(&[",", ")"]));
            }
        }
    }

    /// The arguments of a `compare`: a filter, then no, one or three integers.
    fn compare(&mut self) -> Result<Built<MetricsFunction>, Error> {
        let selection = self.filter()?;
        let depth_below = selection.depth;
        let mut compare = Compare { selection: selection.tree, top_n: DEFAULT_TOP_N, window: None };
        if self.eat_symbol(",") {
            compare.top_n = self.integer()?;
            if self.eat_symbol(",") {
                let start_unix_nanos = self.integer()?;
                self.expect_symbol(",")?;
                let end_unix_nanos = self.integer()?;
                // Two zeros are the spelling of no window.
                compare.window =
                    (start_unix_nanos != 0 || end_unix_nanos != 0).then_some(CompareWindow { start_unix_nanos, end_unix_nanos });
            }
        }
        self.expect_symbol(")")?;
        self.node(MetricsFunction::Compare(compare), depth_below)
    }

    /// `| topk(n)`, `| bottomk(n)` and comparisons, as many as there are.
    pub(super) fn second_stages(&mut self) -> Result<Vec<SecondStage>, Error> {
        let mut stages = Vec::new();
        loop {
            if self.eat_symbol("|") {
                stages.push(self.ranking()?);
            } else if let Some(op) = self.peek_operator().and_then(|row| row.field).and_then(BinaryOp::as_comparison) {
                self.advance();
                let value = self.number()?;
                stages.push(SecondStage::Compare { op, value });
            } else {
                return Ok(stages);
            }
        }
    }

    fn ranking(&mut self) -> Result<SecondStage, Error> {
        let stage = if self.eat_word("topk") {
            SecondStage::TopK
        } else if self.eat_word("bottomk") {
            SecondStage::BottomK
        } else {
            return Err(self.unexpected(&["topk", "bottomk"]));
        };
        self.expect_symbol("(")?;
        let count = self.integer()?;
        self.expect_symbol(")")?;
        Ok(stage(count))
    }

    /// `(name=value, …)` behind the word `with`.
    pub(super) fn hints(&mut self) -> Result<Vec<Hint>, Error> {
        self.expect_symbol("(")?;
        let mut hints = vec![self.hint()?];
        while self.eat_symbol(",") {
            hints.push(self.hint()?);
        }
        self.expect_symbol(")")?;
        Ok(hints)
    }

    fn hint(&mut self) -> Result<Hint, Error> {
        let TokenKind::Identifier(name) = self.peek().clone() else {
            return Err(self.unexpected(&["IDENTIFIER"]));
        };
        self.advance();
        self.expect_symbol("=")?;
        if let Some(value) = self.literal() {
            return Ok(Hint { name, value });
        }
        match self.peek().clone() {
            TokenKind::Identifier(unknown) => Err(self.error(ErrorKind::UnknownIdentifier(unknown))),
            _ => Err(self.unexpected(&[])),
        }
    }
}
