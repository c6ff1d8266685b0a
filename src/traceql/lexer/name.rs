//! Attribute names: bare and quoted parts, joined (spec/traceql.md §2.3).

use super::super::attribute::ends_attribute_name;
use super::super::error::ErrorKind;
use super::Scanned;

/// Reads the name at the beginning of the text.
pub(super) fn scan(text: &str) -> Scanned<String> {
    let mut key = String::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next == '"' {
            at += quoted_part(&text[at..], &mut key)?;
        } else if ends_attribute_name(next) {
            break;
        } else {
            key.push(next);
            at += next.len_utf8();
        }
    }
    // The length tells, not the key: `.""` is the legal empty key.
    if at == 0 { Err(ErrorKind::MissingAttributeName) } else { Ok((key, at)) }
}

/// Appends the part between two quotes to the key; returns its length with the quotes.
fn quoted_part(text: &str, key: &mut String) -> Result<usize, ErrorKind> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok(at + 1),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => key.push(escaped),
                _ => return Err(ErrorKind::InvalidAttributeQuoting),
            },
            _ => key.push(character),
        }
    }
    Err(ErrorKind::InvalidAttributeQuoting)
}
