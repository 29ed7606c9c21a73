//! "Fine print (so that two people read the same policy the same way)", speed, and the commands.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::support::*;

fn masked(mask: &str, value: &str) -> String {
    let masks = "masks:\n  c: { constant: hidden }\n  h: { hash: { key: k, length: 16 } }\n  p: { pseudonym: { key: k, length: 16 } }\n  f: { fpe: { key: k, alphabet: digits } }\n  k: { keep: { first: 3, last: 4 } }\n  x: { keep: { first: 1, last: 1, fill: 'x' } }\n  m: { date: month }\n  y: { date: year }\n  b: { bucket: [10000, 100000] }\n  d: { detect: [phone, email, id_card, bank_card], with: stars }\n";
    let plan = plan(&format!("{masks}{}", role(&fields(&format!("mask: {{ card: {mask} }}")))));
    let left = one(&plan, &format!(r#"{{"card":{value}}}"#));
    left.strip_prefix(r#"{"card":"#).unwrap().strip_suffix('}').unwrap().to_owned()
}

/// "**Mask spellings**: the built-ins `blank` (type-true null), `stars` (fixed `***`), `zero` need no entry under
/// `masks`; others are `{ constant: "…" }`, `{ hash: { key: … , length: 16 } }`, `{ pseudonym: … }`, `{ keep: { first,
/// last, fill: "*" } }`, `{ email: { keep_first } }`, `{ date: year|month }`, `{ bucket: […] }`, `{ round: 1000 }`, `{
/// fpe: { key, alphabet } }`, `{ detect: […], with: NAME }`."
#[test]
fn mask_spellings() {
    for (mask, value, left) in [
        ("blank", r#""a""#, "null"),
        ("blank", "5", "null"),
        ("stars", r#""abcdefgh""#, r#""***""#),
        ("stars", r#""""#, r#""***""#),
        ("zero", "5.5", "0"),
        ("zero", r#""5""#, "null"),
        ("c", r#""a""#, r#""hidden""#),
        ("c", "5", "null"),
        ("k", r#""13800138000""#, r#""138****8000""#),
        ("x", r#""abcd""#, r#""axxd""#),
        ("mail", r#""li.na@example.com""#, r#""l***@example.com""#),
        ("m", r#""2024-05-17""#, r#""2024-05""#),
        ("y", r#""2024-05-17T08:00:00Z""#, r#""2024""#),
        ("b", "25000", r#""10000-100000""#),
        ("near", "25499", "25000"),
        ("d", r#""call 13800138000 or a@b.cn""#, r#""call *** or ***""#),
    ] {
        assert_eq!(masked(mask, value), left, "{mask} {value}");
    }
    for mask in ["h", "p"] {
        let token = masked(mask, r#""13800138000""#);
        assert_eq!(token.len(), 18, "{mask} {token}");
        assert_eq!(token, masked(mask, r#""\u0031380013800\u0030""#), "the same text, the same token");
        assert_ne!(token, masked(mask, r#""13800138001""#));
    }
    let number = masked("f", r#""138-0013-8000""#);
    assert!(
        number.len() == 15
            && number.chars().filter(|c| *c == '-').count() == 2
            && !number.contains("138-0013-8000")
    );
}

/// "**Strength**, from the least to the most revealing: blank < stars < constant < hash < pseudonym < fpe < bucket <
/// round < date < detect < email < keep; the same kind is ordered by its parameters (fewer characters kept, coarser
/// unit)."
#[test]
fn strength() {
    let masks = "masks:\n  c: { constant: hidden }\n  h: { hash: { key: k, length: 16 } }\n  p: { pseudonym: { key: k, length: 16 } }\n  f: { fpe: { key: k, alphabet: digits } }\n  b: { bucket: [10] }\n  b2: { bucket: [10, 20] }\n  r2: { round: 1000 }\n  r1: { round: 100 }\n  y: { date: year }\n  m: { date: month }\n  d: { detect: [phone] }\n  e: { email: { keep_first: 1 } }\n  e2: { email: { keep_first: 2 } }\n  k1: { keep: { first: 1, last: 1 } }\n  k2: { keep: { first: 3, last: 4 } }\n";
    let ranked =
        ["blank", "stars", "c", "h", "p", "f", "b", "b2", "r2", "r1", "y", "m", "d", "e", "e2", "k1", "k2"];
    for value in [r#""2024-05-17""#, r#""13800138000""#, "15.5"] {
        let alone: Vec<_> = ranked.iter().map(|mask| with_masks(masks, &[mask], value)).collect();
        for (less, left) in alone.iter().enumerate() {
            for more in less + 1..ranked.len() {
                let both = with_masks(masks, &[ranked[more], ranked[less]], value);
                assert_eq!(both, *left, "{} and {} of {value}", ranked[less], ranked[more]);
            }
        }
    }
}

/// One customer under permissions that mask the card each in its way.
fn with_masks(masks: &str, names: &[&str], value: &str) -> String {
    let permissions: Vec<_> = names.iter().map(|mask| fields(&format!("mask: {{ card: {mask} }}"))).collect();
    one(&plan(&format!("{masks}{}", role(&permissions.join(", ")))), &format!(r#"{{"card":{value}}}"#))
}

/// "Only two different masks that tie in both are an error."
#[test]
fn ties() {
    let tied = |a: &str, b: &str| {
        let masks = format!("masks: {{ a: {a}, b: {b} }}\n");
        let permissions = format!("{}, {}", fields("mask: { card: a }"), fields("mask: { card: b }"));
        says(&format!("{masks}{}", role(&permissions)), "mask-tie")
    };
    assert!(tied("{ keep: { first: 1, last: 2 } }", "{ keep: { first: 2, last: 1 } }"));
    assert!(tied("{ constant: x }", "{ constant: y }"));
    assert!(!tied("{ constant: x }", "{ constant: x }"), "the same mask under two names");
    assert!(!tied("{ keep: { first: 1, last: 2 } }", "{ keep: { first: 1, last: 1 } }"));
    assert!(!tied("{ round: 10 }", "{ round: 100 }"));
}

/// "**keep**: counts characters; keeps the length; a value not longer than `first + last` becomes all fill."
#[test]
fn keep() {
    for (value, left) in [
        ("1234567", "*******"),
        ("12345678", "123*5678"),
        ("", ""),
        ("一二三四五六七八", "一二三*五六七八"),
        ("😀😀😀x😀😀😀😀", "😀😀😀*😀😀😀😀"),
    ] {
        assert_eq!(masked("k", &format!("\"{value}\"")), format!("\"{left}\""));
    }
    assert_eq!(masked("k", r#""\ud83d\ude00\u0031bx4567""#), r#""😀1b*4567""#);
}

/// "Where the length itself must not show, use `stars`."
#[test]
fn stars_have_no_length() {
    assert_eq!(masked("stars", r#""a""#), masked("stars", &format!("\"{}\"", "a".repeat(5000))));
}

/// "`bucket` writes `"10000-100000"`, `date` writes `2024-05` or `2024`; both are `blank` where a client needs the
/// original type."
#[test]
fn buckets_and_dates() {
    for (value, left) in [
        ("10000", r#""10000-100000""#),
        ("99999.99", r#""10000-100000""#),
        ("1e4", r#""10000-100000""#),
        ("9999", r#""<10000""#),
        ("100000", r#"">=100000""#),
    ] {
        assert_eq!(masked("b", value), left);
    }
    assert_eq!(masked("m", r#""2024-05-17 10:00:00""#), r#""2024-05""#);
    assert_eq!(masked("y", r#""2024-05-17""#), r#""2024""#);
    assert_eq!(
        (masked("m", r#""soon""#), masked("m", "20240517"), masked("b", r#""10000""#)),
        ("null".into(), "null".into(), "null".into())
    );
}

/// "**Containers**: a label on a container covers what is below unless a longer labelled path says otherwise; `*` means
/// every *labelled* field; a container in which nothing is released is absent; `[*]` is for arrays only; where a
/// container or related record was declared and a scalar stands, it is hidden; where a list of records was declared and
/// something else stands, the answer is refused; a list element that is not an object is dropped."
#[test]
fn containers() {
    let labels = "resources: { thing: { fields: { public: [id, bank], identity: [bank.account] } } }\napis: { b: { routes: [{ match: GET /thing, action: list, resource: thing, records: '$[*]' }] } }\n";
    let thing = |shown: &str| {
        plan(&format!(
            "{labels}{}",
            role(&format!("{{ resource: thing, actions: [list], fields: {{ show: [{shown}] }} }}"))
        ))
    };
    let record = r#"[{"bank":{"account":1,"branch":2,"x":{"y":3}},"odd":4}]"#;
    assert_eq!(get(&thing("public"), "GET /thing", record), r#"[{"bank":{"branch":2,"x":{"y":3}}}]"#);
    assert_eq!(get(&thing("identity"), "GET /thing", record), r#"[{"bank":{"account":1}}]"#);
    assert_eq!(
        get(&thing("'*'"), "GET /thing", record),
        r#"[{"bank":{"account":1,"branch":2,"x":{"y":3}}}]"#
    );
    let all = may(&format!(
        "{}, {{ resource: person, actions: [read], fields: {{ show: ['*'] }} }}",
        fields("show: ['*']")
    ));
    for (record, left) in [
        (r#"{"id":1,"box":{"c":1}}"#, r#"{"id":1}"#),
        (r#"{"lines":{"no":1},"people":{"id":1}}"#, "{}"),
        (r#"{"lines":5,"box":"x","boss":7,"people":"y"}"#, "{}"),
        (r#"{"lines":null,"box":null,"boss":null,"people":null}"#, "{}"),
        (
            r#"{"lines":[1,{"no":2},[{"no":3}]],"people":[1,{"id":2}]}"#,
            r#"{"lines":[{"no":2}],"people":[{"id":2}]}"#,
        ),
        (r#"{"box":[{"a":1}],"boss":[{"id":1}]}"#, "{}"),
    ] {
        assert_eq!(one(&all, record), left, "{record}");
    }
    for answer in [r#"{"data":{"id":1}}"#, r#"{"data":"x"}"#, r#"{"data":null}"#, r#"{"data":7}"#] {
        assert_eq!(get(&all, "GET /list", answer), "502 unexpected shape", "{answer}");
    }
    assert_eq!(list(&all, r#"[1,{"id":2},"x",[{"id":3}],null,true]"#), r#"[{"id":2}]"#);
}

/// "**A permission that applies but shows nothing** releases the record as `{}` and counts it."
#[test]
fn a_record_without_a_field() {
    let plan = may(
        "{ resource: customer, actions: [list], records: record.owner == principal.id, fields: { show: [name] } }",
    );
    assert_eq!(
        get(&plan, "GET /list", r#"{"data":[{"id":1,"owner":"u1"},{"id":2}],"total":9}"#),
        r#"{"data":[{}],"total":1}"#
    );
}

/// "A released list stays an array, also when empty."
#[test]
fn an_empty_list() {
    let plan = may(
        "{ resource: customer, actions: [list], records: 'false', fields: { show: [id] } }, { resource: customer, actions: [list], records: record.owner == 'x', fields: { show: [id] } }",
    );
    for records in ["[]", r#"[{"id":1}]"#, "[ ]", "[1]"] {
        assert_eq!(list(&plan, records).replace(' ', ""), "[]", "{records}");
    }
}

/// "A single record that is not released is 404 in the API's denial shape."
#[test]
fn a_single_record_that_is_not_released() {
    let plan = may(
        "{ resource: customer, actions: [read], records: record.owner == principal.id, fields: { show: [id] } }",
    );
    assert_eq!(one(&plan, r#"{"id":1,"owner":"x"}"#), "404 replaced");
}

/// "**Conditions**: an error anywhere makes the whole condition not met, except where CEL's `||` and `&&` absorb it;
/// `null` is comparable; numbers compare by value (exact for 64-bit integers); `request` has `method path query action
/// resource time`; a condition may name a field that the resource does not list (a lint says so); reading into a related
/// record reads the raw value."
#[test]
fn conditions() {
    let met = |condition: &str, record: &str| {
        let permission = format!(
            "{{ resource: customer, actions: [list], records: \"{}\" }}",
            condition.replace('"', "\\\"")
        );
        list(&may(&permission), &format!("[{record}]")) == "[{}]"
    };
    for (condition, record, expected) in [
        ("record.x == 1 || record.id == 1", r#"{"id":1}"#, true),
        ("record.id == 1 || record.x == 1", r#"{"id":1}"#, true),
        ("!(record.x == 1 && record.id == 2)", r#"{"id":1}"#, true),
        ("record.x == 1 || record.id == 2", r#"{"id":1}"#, false),
        ("!(record.x == 1 || record.id == 2)", r#"{"id":1}"#, false),
        ("(record.x == 1) == false", r#"{"id":1}"#, false),
        ("record.x == null", r#"{"x":null}"#, true),
        ("record.x != null", r#"{"x":5}"#, true),
        ("record.x == null", r#"{"x":0}"#, false),
        ("record.x == null", "{}", false),
        ("record.x == 5", r#"{"x":5.0}"#, true),
        ("record.x == 5.0", r#"{"x":5}"#, true),
        ("record.x == 5", r#"{"x":50e-1}"#, true),
        ("record.x == 9007199254740993", r#"{"x":9007199254740993}"#, true),
        ("record.x == 9007199254740993", r#"{"x":9007199254740992}"#, false),
        ("record.x < 9223372036854775807", r#"{"x":9223372036854775806}"#, true),
        ("record.x == 5", r#"{"x":"5"}"#, false),
        ("record.boss.salary == 7", r#"{"boss":{"salary":7}}"#, true),
        ("record.people[0].phone == '1'", r#"{"people":[{"phone":"1"}]}"#, true),
    ] {
        assert_eq!(met(condition, record), expected, "{condition} on {record}");
    }
    for condition in [
        r#"request.method == "GET""#,
        r#"request.path == "/list""#,
        r#"request.query.name == "x""#,
        r#"request.action == "list""#,
        r#"request.resource == "customer""#,
        r#"request.time == timestamp("2026-11-20T04:00:00Z")"#,
    ] {
        let plan = may(&format!(
            "{{ resource: customer, actions: [list], records: '{condition}', fields: {{ show: [id, name] }} }}"
        ));
        assert_eq!(
            get(&plan, "GET /list?name=x", r#"{"data":[{"id":1}]}"#),
            r#"{"data":[{"id":1}]}"#,
            "{condition}"
        );
    }
    let unlisted =
        "{ resource: customer, actions: [list], records: record.secret == 1, fields: { show: [id] } }";
    assert!(says(&role(unlisted), "unlisted-field"));
    assert_eq!(list(&may(unlisted), r#"[{"id":1,"secret":1}]"#), r#"[{"id":1}]"#);
}

/// "**Totals are in force** as filtered as soon as one permission that applies to this principal, action and resource has
/// a condition and none without a condition also applies."
#[test]
fn totals_in_force() {
    let own = "{ resource: customer, actions: [list], records: record.owner == principal.id, fields: { show: [id] } }";
    let answer = r#"{"data":[{"id":1,"owner":"u1"},{"id":2}],"total":99}"#;
    let total = |permissions: &str, groups: &[&str]| {
        let plan = plan(&format!(
            "roles: {{ r: {{ permissions: [{permissions}] }}, s: {{ permissions: [{{ resource: customer, actions: [list] }}] }} }}\nbindings:\n  - {{ role: r, groups: [g] }}\n  - {{ role: s, groups: [s] }}\n"
        ));
        let left = ask(&plan, "GET /list").groups(groups).answer(answer);
        left.rsplit_once(r#""total":"#).unwrap().1.trim_end_matches('}').to_owned()
    };
    assert_eq!(total(own, &["g"]), "1");
    assert_eq!(total(&format!("{own}, {own}"), &["g"]), "1");
    assert_eq!(total(own, &["g", "s"]), "99");
    let elsewhere = "{ resource: customer, actions: [read], fields: { show: [id] } }, { resource: person, actions: [list] }";
    assert_eq!(total(&format!("{own}, {elsewhere}"), &["g"]), "1", "another action and another resource");
}

/// "`keep` names members at the root of the answer, a JSONPath any other place."
#[test]
fn keep_names_members_of_the_root() {
    let plan = may(&fields("show: [id]"));
    let answer =
        r#"{"page":{"x":[1]},"meta":{"page":2,"next":{"y":3}},"data":[{"id":1,"page":4,"meta":{"next":5}}]}"#;
    assert_eq!(
        get(&plan, "GET /list", answer),
        r#"{"page":{"x":[1]},"meta":{"next":{"y":3}},"data":[{"id":1}]}"#
    );
}

/// "**NDJSON, CSV**: each line or row is one record; there is no envelope."
#[test]
fn lines_and_rows() {
    let plan = may(
        "{ resource: customer, actions: [export], records: record.owner == principal.id, fields: { show: [id, name] } }",
    );
    assert_eq!(
        get(
            &plan,
            "GET /lines",
            "{\"id\":1,\"owner\":\"u1\",\"card\":2}\n{\"id\":2}\n[3]\n{\"page\":1,\"owner\":\"u1\"}\n"
        ),
        "{\"id\":1}\n{}\n"
    );
    assert_eq!(
        get(&plan, "GET /table", "id,card,name,owner\n1,x,\"a,b\",u1\n2,y,c,u2\n"),
        "id,name\n1,\"a,b\"\n"
    );
}

/// "**Guards** on labels hide (they do not mask), also inside related records; on actions alone they refuse."
#[test]
fn guards_on_labels() {
    let person = "{ resource: person, actions: [read], fields: { show: ['*'] } }";
    let guard = |on: &str| {
        plan(&format!(
            "{}guards: [{{ name: g, on: {{ {on} }}, require: principal.mfa }}]\n",
            role(&format!("{}, {person}", fields("show: [public], mask: { phone: one }")))
        ))
    };
    let record = r#"{"id":1,"phone":"abc","boss":{"id":2,"phone":"abc"},"people":[{"phone":"abc"}]}"#;
    let labels = guard("labels: [contact]");
    assert_eq!(one(&labels, record), r#"{"id":1,"boss":{"id":2},"people":[{}]}"#);
    assert_eq!(ask(&guard("actions: [read]"), "GET /one/1").verdict(), "403 guard `g` is not met");
    let both = guard("actions: [read], labels: [contact]");
    assert_eq!(one(&both, record), r#"{"id":1,"boss":{"id":2},"people":[{}]}"#);
    assert_eq!(list(&both, r#"[{"id":1,"phone":"abc"}]"#), r#"[{"id":1,"phone":"a*c"}]"#);
}

/// "**A public route** passes bytes untouched and is listed by `check` under that name."
#[test]
fn public_routes() {
    let plan = may(&fields("show: [id]"));
    assert_eq!(ask(&plan, "GET /health").groups(&[]).answer("{ not json,\u{1} }"), "{ not json,\u{1} }");
    let listed = said(&role(&fields("show: [id]")));
    assert!(
        listed.iter().any(|line| line.starts_with("public-route") && line.contains("`GET /health`")),
        "{listed:?}"
    );
}

/// "**Selectors that match nothing declared**, relations that also have labels below them, and sections nobody reads are
/// `check` errors."
#[test]
fn what_means_nothing_is_an_error() {
    for (policy, code) in [
        (role(&fields("show: [phonn]")), "matches-nothing"),
        (role(&fields("hide: [nope.deeper]")), "matches-nothing"),
        (role(&fields("mask: { 'lines[*].x': stars }")), "matches-nothing"),
        (
            "guards: [{ name: g, on: { resource: customer, fields: [nope] }, require: true }]\n".to_owned(),
            "matches-nothing",
        ),
        (
            "resources: { a: { fields: { public: [id, boss.name] }, relations: { boss: person } } }\n"
                .to_owned(),
            "label-below-relation",
        ),
        ("reports: { a: 1 }\n".to_owned(), "unknown-section"),
        ("roles: { r: { permissions: [], rights: [] } }\n".to_owned(), "unknown-key"),
    ] {
        let loaded = read(&policy);
        assert!(loaded.plan.is_none(), "{policy}");
        assert!(says(&policy, code), "{policy}: {:?}", said(&policy));
    }
}

/// "**Normalisation** for folded comparison: NFKC, default case folding, invisible characters removed."
#[test]
fn normalisation() {
    let plan = plan(&format!(
        "resources: {{ odd: {{ fields: {{ public: [id], contact: [phone, straße, résumé, ﬁle, 客户] }}, unknown: show }} }}\napis: {{ b: {{ routes: [{{ match: GET /odd, action: list, resource: odd, records: '$[*]' }}] }} }}\n{}",
        role("{ resource: odd, actions: [list], fields: { show: [public] } }")
    ));
    for key in [
        "PHONE",
        "ＰＨＯＮＥ",
        "p\u{ad}hone",
        "p\u{200d}hone",
        "\u{feff}phone",
        "STRASSE",
        "strasse",
        "re\u{301}sume\u{301}",
        "RÉSUMÉ",
        "file",
        "FILE",
        "客戶".chars().next().map(|_| "客\u{2060}户").unwrap(),
    ] {
        assert_eq!(get(&plan, "GET /odd", &format!(r#"[{{"id":1,"{key}":2}}]"#)), r#"[{"id":1}]"#, "{key:?}");
    }
    assert_eq!(get(&plan, "GET /odd", r#"[{"id":1,"telephone":2}]"#), r#"[{"id":1,"telephone":2}]"#);
}

/// "Depth limit 128 by default; a BOM at the start is accepted and removed; lone surrogates in values pass as they stand,
/// in keys cut the stream."
#[test]
fn depth_marks_and_surrogates() {
    let plan = may(&fields("show: ['*']"));
    let deep =
        |levels: usize| format!(r#"{{"data":{{"bank":{}1{}}}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(get(&plan, "GET /one/1", &deep(126)), deep(126));
    assert_eq!(get(&plan, "GET /one/1", &deep(127)), "502 nested too deeply");
    assert_eq!(get(&plan, "GET /one/1", "\u{feff}{\"data\":{\"id\":1}}"), r#"{"data":{"id":1}}"#);
    assert_eq!(get(&plan, "GET /one/1", "\u{feff}\u{feff}{\"data\":{\"id\":1}}"), "502 malformed input");
    assert_eq!(
        one(&plan, r#"{"name":"\ud800","id":"x\udc00\uD83D"}"#),
        r#"{"name":"\ud800","id":"x\udc00\uD83D"}"#
    );
    assert_eq!(one(&plan, r#"{"id":1,"na\ud800me":2}"#), "502 invalid text encoding");
}

/// "**YAML 1.2**: `on`, `yes`, `no`, `y` are strings."
#[test]
fn yaml_1_2() {
    let plan = plan(&format!(
        "resources: {{ flag: {{ fields: {{ public: [on, yes, no, y, off, n] }} }} }}\napis: {{ b: {{ routes: [{{ match: GET /flag, action: list, resource: flag, records: '$[*]' }}] }} }}\n{}",
        role("{ resource: flag, actions: [list], fields: { show: [on, no, y] } }")
    ));
    assert_eq!(
        get(&plan, "GET /flag", r#"[{"on":1,"yes":2,"no":3,"y":4,"true":5,"false":6}]"#),
        r#"[{"on":1,"no":3,"y":4}]"#
    );
}

// === the program ===

/// Runs the program over a policy directory of its own, and gives status, output and error output.
fn run(name: &str, policy: &str, arguments: &[&str], input: &str) -> (i32, String, String) {
    let folder = std::env::temp_dir().join(format!("fieldgate-rules-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("base.yaml"), BASE).unwrap();
    std::fs::write(folder.join("policy.yaml"), policy).unwrap();
    // Neither of these is a policy file.
    std::fs::write(folder.join("notes.yml"), "nonsense: [").unwrap();
    std::fs::write(folder.join("fieldgate.yaml"), "listeners: {}").unwrap();
    let mut arguments: Vec<&str> = arguments.to_vec();
    let folder_text = folder.to_str().unwrap().to_owned();
    arguments.extend(["--policies", &folder_text]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(&arguments)
        .env_remove("FIELDGATE_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A refused request does not read its input, so the pipe may be closed.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let out = child.wait_with_output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// "**`apply`** on a denial: empty standard output, the reason on standard error, exit status 3 (1 for a malformed answer,
/// 2 for usage); `--mfa`, `--ip`, `--method` set the rest of the principal and request; `--policies DIR` reads
/// `DIR/*.yaml`."
#[test]
fn apply() {
    let policy = format!(
        "{}guards:\n  - {{ name: m, on: {{ actions: [export] }}, require: principal.mfa }}\n  - {{ name: i, on: {{ labels: [contact] }}, require: 'ip_in(principal.ip, \"10.0.0.0/8\")' }}\n",
        role(
            "{ resource: customer, actions: [list, read, export], records: record.owner == principal.id, fields: { show: [id, phone] } }"
        )
    );
    let apply = |more: &[&str], input: &str| {
        let mut arguments = vec!["apply", "--as", "u1", "--groups", "g"];
        arguments.extend(more);
        run("apply", &policy, &arguments, input)
    };
    let own = r#"{"data":{"id":1,"owner":"u1","phone":"5"}}"#;
    assert_eq!(apply(&["--request", "GET /one/1"], own), (0, r#"{"data":{"id":1}}"#.into(), String::new()));
    assert_eq!(
        apply(&["--request", "GET /one/1", "--ip", "10.1.1.1"], own).1,
        r#"{"data":{"id":1,"phone":"5"}}"#
    );
    assert_eq!(apply(&["--request", "/one/1", "--method", "GET"], own).0, 0);
    for (arguments, input, status) in [
        (["--request", "GET /nowhere"].as_slice(), own, 3),
        (&["--request", "DELETE /one/1"], own, 3),
        (&["--request", "GET /export"], r#"{"data":[]}"#, 3),
        (&["--request", "GET /one/1"], r#"{"data":{"id":1,"owner":"u2"}}"#, 3),
        (&["--request", "GET /list?phone=1&card=2"], r#"{"data":[]}"#, 3),
        (&["--request", "GET /one/1", "--status", "500"], own, 3),
        (&["--request", "GET /one/1"], r#"{"data":{"id":1,"owner":"u1""#, 1),
        (&["--request", "GET /one/1"], "", 1),
        (&["--request", "GET /one/1", "--method", "POST"], own, 2),
        (&["--request", "GET /one/1", "--ip", "here"], own, 2),
        (&["--nonsense"], own, 2),
        (&[], own, 2),
    ] {
        let (code, out, reason) = apply(arguments, input);
        assert_eq!((code, out.as_str()), (status, ""), "{arguments:?}: {reason}");
        assert!(!reason.is_empty(), "{arguments:?}");
    }
    assert_eq!(
        apply(&["--request", "GET /export", "--mfa"], r#"{"data":[{"id":1,"owner":"u1"}]}"#).1,
        r#"{"data":[{"id":1}]}"#
    );
}
