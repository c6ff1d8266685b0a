//! `-config.expand-env`: a textual replacement of `${…}` before YAML is parsed, comments included ("spec/config.md §2").

/// Looks a variable up; `None` if it is not set.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Deepest nesting of `${A:-${B}}`.
const MAX_DEPTH: usize = 16;
/// Longest result in bytes: nested replacements could otherwise grow a small file without bound.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// The text with every `${…}` replaced; `$$` becomes `$`, and `$V` without braces stays.
///
/// # Errors
/// A form that is not in the table of the specification, with its line.
pub(super) fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some(inner) = after.strip_prefix('{') {
            let line = 1 + text[..text.len() - rest.len() + at].matches('\n').count();
            let length = closing_brace(inner).ok_or_else(|| format!("line {line}: missing closing brace"))?;
            let value = substitute(&inner[..length], lookup, MAX_DEPTH).map_err(|message| format!("line {line}: {message}"))?;
            result.push_str(&value);
            rest = &inner[length + 1..];
        } else {
            result.push('$');
            rest = after;
        }
        if result.len() > MAX_RESULT_BYTES {
            return Err("the expanded file is too large".to_owned());
        }
    }
    result.push_str(rest);
    Ok(result)
}

/// Offset of the brace that closes an expression; nested expressions are skipped.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            '\n' => return None,
            _ => {}
        }
        previous = c;
    }
    None
}

/// The value of the expression between the braces.
fn substitute(expression: &str, lookup: Lookup<'_>, depth: usize) -> Result<String, String> {
    let bad = || format!("bad substitution: ${{{expression}}}");
    if let Some(name) = expression.strip_prefix('#') {
        return if is_name(name) { Ok(lookup(name).unwrap_or_default().chars().count().to_string()) } else { Err(bad()) };
    }
    let name_end = expression.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(expression.len());
    let (name, operator) = expression.split_at(name_end);
    if !is_name(name) {
        return Err(bad());
    }
    let value = lookup(name).unwrap_or_default();
    let default = [":-", ":=", "="].iter().find_map(|prefix| operator.strip_prefix(prefix));
    match (operator, default) {
        ("", _) => Ok(value),
        ("^", _) => Ok(first_with(&value, |c| c.to_uppercase().collect())),
        ("^^", _) => Ok(value.to_uppercase()),
        (",", _) => Ok(first_with(&value, |c| c.to_lowercase().collect())),
        (",,", _) => Ok(value.to_lowercase()),
        (_, Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => nested(default, lookup, depth),
        _ => match operator.split_at(1) {
            (":", range) => substring(&value, range).ok_or_else(bad),
            ("#" | "%", _) => Ok(strip(&value, operator)),
            ("/", _) => Ok(replace(&value, operator)),
            _ => Err(bad()),
        },
    }
}

/// A default may name variables itself.
fn nested(text: &str, lookup: Lookup<'_>, depth: usize) -> Result<String, String> {
    let Some(at) = text.find("${") else { return Ok(text.to_owned()) };
    let deeper = depth.checked_sub(1).ok_or("bad substitution: nested too deep")?;
    let inner = &text[at + 2..];
    let length = closing_brace(inner).ok_or("missing closing brace")?;
    let value = substitute(&inner[..length], lookup, deeper)?;
    Ok(format!("{}{value}{}", &text[..at], nested(&inner[length + 1..], lookup, deeper)?))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The text with its first character changed.
fn first_with(text: &str, change: fn(char) -> String) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| change(first) + chars.as_str())
}

/// `pos` or `pos:len` of `${V:pos:len}`, counted in characters.
fn substring(value: &str, range: &str) -> Option<String> {
    let (position, length) = range.split_once(':').map_or((range, None), |(position, length)| (position, Some(length)));
    let position = position.trim().parse().ok()?;
    let length = length.map_or(Ok(usize::MAX), |length| length.trim().parse()).ok()?;
    Some(value.chars().skip(position).take(length).collect())
}

