use super::super::draft::Draft;
use super::super::keys::ROOT;
use super::*;

/// Every row of a table and of the tables below it, with its dotted path.
fn rows(table: &'static Table<Draft>, path: &str, found: &mut Vec<(String, Action<Draft>)>) {
    for key in table.keys {
        let path = join(path, key.name);
        if let Action::Section(inner) = key.action {
            rows(inner, &path, found);
        }
        found.push((path, key.action));
    }
}

#[test]
fn aliases_lead_to_keys_that_set_something() {
    let mut found = Vec::new();
    rows(&ROOT, "", &mut found);
    for (path, action) in &found {
        if let Action::Alias(other) = action {
            let target = ROOT.find(other).map(|found| found.action);
            assert!(!matches!(target, None | Some(Action::Alias(_))), "{path} -> {other}");
        }
    }
    assert!(found.len() > 150, "{}", found.len());
}

/// A name that a section gives twice could be taken by the wrong row.
fn duplicates(table: &'static Table<Draft>, path: &str) {
    let names: Vec<&str> = table.keys.iter().map(|key| key.name).chain(table.ignored.iter().copied()).collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{path}: {name} stands twice");
    }
    for key in table.keys {
        if let Action::Section(inner) = key.action {
            duplicates(inner, &join(path, key.name));
        }
    }
}

#[test]
fn no_section_names_a_key_twice() {
    duplicates(&ROOT, "");
}

#[test]
fn paths_are_found() {
    for (path, known) in [
        ("server.http_listen_port", true),
        ("server.grpc_server_anything", true),
        ("server.grpc_server_", false),
        ("server.http_listen_port.x", false),
        ("memberlist.any.thing", true),
        ("ingest.kafka.whatever", true),
        ("storage.trace.s3.tls_cert_path", true),
        ("distributor.receivers", true),
        ("distributor.receivers.otlp", false),
        ("nothing", false),
        ("", false),
        (".", false),
    ] {
        assert_eq!(ROOT.find(path).is_some(), known, "{path}");
    }
}

#[test]
fn distances() {
    for (left, right, distance) in
        [("", "", 0), ("a", "", 1), ("abc", "abd", 1), ("abc", "acb", 1), ("prot", "port", 1), ("kitten", "sitting", 3)]
    {
        assert_eq!(edit_distance(left, right), distance, "{left} {right}");
    }
    assert_eq!(edit_distance(&"x".repeat(5000), "server"), usize::MAX);
}

#[test]
fn long_values_are_not_printed() {
    let secret = Node { line: 3, value: Value::Scalar { text: "a-very-secret-key".into(), quoted: true } };
    assert_eq!(mismatch(&secret, "bool").message, "cannot unmarshal !!str `a-very-...` into bool");
}
