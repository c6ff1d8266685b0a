//! The file with bearer tokens: `tokens:`, and below it a list; each has a `token` or its `sha256`, `tenants` and `scopes`.

use super::ConfigError;
use super::yaml::{self, Entry, Node, Problem, Value};
use crate::model::TenantId;
use crate::runtime::serve::tokens::{Scope, Token};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the tokens are that requests must have. Keys of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokensConfig {
    /// The file; `None` (default) if nobody needs a token (`bearer_tokens.file`).
    pub file: Option<PathBuf>,
    /// How often it is read again, default 10 s (`bearer_tokens.reload_interval`).
    pub reload_interval: Duration,
}

impl Default for TokensConfig {
    fn default() -> Self {
        TokensConfig { file: None, reload_interval: Duration::from_secs(10) }
    }
}

/// A token that is shorter can be guessed.
const LEAST_BYTES: usize = 16;

/// Reads the file. Messages never have anything of a token.
///
/// # Errors
/// As of the configuration file. Nothing of a file that has an error is used.
pub fn load_tokens(path: &Path) -> Result<Vec<Token>, ConfigError> {
    let path = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    // What the parser quotes may be a token.
    let syntax = |problem: Problem| ConfigError::Syntax { path: path.clone(), line: problem.line, message: "this is no YAML".to_owned() };
    let document = yaml::parse(&text).map_err(syntax)?;
    let told = |problem: Problem| Problem::new(problem.line, "a member is there twice");
    let mut problems: Vec<Problem> = document.problems.into_iter().map(told).collect();
    let mut tokens = Vec::new();
    match members(&document.root).map_err(|problem| problems.push(problem)) {
        Ok([Entry { key, node: Node { value: Value::Seq(nodes), .. }, .. }]) if key == "tokens" => {
            for node in nodes {
                read_token(node).map_or_else(|problem| problems.push(problem), |token| tokens.push(token));
            }
        }
        Ok(_) => problems.push(Problem::new(1, "the file must have one member, tokens, and that is a list")),
        Err(()) => {}
    }
    if problems.is_empty() { Ok(tokens) } else { Err(ConfigError::Keys { path, problems }) }
}

fn members(node: &Node) -> Result<&[Entry], Problem> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(Problem::new(node.line, "a map is wanted here")),
    }
}

fn read_token(node: &Node) -> Result<Token, Problem> {
    let (mut tenants, mut scopes) = (None, BTreeSet::new());
    let (mut text, mut digest) = (None, None);
    for Entry { key, line, node } in members(node)? {
        let wrong = |message: &str| Problem::new(*line, message);
        match key.as_str() {
            "token" => text = Some(scalar(node)?),
            "sha256" => digest = Some(hex(scalar(node)?).ok_or_else(|| wrong("sha256 must have 64 hex digits"))?),
            "name" => drop(scalar(node)?),
            "tenants" => tenants = Some(list(node)?),
            "scopes" => {
                for name in list(node)? {
                    scopes.insert(Scope::parse(name).ok_or_else(|| wrong("a scope is write, read or admin"))?);
                }
            }
            _ => return Err(wrong("a token has token, sha256, name, tenants and scopes, and nothing else")),
        }
    }
    let wrong = |message: &str| Problem::new(node.line, message);
    let tenants = allowed(tenants.ok_or_else(|| wrong("a token needs tenants, [\"*\"] for all"))?, node.line)?;
    if scopes.is_empty() {
        return Err(wrong("a token needs scopes: write, read, admin"));
    }
    match (text, digest) {
        (Some(text), None) if text.len() < LEAST_BYTES => Err(wrong("a token must have 16 characters at least")),
        (Some(text), None) => Ok(Token::new(text, tenants, scopes)),
        (None, Some(digest)) => Ok(Token::of_digest(digest, tenants, scopes)),
        _ => Err(wrong("either token or sha256 is wanted")),
    }
}

/// The tenants of a list; `None` for all of them.
fn allowed(names: Vec<&str>, line: usize) -> Result<Option<BTreeSet<String>>, Problem> {
    if names == ["*"] {
        return Ok(None);
    }
    let tenant =
        |name: &str| TenantId::parse(name).map(|tenant| tenant.to_string()).map_err(|_| Problem::new(line, "a tenant has an illegal name"));
    names.into_iter().map(tenant).collect::<Result<_, _>>().map(Some)
}

fn scalar(node: &Node) -> Result<&str, Problem> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text),
        _ => Err(Problem::new(node.line, "a text is wanted here")),
    }
}

fn list(node: &Node) -> Result<Vec<&str>, Problem> {
    match &node.value {
        Value::Seq(nodes) => nodes.iter().map(scalar).collect(),
        _ => Err(Problem::new(node.line, "a list is wanted here")),
    }
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Vec<Token>, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tokens.yaml");
        std::fs::write(&path, text).expect("writable");
        load_tokens(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn tokens_are_read() {
        let tokens = load(&format!(
            "tokens:\n- {{token: 0123456789abcdef, tenants: [a, b], scopes: [write]}}\n- {{name: ops, sha256: {}, tenants: ['*'], scopes: [read, admin]}}\n",
            "ab".repeat(32)
        ));
        let printed = format!("{:?}", tokens.expect("legal"));
        assert_eq!(
            printed,
            "[Token { tenants: Some({\"a\", \"b\"}), scopes: {Write}, .. }, Token { tenants: None, scopes: {Read, Admin}, .. }]"
        );
        assert!(load("tokens: []\n").expect("nobody may do anything").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_token() {
        const TOKEN: &str = "very-secret-text-of-a-token";
        for (text, part) in [
            ("[]", "a map is wanted here"),
            ("tokens: {}", "tokens, and that is a list"),
            ("tenants: []", "tokens, and that is a list"),
            ("tokens:\n- {token: SECRET, tenants: [a]}", "line 2: a token needs scopes"),
            ("tokens:\n- {token: SECRET, scopes: [read]}", "line 2: a token needs tenants"),
            ("tokens:\n- {token: SECRET, tenants: [a/b], scopes: [read]}", "a tenant has an illegal name"),
            ("tokens:\n- {token: SECRET, tenants: [a], scopes: [all]}", "a scope is write, read or admin"),
            ("tokens:\n- {token: SECRET, sha256: SECRET, tenants: [a], scopes: [read]}", "sha256 must have 64 hex digits"),
            ("tokens:\n- {tenants: [a], scopes: [read]}", "either token or sha256"),
            ("tokens:\n- {token: short, tenants: [a], scopes: [read]}", "16 characters"),
            ("tokens:\n- {tokn: SECRET, tenants: [a], scopes: [read]}", "and nothing else"),
            ("tokens:\n- {token: [SECRET], tenants: [a], scopes: [read]}", "a text is wanted"),
            ("tokens:\n- {SECRET: SECRET, SECRET: a}", "line 2"),
            ("tokens:\n- {SECRET: \"SECRET", "this is no YAML"),
            ("tokens:\n- {token: 0123456789abcdef, tenants: [SECRET/], scopes: [SECRET]}", "a scope is"),
        ] {
            let error = load(&text.replace("SECRET", TOKEN)).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains(TOKEN), "{error}");
        }
    }
}