/// `#p`, `##p`, `%p`, `%%p`: strips the shortest or longest prefix or suffix that fits a pattern.
fn strip(value: &str, operator: &str) -> String {
    let from_start = operator.starts_with('#');
    let sign = if from_start { "#" } else { "%" };
    let single = operator.strip_prefix(sign).unwrap_or(operator);
    let (pattern, longest) = single.strip_prefix(sign).map_or((single, false), |pattern| (pattern, true));
    let cuts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    let fits = |cut: &&usize| glob(pattern, if from_start { &value[..**cut] } else { &value[**cut..] });
    // The shortest prefix ends first; the shortest suffix starts last.
    let found = if from_start == longest { cuts.iter().rev().find(fits) } else { cuts.iter().find(fits) };
    match found {
        Some(cut) if from_start => value[*cut..].to_owned(),
        Some(cut) => value[..*cut].to_owned(),
        None => value.to_owned(),
    }
}

/// `/a/b`, `//a/b`, `/#a/b`, `/%a/b`: replaces the first, every, the leading, the trailing `a`.
fn replace(value: &str, operator: &str) -> String {
    let operator = operator.strip_prefix('/').unwrap_or(operator);
    let (place, operator) = match operator.chars().next() {
        Some(place @ ('/' | '#' | '%')) => (place, &operator[1..]),
        _ => (' ', operator),
    };
    let (old, new) = operator.split_once('/').unwrap_or((operator, ""));
    if old.is_empty() {
        return value.to_owned();
    }
    match place {
        '/' => value.replace(old, new),
        '#' => value.strip_prefix(old).map_or(value.to_owned(), |rest| format!("{new}{rest}")),
        '%' => value.strip_suffix(old).map_or(value.to_owned(), |rest| format!("{rest}{new}")),
        _ => value.replacen(old, new, 1),
    }
}

/// True if a pattern with `*` and `?` fits a whole text. Goes back to the last star only, so it takes at most
/// pattern × text steps.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, from)) = last_star else { return false };
                last_star = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        let value = match name {
            "V" => "value",
            "EMPTY" => "",
            "PATH_LIKE" => "/a/b/c.tar.gz",
            "MIXED" => "aBc",
            "NESTED" => "${V}",
            "UMLAUT" => "äöü",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn expands_every_form() {
        for (text, expected) in [
            ("key: ${V} # ${V}", "key: value # value"),
            ("${UNSET}|${EMPTY}", "|"),
            ("${UNSET:-d} ${EMPTY:-d} ${V:-d}", "d d value"),
            ("${UNSET:=d} ${EMPTY=d} ${V=d}", "d d value"),
            ("${UNSET:-} ${UNSET:-http://x:80/}", " http://x:80/"),
            ("${UNSET:-a${V}b${UNSET:-c}}", "avaluebc"),
            ("$$ $${V} $$$${V}", "$ ${V} $${V}"),
            ("$V $ $1 $", "$V $ $1 $"),
            ("${MIXED^} ${MIXED^^} ${MIXED,} ${MIXED,,}", "ABc ABC aBc abc"),
            ("${V:1} ${V:1:2} ${V:9} ${UMLAUT:1:1}", "alue al  ö"),
            ("${PATH_LIKE#*/} ${PATH_LIKE##*/}", "a/b/c.tar.gz c.tar.gz"),
            ("${PATH_LIKE%.*} ${PATH_LIKE%%.*}", "/a/b/c.tar /a/b/c"),
            ("${V#x} ${V%x} ${V#?}", "value value alue"),
            ("${PATH_LIKE/a/b} ${PATH_LIKE//\\//}", "/b/b/c.tar.gz /a/b/c.tar.gz"),
            ("${PATH_LIKE//a/X} ${PATH_LIKE/#\\/a/X} ${PATH_LIKE/%gz/X}", "/X/b/c.tXr.gz /a/b/c.tar.gz /a/b/c.tar.X"),
            ("${#V} ${#UMLAUT} ${#UNSET}", "5 3 0"),
            ("${NESTED}", "${V}"),
        ] {
            assert_eq!(expand(text, &variable).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_bad_syntax_with_the_line() {
        for text in
            ["${", "${V", "${}", "${V-d}", "${V+d}", "${V:?e}", "${V:+d}", "${1a}", "${a b}", "${V:-${V}", "${#}", "${V!}", "${V\n}"]
        {
            let error = expand(&format!("a\nb: {text}"), &variable).expect_err(text);
            assert!(error.starts_with("line 2: "), "{text}: {error}");
        }
        let deep = format!("{}x{}", "${U:-".repeat(100), "}".repeat(100));
        assert!(expand(&deep, &variable).is_err());
    }
}
