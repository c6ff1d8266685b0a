//! String literals (spec/traceql.md §2.2).

use super::super::error::ErrorKind;
use super::Scanned;

/// Reads a raw string; the text begins with its backtick.
pub(super) fn raw(text: &str) -> Scanned<String> {
    let content = &text[1..];
    let end = content.find('`').ok_or(ErrorKind::UnterminatedString)?;
    Ok((content[..end].to_owned(), end + 2))
}

/// Reads a string with escapes; the text begins with its quote.
///
/// `\xHH` and `\ooo` write single bytes. Bytes that are no UTF-8 together are replaced, since no stored text has them either.
pub(super) fn quoted(text: &str) -> Scanned<String> {
    let mut bytes = Vec::new();
    let mut at = 1;
    loop {
        match text[at..].chars().next() {
            None | Some('\n') => return Err(ErrorKind::UnterminatedString),
            Some('"') => return Ok((String::from_utf8_lossy(&bytes).into_owned(), at + 1)),
            Some('\\') => at += escape(&text[at..], &mut bytes).ok_or(ErrorKind::InvalidEscape)?,
            Some(character) => {
                push(character, &mut bytes);
                at += character.len_utf8();
            }
        }
    }
}

/// Appends what the escape at the beginning of the text stands for; returns its length, or `None` if it is none.
fn escape(text: &str, bytes: &mut Vec<u8>) -> Option<usize> {
    let letter = text[1..].chars().next()?;
    let simple = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            bytes.push(u8::try_from(number(text, 2..4, 16)?).ok()?);
            return Some(4);
        }
        '0'..='7' => {
            bytes.push(u8::try_from(number(text, 1..4, 8)?).ok()?);
            return Some(4);
        }
        'u' => {
            push(char::from_u32(number(text, 2..6, 16)?)?, bytes);
            return Some(6);
        }
        'U' => {
            push(char::from_u32(number(text, 2..10, 16)?)?, bytes);
            return Some(10);
        }
        _ => return None,
    };
    bytes.push(simple);
    Some(2)
}

/// The number written in exactly these bytes.
fn number(text: &str, place: std::ops::Range<usize>, radix: u32) -> Option<u32> {
    let digits = text.get(place)?;
    // The standard parser would take a sign.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

fn push(character: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
