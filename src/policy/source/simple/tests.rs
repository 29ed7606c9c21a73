use proptest::prelude::*;

use super::super::parse::parse;
use super::*;

/// Everything of a tree, marks too.
fn shown(built: &Built) -> String {
    let complaints: Vec<_> = built.complaints.iter().map(|c| (&c.message, c.mark, c.first)).collect();
    format!("{:?} {complaints:?}", built.root)
}

/// What this reader reads, the full parser reads the same. Whether it was read here.
fn compare(text: &str) -> bool {
    let bounds = SourceBounds::default();
    let Some(simple) = read(text, 0, &bounds) else { return false };
    match parse(text, 0, &bounds) {
        Ok(full) => {
            let (simple, full) = (shown(&simple), shown(&full));
            let same = simple.bytes().zip(full.bytes()).take_while(|(a, b)| a == b).count();
            let from = same.saturating_sub(80);
            assert!(
                simple == full,
                "{text}\n{:.160}\n{:.160}",
                simple.get(from..).unwrap_or_default(),
                full.get(from..).unwrap_or_default()
            );
        }
        Err(complaint) => panic!("read what is wrong: {}\n{text}", complaint.message),
    }
    true
}

#[test]
fn ordinary_policies_are_read_here() {
    for text in [
        "",
        "# nothing\n",
        "a: 1\n",
        "a:\n",
        "a: 'it''s'\n",
        "labels: [public, contact]   # ordered\n\nresources:\n  customer:\n    key: id\n",
        "roles:\n  sales:\n    inherits: [employee]\n    permissions:\n      - resource: customer\n        \
         records: record.owner_id == principal.id\n        fields: { show: [contact], mask: { phone: phone } }\n",
        "bindings:\n  - { role: sales, groups: [crm-sales] }\n  - role: b\n    users: [a, \"b c\"]\n  -\n    role: c\n",
        "bindings:\n- { role: sales }\n- role: b\n- - a\n  - b\n-\nnext: 王芳 # 客户\n",
        "t:\n  - { a: 1,\n      b: [x, y],   # why\n      c: \"$.data[*]\" }\n",
        "routes:\n  - { match: GET /a/b:c, p: \"$.data[*]\", q: -1, r: {} , s: [], t: \"a\\\"b\\n\" }\n",
        "a:\n\n  # deeper\n  b: 1\n # shallower\n  c: 2\n\n\n",
        "10: x\ntrue: y\n'q': z\n\"r s\": http://x/y#z\nlast: a#b - c, [d] {e}",
        "a: {}\nb: { c: { d: [[], [1, [2]]] } }",
    ] {
        assert!(compare(text), "the full parser is asked to read\n{text}");
    }
}

#[test]
fn whatever_else_yaml_has_is_left_to_the_full_parser() {
    for text in [
        "a: |\n  x\n",
        "a: >-\n  x\n",
        "a: &x 1\nb: *x\n",
        "a: !!str 1\n",
        "--- \na: 1\n",
        "a: 1\n...\n",
        "%YAML 1.2\n---\na: 1\n",
        "? a\n: b\n",
        "a: b\n  c\n",
        "a: \"b\n  c\"\n",
        "a:\tb\n",
        "a: 1\r\nb: 2\r\n",
        "\u{feff}a: 1\n",
        "a: \"\\u0041\"\n",
        "a: [b\n c]\n",
        "a: [b: c]\n",
        "a: { b }\n",
        "a: { b: }\n",
        "a: { \"b\":1 }\n",
        "a: {\nb: 1}\n",
        "a : 1\n",
        "just a text\n",
        "  a: 1\n",
        "a: b: c\n",
        "a: - b\n",
        "a: [1,\n",
        "a: 1\n b: 2\n",
        "a\u{85}b: 1\n",
    ] {
        assert!(!compare(text), "read here\n{text}");
    }
}

#[test]
fn the_policies_of_this_repository_are_read_alike() {
    let mut read_here = 0;
    for folder in std::fs::read_dir("policies").unwrap().flatten() {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "yaml") {
                read_here += usize::from(compare(&std::fs::read_to_string(file.path()).unwrap()));
            }
        }
    }
    assert!(read_here > 0);
}

#[test]
fn a_bound_that_is_crossed_is_complained_about_by_the_full_parser() {
    let deep = format!("a: {}{}", "[".repeat(70), "]".repeat(70));
    assert!(!compare(&deep));
    let bounds = SourceBounds { nodes: 10, ..SourceBounds::default() };
    assert!(read("a: [1, 2, 3, 4, 5, 6, 7, 8, 9]", 0, &bounds).is_none());
}

/// Pieces that policies are made of, and what breaks them.
const PIECES: &[&str] = &[
    "a",
    "b:",
    "c: ",
    "- ",
    "-",
    "  ",
    " ",
    "\n",
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    "\n  - ",
    "{ ",
    " }",
    "[",
    "]",
    ", ",
    ",",
    "'",
    "\"",
    "''",
    "\\\"",
    "#",
    " # x",
    ": ",
    ":",
    "x y",
    "12",
    "~",
    "null",
    "true",
    "王",
    "$.a[*]",
    "|",
    ">",
    "&a",
    "*a",
    "!",
    "%",
    "@",
    "?",
    "...",
    "---",
    "=",
    "(",
    "\t",
    "k: v",
    "k: {a: 1}",
    "k:\n  - x\n  - y: z\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn random_pieces_are_read_alike_or_left_alone(pieces in prop::collection::vec(0..PIECES.len(), 0..14)) {
        let text: String = pieces.into_iter().filter_map(|piece| PIECES.get(piece).copied()).collect();
        compare(&text);
    }

    #[test]
    fn a_policy_with_something_put_in_is_read_alike_or_left_alone(
        at in 0..POLICY.len(), piece in 0..PIECES.len(), cut in 0..6_usize,
    ) {
        if let (Some(before), Some(after)) = (POLICY.get(..at), POLICY.get((at + cut).min(POLICY.len())..)) {
            compare(&format!("{before}{}{after}", PIECES[piece]));
        }
    }
}

const POLICY: &str = r#"
# a policy
labels: [public, contact]
resources:
  customer:
    key: id
    fields:
      public: [id, name]
      contact: [phone, "contracts[*].amount"]
    relations: { owner: user, "contacts[*]": contact }   # nested
    unknown: hide
roles:
  sales:
    inherits: [employee]
    permissions:
      - resource: customer                # colleagues
        actions: [list, read]
        records: record.region == principal.claims.region
        fields: { mask: { phone: phone,
                          email: 'e''mail' } }
      - { resource: customer, actions: [export], fields: { show: [public] } }
bindings:
- { role: sales, groups: [crm-sales] }
- role: employee
  users: [ext.li]
  expires: 2026-12-31
"#;
