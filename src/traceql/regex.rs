//! Regular expressions of the language: RE2 syntax as in Go, fully anchored (spec/traceql.md §6.3).
//!
//! The `regex` crate is close to RE2 but not the same. A pattern is therefore rewritten first: `\d`, `\w`, `\s` and `\b` mean ASCII
//! only, `[[a]` is a plain class, a brace that is no repetition is literal, `\Q…\E` and octal escapes exist, and what only the
//! crate knows (`**`, `(?x)`, `\<`, set operations) is refused or taken literally as RE2 does. All groups become non-capturing.

use super::pattern::Pattern;
use regex::bytes::RegexBuilder;

/// A pattern that is no regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression")]
pub struct InvalidPattern;

/// Groups within groups; keeps the recursion of the crate's compiler small.
const MAX_NESTING: u32 = 100;

/// Largest count of a repetition in RE2.
const MAX_REPETITIONS: u32 = 1000;

/// Memory of a compiled pattern; bounds the time that a hostile query can spend here.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// The names of `[[:name:]]`.
const NAMED_CLASSES: [&str; 14] =
    ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];

/// Compiles a pattern so that it has to match a whole text and its dot also matches line breaks.
pub fn compile_regex(pattern: &str) -> Result<Pattern, InvalidPattern> {
    let translated = translate(pattern).ok_or(InvalidPattern)?;
    let anchored = format!("^(?s:{translated})$");
    let mut builder = RegexBuilder::new(&anchored);
    let regex = builder.nest_limit(MAX_NESTING).size_limit(MAX_COMPILED_BYTES).build().map_err(|_| InvalidPattern)?;
    Ok(Pattern::new(regex, &anchored))
}

/// The pattern in the crate's syntax; `None` if RE2 would refuse it. What both refuse may pass.
fn translate(pattern: &str) -> Option<String> {
    let mut translator = Translator { rest: pattern, out: String::new(), open_groups: 0, after_repetition: false };
    while let Some(next) = translator.next_char() {
        translator.item(next)?;
    }
    Some(translator.out)
}

struct Translator<'pattern> {
    rest: &'pattern str,
    out: String,
    open_groups: usize,
    /// Whether the last item was a repetition, which cannot be repeated again.
    after_repetition: bool,
}

