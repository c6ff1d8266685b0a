//! Tokens to expressions.

use super::PromqlError;
use super::ast::{Aggregation, Call, Expr, Grouping, MatchOp, Matcher, Operator, Selector};
use super::lexer::{Placed, Token, tokens};
use regex::Regex;

/// Parentheses, calls and signs must be nested less deeply than this.
const MAX_DEPTH: usize = 50;

/// Reads a query.
///
/// # Errors
/// What is no PromQL, and what is not answered here.
pub fn parse(text: &str) -> Result<Expr, PromqlError> {
    let mut parser = Parser::new(text)?;
    let expr = parser.expression(0)?;
    parser.end()?;
    Ok(expr)
}

/// Reads a selector alone, as `match[]` has it.
///
/// # Errors
/// As [`parse`].
pub fn parse_selector(text: &str) -> Result<Selector, PromqlError> {
    let mut parser = Parser::new(text)?;
    let name = parser.name();
    let selector = parser.selector(name)?;
    parser.end()?;
    Ok(selector)
}

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
    end: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, PromqlError> {
        Ok(Parser { tokens: tokens(text)?, at: 0, depth: 0, end: text.chars().count() + 1 })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, PromqlError> {
        let position = self.tokens.get(self.at).map_or(self.end, |(_, position)| *position);
        Err(PromqlError::Syntax { position, message: message.into() })
    }

    fn takes(&mut self, mark: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Mark(found)) if *found == mark);
        self.at += usize::from(is_it);
        is_it
    }

    fn wants(&mut self, mark: &str) -> Result<(), PromqlError> {
        if self.takes(mark) { Ok(()) } else { self.error(format!("{mark:?} expected")) }
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Name(name)) if name.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn name(&mut self) -> Option<String> {
        let Some(Token::Name(name)) = self.peek() else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    fn end(&self) -> Result<(), PromqlError> {
        match self.peek() {
            None => Ok(()),
            Some(Token::Mark(mark @ ("%" | "^" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "@" | "["))) => {
                unsupported(format!("operator {mark}"))
            }
            Some(Token::Name(word)) if is_keyword(word) => unsupported(format!("operator {word}")),
            Some(_) => self.error("unexpected input after the query"),
        }
    }

    /// Operators that bind at least as tightly as `level`: 0 `or`, 1 sums, 2 products.
    fn expression(&mut self, level: u8) -> Result<Expr, PromqlError> {
        let mut left = if level == 2 { self.unary()? } else { self.expression(level + 1)? };
        loop {
            let operator = match level {
                0 if self.takes_word("or") => Operator::Or,
                1 if self.takes("+") => Operator::Add,
                1 if self.takes("-") => Operator::Subtract,
                2 if self.takes("*") => Operator::Multiply,
                2 if self.takes("/") => Operator::Divide,
                _ => return Ok(left),
            };
            for word in ["on", "ignoring", "bool"] {
                if self.takes_word(word) {
                    return unsupported(format!("{word} after an operator"));
                }
            }
            let right = if level == 2 { self.unary()? } else { self.expression(level + 1)? };
            left = Expr::Binary { operator, left: Box::new(left), right: Box::new(right) };
        }
    }

    fn unary(&mut self) -> Result<Expr, PromqlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error("nested too deeply");
        }
        let expr = if self.takes("-") {
            let zero = Box::new(Expr::Number(0.0));
            Expr::Binary { operator: Operator::Subtract, left: zero, right: Box::new(self.unary()?) }
        } else if self.takes("+") {
            self.unary()?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, PromqlError> {
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = *number;
                self.at += 1;
                Ok(Expr::Number(number))
            }
            Some(Token::Mark("(")) => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.wants(")")?;
                Ok(inner)
            }
            Some(Token::Mark("{")) => self.selector(None).map(Expr::Selector),
            Some(Token::Name(_)) => self.named(),
            Some(Token::Text(_)) => unsupported("a text".to_owned()),
            Some(_) => self.error("unexpected input"),
            None => self.error("unexpected end of input"),
        }
    }

    /// A selector, a function or an aggregation.
    fn named(&mut self) -> Result<Expr, PromqlError> {
        let name = self.name().unwrap_or_default();
        let follows_call = matches!(self.peek(), Some(Token::Mark("(")));
        let follows_by = matches!(self.peek(), Some(Token::Name(word)) if is_grouping(word));
        if !follows_call && !follows_by {
            if name.eq_ignore_ascii_case("inf") || name.eq_ignore_ascii_case("nan") {
                return Ok(Expr::Number(if name.eq_ignore_ascii_case("inf") { f64::INFINITY } else { f64::NAN }));
            }
            let selector = self.selector(Some(name))?;
            if matches!(self.peek(), Some(Token::Mark("["))) {
                return unsupported("a range outside rate or increase".to_owned());
            }
            return Ok(Expr::Selector(selector));
        }
        match name.as_str() {
            "rate" | "increase" => {
                let (selector, range) = self.range_argument()?;
                Ok(Expr::Call(if name == "rate" { Call::Rate(selector, range) } else { Call::Increase(selector, range) }))
            }
            "histogram_quantile" => {
                self.wants("(")?;
                let quantile = self.number()?;
                self.wants(",")?;
                let of = self.expression(0)?;
                self.wants(")")?;
                Ok(Expr::Call(Call::HistogramQuantile(quantile, Box::new(of))))
            }
            _ => self.aggregation(&name),
        }
    }

    fn aggregation(&mut self, name: &str) -> Result<Expr, PromqlError> {
        let mut how = match name.to_ascii_lowercase().as_str() {
            "sum" => Aggregation::Sum,
            "avg" => Aggregation::Avg,
            "min" => Aggregation::Min,
            "max" => Aggregation::Max,
            "count" => Aggregation::Count,
            "group" => Aggregation::Group,
            "topk" => Aggregation::TopK(0),
            _ => return unsupported(format!("function {name}")),
        };
        let before = self.grouping()?;
        self.wants("(")?;
        if how == Aggregation::TopK(0) {
            // The conversion saturates, and there are never that many series.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let num = self.number()?.max(0.0) as usize;
            how = Aggregation::TopK(num);
            self.wants(",")?;
        }
        let of = Box::new(self.expression(0)?);
        self.wants(")")?;
        let after = if before.is_none() { self.grouping()? } else { None };
        Ok(Expr::Aggregate { how, grouping: before.or(after).unwrap_or(Grouping::By(Vec::new())), of })
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, PromqlError> {
        let is_by = self.takes_word("by");
        if !is_by && !self.takes_word("without") {
            return Ok(None);
        }
        self.wants("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            match self.next() {
                Some(Token::Name(label) | Token::Text(label)) => labels.push(label),
                _ => {
                    self.at -= 1;
                    return self.error("a label expected");
                }
            }
            if !self.takes(",") && !matches!(self.peek(), Some(Token::Mark(")"))) {
                return self.error("\",\" or \")\" expected");
            }
        }
        Ok(Some(if is_by { Grouping::By(labels) } else { Grouping::Without(labels) }))
    }

    fn number(&mut self) -> Result<f64, PromqlError> {
        let sign = if self.takes("-") { -1.0 } else { 1.0 };
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = *number;
                self.at += 1;
                Ok(sign * number)
            }
            _ => self.error("a number expected"),
        }
    }

    /// `(selector[range])`
    fn range_argument(&mut self) -> Result<(Selector, i64), PromqlError> {
        self.wants("(")?;
        let name = self.name();
        if matches!(self.peek(), Some(Token::Mark("("))) {
            return unsupported("an expression as the argument of rate or increase".to_owned());
        }
        let selector = self.selector(name)?;
        self.wants("[")?;
        let range = match self.next() {
            Some(Token::Duration(range)) if range > 0 => range,
            _ => {
                self.at -= 1;
                return self.error("a duration expected");
            }
        };
        // A colon belongs to names elsewhere.
        if matches!(self.peek(), Some(Token::Name(step)) if step.starts_with(':')) {
            return unsupported("a subquery".to_owned());
        }
        self.wants("]")?;
        if self.takes_word("offset") || self.takes("@") {
            return unsupported("an offset".to_owned());
        }
        self.wants(")")?;
        Ok((selector, range))
    }

    /// What follows a name: matchers in braces.
    fn selector(&mut self, name: Option<String>) -> Result<Selector, PromqlError> {
        let mut matchers = Vec::new();
        let has_name = name.is_some();
        matchers.extend(name.map(|name| Matcher { label: "__name__".to_owned(), op: MatchOp::Equal(name) }));
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                if !self.takes(",") && !matches!(self.peek(), Some(Token::Mark("}"))) {
                    return self.error("\",\" or \"}\" expected");
                }
            }
        } else if !has_name {
            return self.error("a selector expected");
        }
        if self.takes_word("offset") || self.takes("@") {
            return unsupported("an offset".to_owned());
        }
        if matchers.iter().all(|matcher| matcher.accepts("")) {
            return Err(PromqlError::Invalid("a selector must have a matcher that does not accept the empty text".to_owned()));
        }
        Ok(Selector(matchers))
    }

    fn matcher(&mut self) -> Result<Matcher, PromqlError> {
        let label = match self.next() {
            Some(Token::Name(label) | Token::Text(label)) => label,
            _ => {
                self.at -= 1;
                return self.error("a label expected");
            }
        };
        let marks = ["=~", "!~", "!=", "="];
        let Some(mark) = marks.into_iter().find(|mark| self.takes(mark)) else {
            return self.error("one of = != =~ !~ expected");
        };
        let Some(Token::Text(value)) = self.next() else {
            self.at -= 1;
            return self.error("a text in quotes expected");
        };
        let pattern = |value: &str| {
            let anchored = Regex::new(&format!("^(?s:{value})$"));
            anchored.map_err(|error| PromqlError::Invalid(format!("bad regular expression {value:?}: {error}")))
        };
        let op = match mark {
            "=" => MatchOp::Equal(value),
            "!=" => MatchOp::NotEqual(value),
            "=~" => MatchOp::Like(pattern(&value)?),
            _ => MatchOp::NotLike(pattern(&value)?),
        };
        Ok(Matcher { label, op })
    }
}

fn is_grouping(word: &str) -> bool {
    word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
}

fn is_keyword(word: &str) -> bool {
    ["and", "unless", "on", "ignoring", "offset", "atan2"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn unsupported<T>(what: String) -> Result<T, PromqlError> {
    Err(PromqlError::Unsupported(what))
}
