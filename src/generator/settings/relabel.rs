//! Rules by which a receiver of remote write gets other labels, or some series not at all (`write_relabel_configs`). They are
//! those of Prometheus' configuration.

use regex::Regex;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelRule {
    /// Labels whose values are joined to what the rule looks at.
    pub source_labels: Vec<String>,
    /// What stands between them; default `;`.
    pub separator: String,
    /// What a text is compared with; default everything.
    pub pattern: Pattern,
    /// For [`RelabelAction::HashMod`]: the number of shares.
    pub modulus: u64,
    /// The label that is set.
    pub target_label: String,
    /// What it is set to; default `$1`.
    pub replacement: String,
    /// What is done.
    pub action: RelabelAction,
}

impl Default for RelabelRule {
    fn default() -> Self {
        RelabelRule {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            pattern: Pattern::default(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: RelabelAction::Replace,
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelabelAction {
    /// Sets a label if the text matches.
    Replace,
    /// Drops series whose text does not match.
    Keep,
    /// Drops series whose text matches.
    Drop,
    /// Drops series whose label differs from the text.
    KeepEqual,
    /// Drops series whose label is the text.
    DropEqual,
    /// Sets a label to the text's share.
    HashMod,
    /// Copies labels whose name matches to other names.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets a label to the text in lower case.
    LowerCase,
    /// Sets a label to the text in upper case.
    UpperCase,
}

impl RelabelAction {
    /// The action with a name of Prometheus' configuration, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "replace" => RelabelAction::Replace,
            "keep" => RelabelAction::Keep,
            "drop" => RelabelAction::Drop,
            "keepequal" => RelabelAction::KeepEqual,
            "dropequal" => RelabelAction::DropEqual,
            "hashmod" => RelabelAction::HashMod,
            "labelmap" => RelabelAction::LabelMap,
            "labeldrop" => RelabelAction::LabelDrop,
            "labelkeep" => RelabelAction::LabelKeep,
            "lowercase" => RelabelAction::LowerCase,
            "uppercase" => RelabelAction::UpperCase,
            _ => return None,
        })
    }
}

/// A regular expression that has to match a whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        Ok(Pattern { text: text.to_owned(), regex: Regex::new(&format!("^(?s:{text})$"))? })
    }

    /// The whole expression.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    fn is_default(&self) -> bool {
        self.text == "(.*)"
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Pattern::parse("(.*)").expect("a legal expression")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl RelabelRule {
    /// Looks whether the parts of the rule fit its action.
    ///
    /// # Errors
    /// What is missing, or too much.
    pub fn check(&self) -> Result<(), String> {
        use RelabelAction as A;
        let default = RelabelRule::default();
        match self.action {
            A::HashMod if self.modulus == 0 => Err("relabel configuration for hashmod requires non-zero modulus".to_owned()),
            A::Replace | A::HashMod | A::LowerCase | A::UpperCase | A::KeepEqual | A::DropEqual if self.target_label.is_empty() => {
                Err("relabel configuration requires 'target_label' value".to_owned())
            }
            A::HashMod | A::LowerCase | A::UpperCase | A::KeepEqual | A::DropEqual if !is_label(&self.target_label) => {
                Err(format!("{:?} is invalid 'target_label'", self.target_label))
            }
            A::Replace if !is_label_template(&self.target_label) => Err(format!("{:?} is invalid 'target_label'", self.target_label)),
            A::LabelMap if !is_label_template(&self.replacement) => {
                Err(format!("{:?} is invalid 'replacement' for labelmap", self.replacement))
            }
            A::KeepEqual | A::DropEqual if !self.pattern.is_default() || self.modulus != 0 || self.replacement != default.replacement => {
                Err("only 'source_labels' and 'target_label' fit keepequal and dropequal".to_owned())
            }
            A::LabelDrop | A::LabelKeep if RelabelRule { pattern: Pattern::default(), action: A::Replace, ..self.clone() } != default => {
                Err("labeldrop and labelkeep require only 'regex', and no other fields".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a text is a legal name of a label.
pub(in crate::generator) fn is_label(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_word)
}

/// Whether a text can become a name once `$1` and `${1}` in it are filled in.
fn is_label_template(text: &str) -> bool {
    let mut name = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (group, after) = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').unwrap_or(("", braced)),
            None => rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())),
        };
        if group.is_empty() {
            return false;
        }
        name.push('_');
        rest = after;
    }
    name.push_str(rest);
    is_label(&name)
}