impl Translator<'_> {
    fn item(&mut self, next: char) -> Option<()> {
        if let Some(repetition) = self.repetition(next)? {
            if self.after_repetition {
                return None;
            }
            self.out.push_str(&repetition);
            self.after_repetition = true;
            return Some(());
        }
        self.after_repetition = false;
        match next {
            '\\' => return self.escape(),
            '[' => return self.class(),
            '(' => return self.group(),
            ')' => {
                self.open_groups = self.open_groups.checked_sub(1)?;
                self.out.push(')');
            }
            '.' | '^' | '$' | '|' => self.out.push(next),
            _ => self.literal(next),
        }
        Some(())
    }

    /// The repetition that begins with the character, with its mark for laziness; `Some(None)` if it begins none.
    fn repetition(&mut self, next: char) -> Option<Option<String>> {
        let mut repetition = match next {
            '*' | '+' | '?' => next.to_string(),
            '{' => match self.counts() {
                Some(counts) => counts.checked()?,
                None => return Some(None),
            },
            _ => return Some(None),
        };
        if self.eat('?') {
            repetition.push('?');
        }
        Some(Some(repetition))
    }

    /// Reads `n}`, `n,}` or `n,m}`; leaves the text alone if it is something else, which makes the brace literal.
    fn counts(&mut self) -> Option<Counts> {
        let (inside, after) = self.rest.split_once('}')?;
        let (low, high) = inside.split_once(',').unwrap_or((inside, inside));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(low) || !(high.is_empty() || is_number(high)) {
            return None;
        }
        self.rest = after;
        let number = |text: &str| text.parse().unwrap_or(u32::MAX);
        Some(Counts { low: number(low), high: (!high.is_empty()).then(|| number(high)) })
    }

    fn group(&mut self) -> Option<()> {
        self.open_groups += 1;
        if !self.eat('?') {
            self.out.push_str("(?:");
            return Some(());
        }
        let named = self.rest.strip_prefix("P<").or_else(|| self.rest.strip_prefix('<'));
        if let Some(named) = named {
            let (name, after) = named.split_once('>')?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            self.rest = after;
            self.out.push_str("(?:");
            return is_name.then_some(());
        }
        let flags_end = self.rest.find([':', ')'])?;
        let (flags, after) = self.rest.split_at(flags_end);
        if !flags.chars().all(|flag| "imsU-".contains(flag)) {
            return None;
        }
        if after.starts_with(')') {
            self.open_groups -= 1;
        }
        self.out.push_str("(?");
        self.out.push_str(&self.rest[..=flags_end]);
        self.rest = &after[1..];
        Some(())
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Option<()> {
        let letter = self.rest.chars().next()?;
        match letter {
            'A' | 'z' => {
                self.next_char();
                self.out.push('\\');
                self.out.push(letter);
            }
            'b' | 'B' => {
                self.next_char();
                self.out.push_str(if letter == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" });
            }
            'Q' => {
                let quoted = &self.rest[1..];
                let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                self.rest = after;
                literal.chars().for_each(|character| self.literal(character));
            }
            _ => {
                if !self.class_escape()? {
                    let character = self.character_escape()?;
                    self.literal(character);
                }
            }
        }
        Some(())
    }

    /// `\d` and its like, `\pL`: the same inside and outside of classes. `Some(false)` if it is none of them.
    fn class_escape(&mut self) -> Option<bool> {
        let letter = self.rest.chars().next()?;
        let class = match letter {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => r"[\t\n\x0C\r ]",
            'S' => r"[^\t\n\x0C\r ]",
            'p' | 'P' => {
                self.next_char();
                self.unicode_class(letter == 'P')?;
                return Some(true);
            }
            _ => return Some(false),
        };
        self.next_char();
        self.out.push_str(class);
        Some(true)
    }

    fn unicode_class(&mut self, mut negated: bool) -> Option<()> {
        let mut name = self.next_char()?.to_string();
        if name == "{" {
            let (inside, after) = self.rest.split_once('}')?;
            inside.clone_into(&mut name);
            self.rest = after;
        }
        if let Some(positive) = name.strip_prefix('^') {
            negated = !negated;
            name = positive.to_owned();
        }
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let letter = if negated { 'P' } else { 'p' };
        self.out.push_str(&format!("\\{letter}{{{name}}}"));
        is_name.then_some(())
    }

    /// The one character that the text after a backslash stands for.
    fn character_escape(&mut self) -> Option<char> {
        let letter = self.next_char()?;
        match letter {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            'x' => self.hexadecimal(),
            '0'..='7' => self.octal(letter),
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Some(letter),
            _ => None,
        }
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let (digits, after) = match self.rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}')?,
            None => (self.rest.get(..2)?, &self.rest[2..]),
        };
        self.rest = after;
        let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_number.then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)).flatten()
    }

    /// Up to three octal digits; a single one other than zero would be a back-reference, which RE2 does not have.
    fn octal(&mut self, first: char) -> Option<char> {
        let more = self.rest.bytes().take(2).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
        if first != '0' && more == 0 {
            return None;
        }
        let (digits, after) = self.rest.split_at(more);
        self.rest = after;
        u32::from_str_radix(&format!("{first}{digits}"), 8).ok().and_then(char::from_u32)
    }

    /// A class, from behind its opening bracket to its closing one.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.eat('^') {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            if !is_first && self.eat(']') {
                self.out.push(']');
                return Some(());
            }
            is_first = false;
            self.class_item()?;
        }
    }

    /// A named class, a class escape, a character or a range.
    fn class_item(&mut self) -> Option<()> {
        if self.rest.starts_with("[:")
            && let Some(end) = self.rest.find(":]")
        {
            let name = self.rest[..end].trim_start_matches("[:").trim_start_matches('^');
            let is_known = NAMED_CLASSES.contains(&name);
            let (class, after) = self.rest.split_at(end + ":]".len());
            self.out.push_str(class);
            self.rest = after;
            return is_known.then_some(());
        }
        if let Some(escaped) = self.rest.strip_prefix('\\') {
            let before = std::mem::replace(&mut self.rest, escaped);
            if self.class_escape()? {
                return Some(());
            }
            self.rest = before;
        }
        let low = self.class_character()?;
        self.literal(low);
        if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.next_char();
            let high = self.class_character()?;
            self.out.push('-');
            self.literal(high);
            return (low <= high).then_some(());
        }
        Some(())
    }

    fn class_character(&mut self) -> Option<char> {
        match self.next_char()? {
            '\\' => self.character_escape(),
            character => Some(character),
        }
    }

    /// Writes one character so that it has no special meaning inside or outside of a class.
    fn literal(&mut self, character: char) {
        if character.is_ascii_punctuation() {
            self.out.push_str(&format!("\\x{:02X}", u32::from(character)));
        } else {
            self.out.push(character);
        }
    }

    fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(after) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    fn next_char(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next()?;
        self.rest = characters.as_str();
        Some(next)
    }
}

