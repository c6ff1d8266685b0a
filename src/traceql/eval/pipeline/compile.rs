//! From the syntax tree of a search to stages.

use super::{Aggregate, Operand, Pipeline, Stage};
use crate::traceql::ast::{self, BinaryOp, Body, CompareOp, FieldExpr, Query, ScalarExpr, ScalarFilter, SpansetExpr};
use crate::traceql::eval::{Correlation, EvalError, Expression, Filter, OnFailure};

impl Pipeline {
    /// Compiles a query that validation has accepted. Of a metrics query its spans are searched (spec/traceql.md §10.5).
    pub fn compile(query: &Query) -> Result<Self, EvalError> {
        match &query.body {
            Body::Pipeline(pipeline) => Self::of(pipeline),
            Body::Metrics(metrics) => Self::of(&metrics.pipeline),
            Body::Math(_) => Err(EvalError::Runtime("math expressions not supported".to_owned())),
            Body::ScalarComparison(_) => Err(EvalError::Unsupported("comparisons of two pipelines")),
        }
    }

    /// The same pipeline with another answer to operators that fail in its filters.
    pub fn with(self, on_failure: OnFailure) -> Self {
        let filters = self.filters.into_iter().map(|filter| filter.with(on_failure)).collect();
        Pipeline { filters, ..self }
    }

    /// The search that finds every span.
    pub fn everything() -> Self {
        Pipeline { stages: Vec::new(), filters: vec![Filter::everything()], expressions: Vec::new() }
    }

    /// Compiles the stages of a search, or those before a metrics function.
    pub fn of(pipeline: &ast::Pipeline) -> Result<Self, EvalError> {
        let correlation = if is_plain(pipeline) { Correlation::SameDetail } else { Correlation::AnyDetail };
        let mut compiler = Compiler { correlation, filters: Vec::new(), expressions: Vec::new() };
        let mut stages = compiler.stages(pipeline)?;
        if compiler.filters.is_empty() {
            compiler.filters.push(seen_without_filter(pipeline)?);
            stages.insert(0, Stage::Spansets(Operand::Filter(0)));
        }
        Ok(Pipeline { stages, filters: compiler.filters, expressions: compiler.expressions })
    }
}

/// The spans that a query without any filter looks at: those that have some of the attributes that it names (recorded:
/// `avg(span.db.rows) > 400` counts no others; spec/traceql.md §7 item 1), or all if it names none.
fn seen_without_filter(pipeline: &ast::Pipeline) -> Result<Filter, EvalError> {
    let mut attributes = Vec::new();
    for stage in &pipeline.stages {
        match stage {
            ast::Stage::GroupBy(expression) => expression.each_attribute(&mut |attribute| attributes.push(attribute.clone())),
            ast::Stage::ScalarFilter(ScalarFilter { left: ScalarExpr::Aggregate(ast::Aggregate::Over { operand, .. }), .. }) => {
                operand.each_attribute(&mut |attribute| attributes.push(attribute.clone()));
            }
            _ => {}
        }
    }
    let present = |attribute| FieldExpr::NotNil(Box::new(FieldExpr::Attribute(attribute)));
    let either = |left, right| FieldExpr::Binary { op: BinaryOp::Or, left: Box::new(left), right: Box::new(right) };
    let some = attributes.into_iter().map(present).reduce(either);
    some.map_or_else(|| Ok(Filter::everything()), |expression| Filter::compile_part(&expression, Correlation::AnyDetail))
}

/// Whether a query has no operators between spansets, aggregates and `by` (spec/traceql.md §5.4).
fn is_plain(pipeline: &ast::Pipeline) -> bool {
    pipeline.stages.iter().all(|stage| match stage {
        ast::Stage::Spansets(SpansetExpr::Filter(_)) | ast::Stage::Select(_) | ast::Stage::Coalesce => true,
        ast::Stage::Spansets(SpansetExpr::Wrapped(inner)) => is_plain(inner),
        ast::Stage::Spansets(SpansetExpr::Binary { .. }) | ast::Stage::ScalarFilter(_) | ast::Stage::GroupBy(_) => false,
    })
}

struct Compiler {
    correlation: Correlation,
    filters: Vec<Filter>,
    expressions: Vec<Expression>,
}

impl Compiler {
    fn stages(&mut self, pipeline: &ast::Pipeline) -> Result<Vec<Stage>, EvalError> {
        let mut stages = Vec::with_capacity(pipeline.stages.len());
        for stage in &pipeline.stages {
            match stage {
                ast::Stage::Spansets(SpansetExpr::Wrapped(inner)) => stages.extend(self.stages(inner)?),
                ast::Stage::Spansets(spansets) => stages.push(Stage::Spansets(self.operand(spansets)?)),
                ast::Stage::ScalarFilter(filter) => stages.push(self.aggregate(filter)?),
                ast::Stage::GroupBy(expression) => {
                    stages.push(Stage::GroupBy { key: format!("by({expression})"), expression: self.expression(expression)? });
                }
                ast::Stage::Coalesce => stages.push(Stage::Coalesce),
                // It only says what an answer shows.
                ast::Stage::Select(_) => {}
            }
        }
        Ok(stages)
    }

    fn operand(&mut self, spansets: &SpansetExpr) -> Result<Operand, EvalError> {
        Ok(match spansets {
            SpansetExpr::Filter(filter) => {
                self.filters.push(Filter::compile_part(filter, self.correlation)?);
                Operand::Filter(self.filters.len() - 1)
            }
            SpansetExpr::Binary { op, left, right } => {
                Operand::Binary { op: *op, left: Box::new(self.operand(left)?), right: Box::new(self.operand(right)?) }
            }
            SpansetExpr::Wrapped(pipeline) => Operand::Pipeline(self.stages(pipeline)?),
        })
    }

    fn expression(&mut self, expression: &FieldExpr) -> Result<usize, EvalError> {
        self.expressions.push(Expression::compile(expression)?);
        Ok(self.expressions.len() - 1)
    }

    /// Validation lets only `aggregate op constant` pass (spec/traceql.md §9).
    fn aggregate(&mut self, filter: &ScalarFilter) -> Result<Stage, EvalError> {
        let (ScalarExpr::Aggregate(aggregate), ScalarExpr::Static(value)) = (&filter.left, &filter.right) else {
            return Err(EvalError::Unsupported("scalar filters other than aggregate, operator and constant"));
        };
        let key = aggregate.to_string();
        let aggregate = match aggregate {
            ast::Aggregate::Count => Aggregate::Count,
            ast::Aggregate::Over { op, operand } => Aggregate::Over(*op, self.expression(operand)?),
        };
        Ok(Stage::Aggregate { key, aggregate, op: binary_op(filter.op), value: value.into() })
    }
}

fn binary_op(op: CompareOp) -> BinaryOp {
    match op {
        CompareOp::Eq => BinaryOp::Eq,
        CompareOp::Ne => BinaryOp::Ne,
        CompareOp::Lt => BinaryOp::Lt,
        CompareOp::Le => BinaryOp::Le,
        CompareOp::Gt => BinaryOp::Gt,
        CompareOp::Ge => BinaryOp::Ge,
    }
}
