//! The commands over policies, run as people run them.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::support::*;

/// What a command printed, and how it ended.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn fieldgate(arguments: &[&str]) -> Done {
    let done = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(arguments)
        .env_remove("FIELDGATE_CONFIG")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
}

/// [`BASE`] and these files, on a disk.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("base.yaml", BASE)].iter().chain(files) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn at(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// "`fieldgate check` · `test [--junit] [--coverage]` · `explain --as sales --request "GET /…" [--answer file.json]` (why
/// each field is shown, masked or hidden: the permission, its file and line) · `matrix [--format text|html|csv]` ·
/// `diff OLD NEW` ("opens `salary` to role support on read; 2 roles, 43 bound users") · `schema`."
#[test]
fn commands() {
    let help = fieldgate(&["--help"]).out;
    for command in ["check", "test", "explain", "matrix", "diff", "schema", "apply"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    let schema: serde_json::Value = serde_json::from_str(&fieldgate(&["schema"]).out).unwrap();
    assert!(schema["properties"]["roles"].is_object());
    let policies = folder(&[("roles.yaml", &role(&fields("show: [id], mask: { card: one }")))]);
    for (format, starts) in [("text", "customer"), ("html", "<!doctype html>"), ("csv", "resource,")] {
        let picture = fieldgate(&["matrix", "--policies", at(&policies), "--format", format]);
        assert_eq!(picture.code, 0, "{}", picture.err);
        assert!(picture.out.to_lowercase().starts_with(starts) && picture.out.contains("card"), "{format}");
    }
}

/// "every complaint with file, line, column, `$.path` and help", as `fieldgate check` prints them.
#[test]
fn check_says_where_and_what_to_do() {
    let right = folder(&[("roles.yaml", &role(&fields("show: [id]")))]);
    assert_eq!(fieldgate(&["check", "--policies", at(&right)]).code, 0);
    let wrong = "roles:\n  r:\n    permissions:\n      - { resource: custmer, actions: [list], feilds: {} }\nbindings: []\nrules: []\n";
    let wrong = folder(&[("roles.yaml", wrong)]);
    let said = fieldgate(&["check", "--policies", at(&wrong)]);
    assert_eq!(said.code, 1);
    let said = said.out + &said.err;
    for part in [
        "roles.yaml:4:21",
        "$.roles.r.permissions[0].resource",
        "$.roles.r.permissions[0].feilds",
        "did you mean `customer`?",
        "roles.yaml:4:47",
        "did you mean `fields`?",
        "roles.yaml:6:1",
        "nobody reads the section `rules`",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

/// `test [--junit] [--coverage]`
#[test]
fn test_writes_junit_and_coverage() {
    let test = |phone: &str| {
        format!(
            "{}tests:\n  - name: \"a <test> & more\"\n    principal: {{ id: u1, groups: [g] }}\n    request: GET /one/1\n    answer: {{ data: {{ id: 1, phone: \"123\", odd: 1, box: [{{ a: 1 }}] }} }}\n    expect: {{ data: {{ id: 1, phone: \"{phone}\" }} }}\n",
            role(&fields("show: [id], mask: { phone: one }"))
        )
    };
    for (phone, code, failures) in [("1*3", 0, "failures=\"0\""), ("123", 1, "failures=\"1\"")] {
        let policies = folder(&[("roles.yaml", &test(phone))]);
        let junit = policies.path().join("junit.xml");
        let done = fieldgate(&[
            "test",
            "--policies",
            at(&policies),
            "--coverage",
            "--junit",
            junit.to_str().unwrap(),
        ]);
        assert_eq!(done.code, code, "{}{}", done.out, done.err);
        let junit = std::fs::read_to_string(junit).unwrap();
        assert!(junit.contains(failures) && junit.contains("a &lt;test&gt; &amp; more"), "{junit}");
        for part in [
            "GET /list",
            "two",
            "masks            1 of",
            "customer.email",
            "customer.odd\n",
            "customer.box  (`box.a` is labelled",
        ] {
            assert!(done.out.contains(part), "{part}: what no test tries is named\n{}", done.out);
        }
        assert_eq!(done.out.contains("+"), code == 1, "the difference is shown: {}", done.out);
    }
}

/// `explain --as sales`: somebody with the role, or the principal of that name.
#[test]
fn explain_names_who_decided() {
    let roles = "roles:\n  sales:\n    permissions:\n      - { resource: customer, actions: [read], fields: { show: [id], mask: { card: one } } }\nbindings: [{ role: sales, groups: [crm-sales] }]\n";
    let policies = folder(&[("roles.yaml", roles)]);
    let answer = policies.path().join("answer.json");
    std::fs::write(&answer, r#"{"data":{"id":1,"card":"abc","phone":"1","odd":2}}"#).unwrap();
    let explain = |who: &[&str]| {
        let mut all = vec!["explain", "--policies", at(&policies), "--request", "GET /one/1"];
        all.extend(["--answer", answer.to_str().unwrap(), "--as"]);
        all.extend(who);
        fieldgate(&all)
    };
    for who in [&["sales"][..], &["u1", "--groups", "crm-sales"]] {
        let why = explain(who);
        assert_eq!(why.code, 0, "{}{}", why.out, why.err);
        let line = |field: &str| {
            let mut found = why.out.lines().filter(|line| line.trim_start().starts_with(field));
            found.next_back().unwrap_or_else(|| panic!("{field}\n{}", why.out)).to_owned()
        };
        let place =
            format!("roles.sales.permissions[0] ({}:4)", policies.path().join("roles.yaml").display());
        assert!(line("id").ends_with(&format!("shown by {place}")), "{}", line("id"));
        assert!(line("card").ends_with(&format!("masked as `one` by {place}")), "{}", line("card"));
        assert!(line("phone").contains("hidden by default: no permission releases it"), "{}", line("phone"));
        assert!(line("odd").contains("hidden by default: nobody labelled it"), "{}", line("odd"));
    }
    assert_eq!(explain(&["somebody"]).code, 3, "who holds nothing gets nothing");
    assert_eq!(explain(&["sales", "--groups", "others"]).code, 3, "who is described is not guessed at");
}

/// `diff OLD NEW`: "opens `salary` to role support on read; 2 roles, 43 bound users"
#[test]
fn diff_counts_who_gains() {
    let users = |from: usize, to: usize| (from..to).map(|n| format!("u{n}")).collect::<Vec<_>>().join(", ");
    let policy = |money: &str| {
        format!(
            "labels: [public, money]\nresources: {{ staff: {{ key: id, fields: {{ public: [id], money: [salary] }} }} }}\n\
             apis: {{ hr: {{ routes: [{{ match: \"GET /staff/{{id}}\", action: read, resource: staff, records: $ }}] }} }}\n\
             roles:\n  support: {{ permissions: [{{ resource: staff, actions: [read], fields: {{ show: [public{money}] }} }}] }}\n  lead: {{ inherits: [support] }}\n\
             bindings:\n  - {{ role: support, users: [{}] }}\n  - {{ role: lead, users: [{}] }}\n",
            users(0, 40),
            users(38, 43)
        )
    };
    let write = |text: String| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.yaml"), text).unwrap();
        folder
    };
    let (old, new) = (write(policy("")), write(policy(", money")));
    let opened = fieldgate(&["diff", at(&old), at(&new)]);
    assert_eq!(opened.code, 4, "{}{}", opened.out, opened.err);
    for part in ["opens `salary`", "`support`", "on read", "2 roles, 43 bound users"] {
        assert!(opened.out.contains(part), "{part}\n{}", opened.out);
    }
    assert_eq!(fieldgate(&["diff", at(&new), at(&old)]).code, 0, "nobody gains by the way back");
    assert_eq!(fieldgate(&["diff", at(&old), at(&old)]).code, 0);
    assert_ne!(fieldgate(&["diff", at(&old), Path::new("/nowhere").to_str().unwrap()]).code, 0);
}
