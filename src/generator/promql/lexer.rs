//! Texts to tokens.

use super::PromqlError;

/// Longest query in bytes.
const MAX_BYTES: usize = 65_536;

/// A piece of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name: of a metric, a label, a function; also `by`, `or`.
    Name(String),
    /// A text in quotes, without them.
    Text(String),
    /// A number, also `Inf` and `NaN` in any spelling of case once it stands where a number may.
    Number(f64),
    /// A length of time in milliseconds.
    Duration(i64),
    /// Punctuation.
    Mark(&'static str),
}

/// A token and where it stands, counted in characters from 1.
pub(super) type Placed = (Token, usize);

/// Longer marks first.
const MARKS: [&str; 24] =
    ["=~", "!=", "!~", "==", "<=", ">=", "{", "}", "(", ")", "[", "]", ",", "=", "+", "-", "*", "/", "%", "^", "<", ">", "@", "."];

/// The tokens of a query.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, PromqlError> {
    if text.len() > MAX_BYTES {
        return Err(PromqlError::Invalid(format!("the query is longer than {MAX_BYTES} bytes")));
    }
    let (mut rest, mut tokens) = (text, Vec::new());
    loop {
        rest = skip_space(rest);
        let position = text[..text.len() - rest.len()].chars().count() + 1;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, after) = match first {
            '"' | '\'' | '`' => quoted(rest, first).ok_or_else(|| syntax(position, "a text that does not end"))?,
            '0'..='9' => number(rest).ok_or_else(|| syntax(position, "bad number or duration"))?,
            '.' if rest[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                number(rest).ok_or_else(|| syntax(position, "bad number or duration"))?
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => name(rest),
            _ => mark(rest).ok_or_else(|| syntax(position, &format!("unexpected character: {first:?}")))?,
        };
        tokens.push((token, position));
        rest = after;
    }
}

fn syntax(position: usize, message: &str) -> PromqlError {
    PromqlError::Syntax { position, message: message.to_owned() }
}

/// What follows spaces and comments.
fn skip_space(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with('#') {
        rest = rest.find('\n').map_or("", |end| &rest[end..]).trim_start();
    }
    rest
}

fn name(text: &str) -> (Token, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    (Token::Name(text[..end].to_owned()), &text[end..])
}

fn mark(text: &str) -> Option<(Token, &str)> {
    MARKS.iter().find_map(|mark| Some((Token::Mark(mark), text.strip_prefix(mark)?)))
}

/// A number, or a duration if a unit follows.
fn number(text: &str) -> Option<(Token, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(text.len());
    // The sign of an exponent belongs to the number.
    let exponent = text[..end].ends_with(['e', 'E']) && text[end..].starts_with(['+', '-']) && !text.starts_with("0x");
    let end = match exponent {
        true => text[end + 1..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |digits| end + 1 + digits),
        false => end,
    };
    let (word, rest) = text.split_at(end);
    if let Some(hex) = word.strip_prefix("0x") {
        return Some((Token::Number(i64::from_str_radix(hex, 16).ok()? as f64), rest));
    }
    if let Ok(number) = word.parse::<f64>() {
        return Some((Token::Number(number), rest));
    }
    Some((Token::Duration(duration_millis(word)?), rest))
}

/// `1h30m`, `15s`, `500ms` in milliseconds, as Prometheus reads them.
pub fn duration_millis(text: &str) -> Option<i64> {
    let (mut rest, mut total) = (text, 0i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(millis)?)?;
        rest = &rest[unit..];
    }
    Some(total)
}

/// A text up to its closing quote. Backquotes know no escapes.
fn quoted(text: &str, quote: char) -> Option<(Token, &str)> {
    let mut out = String::new();
    let mut characters = text[1..].char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Some((Token::Text(out), &text[1 + at + quote.len_utf8()..])),
            '\\' if quote != '`' => out.push(escape(&mut characters)?),
            '\n' if quote != '`' => return None,
            _ => out.push(character),
        }
    }
    None
}

fn escape(characters: &mut std::str::CharIndices<'_>) -> Option<char> {
    let hex = |num: usize, characters: &mut std::str::CharIndices<'_>| {
        let digits: String = characters.by_ref().take(num).map(|(_, digit)| digit).collect();
        (digits.len() == num).then(|| u32::from_str_radix(&digits, 16).ok()).flatten().and_then(char::from_u32)
    };
    Some(match characters.next()?.1 {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'x' => hex(2, characters)?,
        'u' => hex(4, characters)?,
        'U' => hex(8, characters)?,
        other @ ('\\' | '"' | '\'') => other,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_from_numbers() {
        let read = |text: &str| tokens(text).map(|tokens| tokens.into_iter().map(|(token, _)| token).collect::<Vec<_>>());
        assert_eq!(
            read("1h30m .9 3600s 1e-3 5 0x10").expect("tokens"),
            [
                Token::Duration(5_400_000),
                Token::Number(0.9),
                Token::Duration(3_600_000),
                Token::Number(0.001),
                Token::Number(5.0),
                Token::Number(16.0),
            ]
        );
        for text in ["5x", "\"a", "a ; b", "1m2", "'\\q'"] {
            assert!(matches!(read(text), Err(PromqlError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn texts_are_unescaped() {
        let (token, _) = &tokens(r#""a\"b\\.c\u00e4""#).expect("tokens")[0];
        assert_eq!(*token, Token::Text("a\"b\\.cä".to_owned()));
        assert_eq!(tokens(r"`a\b` # rest").expect("tokens"), [(Token::Text(r"a\b".to_owned()), 1)]);
    }
}
