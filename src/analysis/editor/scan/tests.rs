use super::*;

/// `path role text` of all tokens.
fn tokens(text: &str) -> Vec<String> {
    all(text, false)
}

fn all(text: &str, hole: bool) -> Vec<String> {
    let mut found = Vec::new();
    scan(text, hole, &mut |token| {
        let path: String = token
            .path
            .iter()
            .map(|step| match step {
                Step::Key(key) => format!(".{key}"),
                Step::Item(index) => format!("[{index}]"),
            })
            .collect();
        let part = match token.part {
            Part::Key => "key",
            Part::Value => "value",
            Part::Open => "open",
        };
        let written = text.get(token.range.clone()).unwrap();
        assert!(written.contains(token.text.as_ref()), "{written} {}", token.text);
        found.push(format!("${path} {part} {}", token.text));
    });
    found
}

/// The last token of a text before a cursor.
fn at_cursor(text: &str) -> String {
    all(text, true).pop().unwrap_or_default()
}

#[test]
fn blocks_lists_and_brackets_give_paths() {
    let text = "labels: [public, 联系方式]  # from open to guarded\n\
                roles:\n  sales:\n    permissions:\n      - resource: customer\n        fields: { show: [a, 'b c'],\n          \
                mask: { \"x[*].y\": phone } }\n      - resource: order\n  hr: {}\nbindings:\n- role: sales\n  users:\n  - u1\n";
    let expected = [
        "$ key labels",
        "$.labels[0] value public",
        "$.labels[1] value 联系方式",
        "$ key roles",
        "$.roles key sales",
        "$.roles.sales key permissions",
        "$.roles.sales.permissions[0] key resource",
        "$.roles.sales.permissions[0].resource value customer",
        "$.roles.sales.permissions[0] key fields",
        "$.roles.sales.permissions[0].fields key show",
        "$.roles.sales.permissions[0].fields.show[0] value a",
        "$.roles.sales.permissions[0].fields.show[1] value b c",
        "$.roles.sales.permissions[0].fields key mask",
        "$.roles.sales.permissions[0].fields.mask key x[*].y",
        "$.roles.sales.permissions[0].fields.mask.x[*].y value phone",
        "$.roles.sales.permissions[1] key resource",
        "$.roles.sales.permissions[1].resource value order",
        "$.roles key hr",
        "$ key bindings",
        "$.bindings[0] key role",
        "$.bindings[0].role value sales",
        "$.bindings[0] key users",
        "$.bindings[0].users[0] open u1",
    ];
    assert_eq!(tokens(text), expected);
}

#[test]
fn block_texts_are_skipped_and_what_follows_is_found() {
    let text = "a: |\n  b: c\n\n  - d\ne: >-\n    f: g\nh: i";
    assert_eq!(tokens(text), ["$ key a", "$ key e", "$ key h", "$.h value i"]);
}

#[test]
fn what_was_not_closed_ends_where_a_line_cannot_belong_to_it() {
    let text = "a:\n  b: { c: [d, \n  e: \"f\n  g: 'h\nk: l\n";
    let expected = [
        "$ key a",
        "$.a key b",
        "$.a.b key c",
        "$.a.b.c[0] value d",
        "$.a key e",
        "$.a.e value f",
        "$.a key g",
        "$.a.g value h",
        "$ key k",
        "$.k value l",
    ];
    assert_eq!(tokens(text), expected);
}

#[test]
fn the_cursor_knows_where_it_is_before_anything_is_typed() {
    for (text, expected) in [
        ("", "$ key "),
        ("ro", "$ key ro"),
        ("roles:\n  sales:\n    ", "$.roles.sales open "),
        ("roles:\n  sales:\n    inherits: ", "$.roles.sales.inherits value "),
        ("roles:\n  sales:\n    inherits:\n      - ", "$.roles.sales.inherits[0] open "),
        ("roles:\n  sales:\n    inherits: [a, ", "$.roles.sales.inherits[1] value "),
        (
            "roles:\n  sales:\n    permissions:\n      - { resource: c, fields: { ",
            "$.roles.sales.permissions[0].fields key ",
        ),
        (
            "roles:\n  sales:\n    permissions:\n      - resource: c\n        ",
            "$.roles.sales.permissions[0] key ",
        ),
        (
            "roles:\n  sales:\n    permissions:\n      - resource: c\n        fi",
            "$.roles.sales.permissions[0] key fi",
        ),
        ("roles:\n  sales:\n    inherits: [a]\n  ", "$.roles key "),
        ("roles:\n  sales: { permissions: [ { a: b,\n    ", "$.roles.sales.permissions[0] key "),
        ("roles:\n  sales: { permissions: [ { a: b,\n  ", "$.roles key "),
        ("labels:\n- a\n- ", "$.labels[1] open "),
        ("labels:\n- a\nro", "$ key ro"),
        ("guards:\n  - require: record.x == ", "$.guards[0].require value record.x == "),
        ("a: { b: \"x", "$.a.b value x"),
        ("a:\n  b: { c:", "$.a.b.c value "),
    ] {
        assert_eq!(at_cursor(text), expected, "{text:?}");
    }
}

#[test]
fn hostile_texts_end_soon_and_within_the_text() {
    let deep = "[".repeat(100_000);
    let stairs: String = (0..2_000).map(|depth| format!("{}k:\n", " ".repeat(depth))).collect();
    let blank = format!("a: [\n{}", "\n".repeat(200_000));
    let quotes = "a: \"x\n".repeat(50_000);
    let dashes = "- ".repeat(50_000);
    for text in [
        &deep,
        &stairs,
        &blank,
        &quotes,
        &dashes,
        "\u{feff}a: b",
        "a: !t &x *y",
        ":",
        "- :\n? a",
        "a: \"\\",
        "'",
    ] {
        for hole in [false, true] {
            scan(text, hole, &mut |token| {
                assert!(token.range.end <= text.len());
                assert!(token.path.len() <= 2 * MAX_DEPTH);
            });
        }
    }
}

#[test]
fn any_cut_of_a_policy_is_scanned_without_harm() {
    let text = include_str!("../../../../policies/demo/roles.yaml").replace("staff", "员工'\"");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let cut = text.get(..end).unwrap();
        scan(cut, true, &mut |token| assert!(cut.get(token.range.clone()).is_some(), "{end}"));
    }
}
