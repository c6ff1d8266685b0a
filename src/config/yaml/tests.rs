use super::*;

fn tree(text: &str) -> Node {
    let document = parse(text).expect(text);
    assert_eq!(document.problems, []);
    document.root
}

/// The tree as one line: `key@line=value`.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".to_owned(),
        Value::Scalar { text, quoted } => {
            if *quoted {
                format!("'{text}'")
            } else {
                text.clone()
            }
        }
        Value::Seq(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|e| format!("{}@{}={}", e.key, e.line, shown(&e.node))).collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

#[test]
fn trees_know_their_lines() {
    for (text, expected) in [
        ("", "~"),
        ("# nothing\n", "~"),
        ("---\n", "~"),
        ("\u{feff}a: 1", "{a@1=1}"),
        ("a: 1\r\nb:\r\n  c: 2\r\n", "{a@1=1,b@2={c@3=2}}"),
        ("a:\n\n# x\nb: null\nc: ~\nd: \"\"\ne: ''", "{a@1=~,b@4=~,c@5=~,d@6='',e@7=''}"),
        ("a:\n- 1\n- {b: 2,\n   c: 3}\n", "{a@1=[1,{b@3=2,c@4=3}]}"),
        ("? a\n: 1\n'b': 2\n3: 4", "{a@1=1,b@3=2,3@4=4}"),
        ("a: |\n  x\n  y\nb: 2", "{a@1='x\ny\n',b@4=2}"),
        ("a: 1\n---\n", "{a@1=1}"),
        ("a: 1\n...\n", "{a@1=1}"),
    ] {
        assert_eq!(shown(&tree(text)), expected, "{text}");
    }
}

#[test]
fn anchors_and_merge_keys() {
    for (text, expected) in [
        ("a: &x {b: 1}\nc: *x", "{a@1={b@1=1},c@2={b@1=1}}"),
        ("a: &x {b: 1, c: 2}\nd:\n  c: 3\n  <<: *x", "{a@1={b@1=1,c@1=2},d@2={c@3=3,b@1=1}}"),
        ("a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne:\n  <<: [*x, *y]", "{a@1={b@1=1},c@2={b@2=2,d@2=3},e@3={b@1=1,d@2=3}}"),
        ("a: &x key\n*x : 1", "{a@1=key,key@2=1}"),
        ("a: &x 1\nb: &x 2\nc: *x", "{a@1=1,b@2=2,c@3=2}"),
    ] {
        assert_eq!(shown(&tree(text)), expected, "{text}");
    }
}

#[test]
fn duplicate_keys_are_told_apart_from_merged_ones() {
    let document = parse("a: 1\nb: {c: 1, c: 2}\na: 3").expect("well formed");
    let lines: Vec<(usize, &str)> = document.problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
    assert_eq!(lines, [(2, "key \"c\" already set in map"), (3, "key \"a\" already set in map")]);
}

#[test]
fn refuses() {
    for (text, line) in [
        ("a: b: c", 1),
        ("a:\n\tb: 1", 2),
        ("a: [1, 2", 1),
        ("a: 1\n b: 2", 2),
        ("a: *nowhere", 1),
        ("a: 1\nb: &x\n  c: *x", 3),
        ("a: 1\n---\nb: 2", 3),
        ("[a]: 1", 1),
        ("a:\n  <<: 3", 2),
    ] {
        let problem = parse(text).expect_err(text);
        assert!(problem.line.abs_diff(line) <= 1, "{text}: {problem:?}");
        assert!(!problem.message.is_empty());
    }
}

#[test]
fn bounds_hold() {
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&format!("{}{}", "[".repeat(65), "]".repeat(65))).is_err());
    assert!(parse(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    assert!(parse(&"- 1\n".repeat(200_001)).is_err());
    let many_keys: String = (0..50_000).map(|n| format!("k{n}: 1\n")).collect();
    assert!(parse(&many_keys).is_ok());
}

/// Pieces of YAML in every order must be read or refused, but never end the process.
#[test]
fn no_input_panics() {
    let pieces = [
        "a", ":", " ", "\n", "- ", "{", "}", "[", "]", ",", "&x", "*x", "<<", "!t", "|", ">", "'", "\"", "#", "---", "?", "%", "\t", "é",
        "\0", "~", "...",
    ];
    let mut state = 42u64;
    for _ in 0..30_000 {
        let mut text = String::new();
        for _ in 0..1 + state % 24 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[usize::try_from(state >> 33).expect("31 bits") % pieces.len()]);
        }
        let _ = parse(&text);
    }
}
