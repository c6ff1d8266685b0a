//! Integer, float and duration literals (spec/traceql.md §2.2).

use super::super::duration::parse_duration;
use super::super::error::ErrorKind;
use super::{Scanned, TokenKind};

/// Reads the number at the beginning of the text, which starts with a digit, or with a dot and a digit.
pub(super) fn scan(text: &str) -> Scanned<TokenKind> {
    let literal = literal(text)?;
    let length = literal.length + duration_run(&text[literal.length..]);
    if length > literal.length
        && let Some(nanos) = parse_duration(&text[..length])
    {
        return Ok((TokenKind::Duration(nanos), length));
    }
    // What follows a number that is no duration becomes a token of its own.
    let written = &text[..literal.length];
    let value = match literal.form {
        Form::Integer => integer(written),
        Form::Decimal => written.parse().ok().filter(|value: &f64| value.is_finite()).map(TokenKind::Float),
        Form::Hexadecimal => hexadecimal(written).map(TokenKind::Float),
    };
    value.map(|kind| (kind, literal.length)).ok_or_else(|| invalid(written))
}

enum Form {
    Integer,
    Decimal,
    Hexadecimal,
}

struct Literal {
    form: Form,
    length: usize,
}

/// Finds where the literal ends and which of the three forms it has.
fn literal(text: &str) -> Result<Literal, ErrorKind> {
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    match lower.as_deref() {
        Some("0x") => hexadecimal_literal(text),
        // Octal and binary prefixes exist for the scanner but have no meaning in the language.
        Some("0o" | "0b") => Err(invalid(&text[..2])),
        _ => decimal_literal(text),
    }
}

fn decimal_literal(text: &str) -> Result<Literal, ErrorKind> {
    let mut form = Form::Integer;
    let mut length = digits(text);
    if text[length..].starts_with('.') {
        form = Form::Decimal;
        length += 1;
        length += digits(&text[length..]);
    }
    if text[length..].starts_with(['e', 'E']) {
        form = Form::Decimal;
        length += exponent(&text[length..]).ok_or_else(|| invalid(&text[..=length]))?;
    }
    if text[length..].starts_with('_') {
        return Err(invalid(&text[..=length]));
    }
    Ok(Literal { form, length })
}

/// `0x` digits with an optional point, and the exponent that makes it a float; hexadecimal integers do not exist.
fn hexadecimal_literal(text: &str) -> Result<Literal, ErrorKind> {
    let is_part = |character: char| character.is_ascii_hexdigit() || character == '.';
    let mantissa = text[2..].find(|character| !is_part(character)).map_or(text.len(), |end| end + 2);
    let length = if text[mantissa..].starts_with(['p', 'P']) { exponent(&text[mantissa..]) } else { None };
    match length {
        Some(exponent) => Ok(Literal { form: Form::Hexadecimal, length: mantissa + exponent }),
        None => Err(invalid(&text[..mantissa])),
    }
}

/// The length of an exponent with its letter; `None` when it has no digit.
fn exponent(text: &str) -> Option<usize> {
    let sign = usize::from(text[1..].starts_with(['+', '-']));
    let digits = digits(&text[1 + sign..]);
    (digits > 0).then_some(1 + sign + digits)
}

fn digits(text: &str) -> usize {
    text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len())
}

/// The length of what could make a duration of the number before it.
fn duration_run(text: &str) -> usize {
    let belongs = |character: char| character.is_ascii_digit() || ".nsuµhmdwy".contains(character);
    text.find(|character| !belongs(character)).unwrap_or(text.len())
}

/// Decimal whatever the leading zeros, although the scanner takes `08` for a broken octal number.
fn integer(written: &str) -> Option<TokenKind> {
    let looks_octal = written.len() > 1 && written.starts_with('0');
    if looks_octal && written.contains(['8', '9']) {
        return None;
    }
    written.parse().ok().map(TokenKind::Int)
}

fn hexadecimal(written: &str) -> Option<f64> {
    let (mantissa, exponent) = written[2..].split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return None;
    }
    let digits = whole.chars().chain(fraction.chars());
    let value = digits.filter_map(|digit| digit.to_digit(16)).fold(0.0, |value, digit| value * 16.0 + f64::from(digit));
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let power = exponent.parse::<i32>().ok()?.checked_sub(shift)?;
    Some(value * 2_f64.powi(power)).filter(|value| value.is_finite())
}

fn invalid(written: &str) -> ErrorKind {
    ErrorKind::InvalidNumber(written.to_owned())
}