/// The counts of a repetition in braces.
struct Counts {
    low: u32,
    /// `None` is no upper bound.
    high: Option<u32>,
}

impl Counts {
    /// The repetition as text, if RE2 takes its numbers.
    fn checked(&self) -> Option<String> {
        let Self { low, high } = *self;
        match high {
            None if low <= MAX_REPETITIONS => Some(format!("{{{low},}}")),
            Some(high) if low <= high && high <= MAX_REPETITIONS => Some(format!("{{{low},{high}}}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile_regex(pattern).is_ok_and(|regex| regex.is_match(text.as_bytes()))
    }

    #[test]
    fn patterns_match_whole_texts() {
        assert!(matches("redis", "redis"));
        assert!(!matches("redis", "redis GET"));
        assert!(matches("a|b", "b"));
        assert!(!matches("a|b", "ab"));
        assert!(matches("", ""));
        assert!(!matches("", "x"));
        assert!(matches("at .*", "at\u{20}line\nline"));
        assert!(matches("^GET /healthz$", "GET /healthz"));
        assert!(matches("(?i)REDIS get", "redis GET"));
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert!(matches(r"\d\w\s", "1a "));
        assert!(!matches(r"\d", "٣"));
        assert!(!matches(r"\w", "é"));
        assert!(matches(r"[\D\d]\W[^\s]", "٣éx"));
        assert!(matches(r".\bé", "aé"));
        assert!(matches(r"a\Bb", "ab"));
    }

    #[test]
    fn what_is_literal_in_re2() {
        for (pattern, text) in [
            ("[[a]+", "[a"),
            ("[a&&b]+", "a&b"),
            ("[~~#-]+", "~#-"),
            ("[]a]", "]"),
            ("[^]]", "a"),
            ("[a-]+", "a-"),
            ("a{,2}", "a{,2}"),
            ("{foo}", "{foo}"),
            ("a{x", "a{x"),
            ("]}", "]}"),
            (r"\Qa.b*\E+", "a.b**"),
            (r"\<\_\/\-", "<_/-"),
            (r"\101\x41\x{1F600}\0", "AA😀\0"),
            (r"[\x41-\103\-]+", "ABC-"),
            ("[[:alpha:]_]+", "ab_"),
            (r"\pL\p{Greek}\p{^Greek}\PL", "aαa1"),
            ("(?P<n>a)(?<m>b)(?:c)", "abc"),
            ("a+?b{2}c{1,}d{0,3}?", "aabbccd"),
            ("# x", "# x"),
        ] {
            assert!(matches(pattern, text), "{pattern}");
        }
    }

    #[test]
    fn what_re2_refuses() {
        for pattern in [
            "(",
            ")",
            "a)(b",
            "[z-a]",
            "(?=x)",
            "(?!x)",
            "(?<=x)",
            "(?x)a",
            "(?u)a",
            "a**",
            "a*+",
            "a+{2}",
            "a{1001}",
            "a{3,2}",
            "*",
            "a|*",
            "[",
            "[a",
            r"\1",
            r"\8",
            r"\E",
            r"\C",
            r"\u0041",
            r"\é",
            r"\",
            r"[a-\d]",
            "[[:nope:]]",
            r"\p{Nope}",
            "(?P=n)",
            "(?P<>a)",
            r"\x",
            r"\x{110000}",
        ] {
            assert_eq!(compile_regex(pattern).err(), Some(InvalidPattern), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"([\[\](){}*+?\\|^$.,:<>=!&~PQExdpwb0-9a-cé-]|\PC){0,24}") {
            let _ = compile_regex(&pattern);
        }

        #[test]
        fn escaped_texts_match_themselves(text in any::<String>()) {
            prop_assert!(matches(&regex::escape(&text), &text));
        }
    }
}
