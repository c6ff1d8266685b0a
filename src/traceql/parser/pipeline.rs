//! Stages one after the other, and the whole query (spec/traceql.md §3.1, `query` and `pipeline`).

use super::super::ast::{Aggregate, Body, MathQuery, MetricsQuery, Pipeline, Query, ScalarExpr, SpansetExpr, Stage};
use super::super::error::Error;
use super::super::lexer::TokenKind;
use super::operand::Operand;
use super::{Built, Parser};

/// What a whole text, or the text between two parentheses, can be.
#[derive(Debug)]
pub(super) enum Sequence {
    /// Operands and operators without any stage.
    Operand(Operand),
    /// Stages, other than a lone spanset expression.
    Pipeline(Built<Pipeline>),
    /// Stages that end in an aggregate; only between parentheses.
    Scalar { pipeline: Built<Pipeline>, aggregate: Built<Aggregate> },
    /// Stages that end in a metrics function.
    Metrics(Built<Box<MetricsQuery>>),
}

impl Parser<'_> {
    /// The whole text.
    pub(super) fn query(&mut self) -> Result<Query, Error> {
        let body = self.body()?;
        let mut hints = Vec::new();
        while self.eat_word("with") {
            hints = self.hints()?;
        }
        if *self.peek() == TokenKind::End { Ok(Query { body, hints }) } else { Err(self.unexpected(&[])) }
    }

    fn body(&mut self) -> Result<Body, Error> {
        match self.sequence()? {
            Sequence::Pipeline(pipeline) => Ok(Body::Pipeline(pipeline.tree)),
            Sequence::Metrics(query) => Ok(Body::Metrics(*query.tree)),
            Sequence::Operand(Operand::Spansets { expr, .. } | Operand::Wrapped(expr)) => Ok(Body::Pipeline(unwrapped(expr.tree))),
            Sequence::Operand(Operand::ScalarComparison(filter)) => Ok(Body::ScalarComparison(filter.tree)),
            Sequence::Operand(Operand::Math(expr)) => Ok(Body::Math(MathQuery { expr: expr.tree, second_stages: self.second_stages()? })),
            // Never a query as it stands: the text should have gone on.
            Sequence::Operand(_) | Sequence::Scalar { .. } => Err(self.unexpected(&[])),
        }
    }

    /// Stages up to the end of the text, a closing parenthesis or something that does not fit.
    pub(super) fn sequence(&mut self) -> Result<Sequence, Error> {
        match self.first_stage()? {
            FirstStage::Stage(first) => self.stages_after(first),
            FirstStage::Operand(operand) => Ok(Sequence::Operand(operand)),
        }
    }

    fn first_stage(&mut self) -> Result<FirstStage, Error> {
        if let Some(stage) = self.keyword_stage(Position::First)? {
            return Ok(FirstStage::Stage(stage));
        }
        Ok(match self.operation_of_operands()? {
            Operand::Spansets { expr, .. } if self.at_symbol("|") => FirstStage::Stage(expr.map(Stage::Spansets)),
            Operand::ScalarFilter(filter) => FirstStage::Stage(filter.map(Stage::ScalarFilter)),
            operand => FirstStage::Operand(operand),
        })
    }

    fn stages_after(&mut self, first: Built<Stage>) -> Result<Sequence, Error> {
        let mut depth = first.depth;
        let mut stages = vec![first.tree];
        while self.eat_symbol("|") {
            if self.at_metrics_function() {
                let pipeline = self.node(Pipeline { stages }, depth)?;
                return self.metrics_query(pipeline).map(Sequence::Metrics);
            }
            match self.later_stage()? {
                LaterStage::Stage(stage) => {
                    depth = depth.max(stage.depth);
                    stages.push(stage.tree);
                }
                LaterStage::Aggregate(aggregate) => {
                    let pipeline = self.node(Pipeline { stages }, depth)?;
                    return Ok(Sequence::Scalar { pipeline, aggregate });
                }
            }
        }
        self.node(Pipeline { stages }, depth).map(Sequence::Pipeline)
    }

    fn later_stage(&mut self) -> Result<LaterStage, Error> {
        if let Some(stage) = self.keyword_stage(Position::Later)? {
            return Ok(LaterStage::Stage(stage));
        }
        let place = self.next;
        match self.operation_of_operands()? {
            Operand::Spansets { expr, .. } => Ok(LaterStage::Stage(expr.map(Stage::Spansets))),
            Operand::ScalarFilter(filter) => Ok(LaterStage::Stage(filter.map(Stage::ScalarFilter))),
            // Only a wrapped scalar ends so, and what follows must close its parenthesis.
            Operand::Scalar(Built { tree: ScalarExpr::Aggregate(aggregate), depth }) if self.at_symbol(")") => {
                Ok(LaterStage::Aggregate(Built { tree: aggregate, depth }))
            }
            Operand::Scalar(_) | Operand::Number(_) => Err(self.unexpected(&[])),
            _ => Err(self.unexpected_at(place)),
        }
    }

    /// A stage that begins with a word of its own.
    fn keyword_stage(&mut self, position: Position) -> Result<Option<Built<Stage>>, Error> {
        if self.eat_word("by") {
            self.expect_symbol("(")?;
            let expr = self.field_expr()?;
            self.expect_symbol(")")?;
            let depth_below = expr.depth;
            return self.node(Stage::GroupBy(expr.tree), depth_below).map(Some);
        }
        if self.eat_word("select") {
            self.expect_symbol("(")?;
            return Ok(Some(Built::leaf(Stage::Select(self.attributes()?))));
        }
        if position == Position::Later && self.eat_word("coalesce") {
            self.expect_symbol("(")?;
            self.expect_symbol(")")?;
            return Ok(Some(Built::leaf(Stage::Coalesce)));
        }
        Ok(None)
    }
}

/// What a sequence can begin with.
enum FirstStage {
    Stage(Built<Stage>),
    /// Something that no stage can follow.
    Operand(Operand),
}

/// What can follow a `|`.
enum LaterStage {
    Stage(Built<Stage>),
    Aggregate(Built<Aggregate>),
}

/// Whether a stage is the first one, where there is nothing to coalesce yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    First,
    Later,
}

/// A pipeline in parentheses that is the whole query is just that pipeline.
fn unwrapped(expr: SpansetExpr) -> Pipeline {
    match expr {
        SpansetExpr::Wrapped(pipeline) => pipeline,
        other => Pipeline { stages: vec![Stage::Spansets(other)] },
    }
}
