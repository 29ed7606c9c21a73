use super::*;
use crate::analysis::Matrix;
use crate::policy::{Loaded, MaskKeys, Purpose};

fn drawn(loaded: &Loaded) -> Matrix {
    let plan = loaded.plan.as_ref().unwrap_or_else(|| panic!("{}", loaded.report.to_text(false)));
    matrix(plan, &loaded.set, &MatrixScope::default())
}

fn demo() -> Matrix {
    let policies = [PathBuf::from("policies/demo")];
    let loaded = Loaded::read(&policies, &MaskKeys::Assumed, Purpose::Check);
    let mut matrix = drawn(&loaded);
    // The version changes with every comment; the pictures do not.
    matrix.version = "0000000000000000".into();
    matrix
}

/// What a policy's author may write into names, and what must not come out as markup or as a formula.
fn hostile() -> Matrix {
    let text = r#"
labels: ["<script>alert(1)</script>"]
resources:
  "a\"><img src=x onerror=alert(1)>": { fields: { "<script>alert(1)</script>": ["$['=cmd()']", "$['</style>']"] } }
apis:
  x:
    routes:
      - { match: GET /x, action: list, resource: "a\"><img src=x onerror=alert(1)>", records: "$[*]" }
roles:
  "'><b>&\u001b[2J":
    permissions:
      - resource: "a\"><img src=x onerror=alert(1)>"
        actions: [list]
        records: 'record["x"] == "</code><script>"'
        fields: { show: ["*"] }
bindings: [{ role: "'><b>&\u001b[2J", groups: ["</th><script>"] }]
"#;
    drawn(&Loaded::from_texts(&[("<p>.yaml", text)], &MaskKeys::Assumed, Purpose::Check))
}

#[test]
fn the_demo_is_drawn_as_before() {
    let matrix = demo();
    crate::cli::golden::golden("matrix-demo.txt", &text::draw(&matrix, 120));
    crate::cli::golden::golden("matrix-demo.csv", &csv::draw(&matrix));
    crate::cli::golden::golden("matrix-demo.html", &html::draw(&matrix));
}

#[test]
fn lines_keep_to_the_width() {
    let matrix = demo();
    for wide in [70, 100] {
        let drawn = text::draw(&matrix, wide);
        let table = drawn.split("in clear").next().unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= wide), "{drawn}");
        assert!(table.contains("contractor"), "no role is lost");
    }
}

#[test]
fn texts_of_the_policy_are_no_markup() {
    let page = html::draw(&hostile());
    let body = page.split("<body>").nth(1).unwrap();
    for bad in ["<script>alert", "<img", "<b>&\u{1b}", "</th><script", "</code><script", "\u{1b}", "<p>.yaml"]
    {
        assert!(!body.contains(bad), "{bad}");
    }
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn the_page_needs_nothing_else() {
    let page = html::draw(&demo());
    for outside in ["http://", "https://", "//cdn", "url(", "@import", "src=", " style=", "onclick"] {
        assert!(!page.replace("http-equiv", "").contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn spreadsheets_are_given_no_formulas() {
    let table = csv::draw(&hostile());
    assert!(!table.contains('\u{1b}'));
    assert!(
        table
            .lines()
            .skip(1)
            .flat_map(|line| line.split(','))
            .all(|value| !value.starts_with(['=', '@', '+']))
    );
}
