//! `write_relabel_configs` of remote write.

use super::generator_lists::{list, texts};
use crate::config::schema::{Action, Key, Report, Table, Walk};
use crate::config::yaml::{Node, Problem};
use crate::generator::settings::{Pattern, RelabelAction, RelabelRule};

static RULE: Table<RelabelRule> = Table::new(
    "relabel.Config",
    &[
        Key::new("source_labels", Action::Custom(|rule, node, report| texts(&mut rule.source_labels, node, report))),
        Key::text("separator", |rule, text| {
            rule.separator = text.to_owned();
            Ok(())
        }),
        Key::text("regex", |rule, text| {
            rule.pattern = Pattern::parse(text).map_err(|error| error.to_string())?;
            Ok(())
        }),
        Key::count("modulus", |rule, modulus| rule.modulus = modulus),
        Key::text("target_label", |rule, text| {
            rule.target_label = text.to_owned();
            Ok(())
        }),
        Key::text("replacement", |rule, text| {
            rule.replacement = text.to_owned();
            Ok(())
        }),
        Key::text("action", |rule, text| {
            rule.action = RelabelAction::named(text).ok_or_else(|| format!("unknown relabel action {text:?}"))?;
            Ok(())
        }),
    ],
    &[],
);

/// The rules of one receiver.
pub(super) fn rules(into: &mut Vec<RelabelRule>, node: &Node, report: &mut Report) {
    let Some(nodes) = list(node, "[]*relabel.Config", report) else { return };
    into.clear();
    for node in nodes {
        let mut rule = RelabelRule::default();
        Walk::new(&RULE, report).section(&mut rule, &RULE, node, "write_relabel_configs");
        if let Err(message) = rule.check() {
            report.problems.push(Problem::new(node.line, message));
        }
        into.push(rule);
    }
}
