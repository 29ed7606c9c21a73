use crate::base::Secret;
use crate::policy::tests::{Who, decide, plan, who};

use super::*;

const POLICY: &str = "labels: [l]
resources: { c: { key: id, fields: { l: [id, owner] } } }
apis:
  a:
    routes:
      - { match: 'GET /c/{id}', action: read, resource: c, records: $, query: { pass: [lang] } }
      - { match: 'PUT /c/{id}', action: update, resource: c, body: $, records: $ }
roles:
  r:
    permissions:
      - { resource: c, actions: [read, update], records: record.owner == principal.id, fields: { show: [l], edit: [l] } }
  q:
    permissions: [{ resource: c, actions: [read], fields: { show: [l] } }]
bindings: [{ role: r, users: [u, v] }, { role: q, groups: [g] }]
";

fn seal() -> Arc<Seal> {
    Arc::new(Seal::new(&Secret::new("k".repeat(32)), None).unwrap())
}

fn view_by(policy: &str, caller: &Who, line: &str, seal: &Arc<Seal>) -> View {
    let permit = decide(&plan(policy), caller, line).unwrap();
    View::of(seal, &caller.principal(), &permit)
}

fn view(caller: &Who, line: &str) -> View {
    view_by(POLICY, caller, line, &seal())
}

fn token(view: &View, tag: &'static str) -> String {
    let token = view.token(&HeaderValue::from_static(tag), "identity").expect("a token");
    token.to_str().unwrap().to_owned()
}

/// What goes upstream of these conditions.
fn sent(view: &View, method: &str, lines: &[(&str, String)]) -> Result<Vec<String>, &'static str> {
    let mut request = http::Request::builder().method(method).uri("/c/1");
    for (name, value) in lines {
        request = request.header(*name, value);
    }
    let (caller, ()) = request.body(()).unwrap().into_parts();
    let mut headers = HeaderMap::new();
    match view.translate(&caller, &mut headers) {
        Ok(_) => Ok(headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect()),
        Err(Refused::Precondition(name)) => Err(name),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn r16_a_token_stands_for_its_tag_and_shows_nothing_of_it() {
    let view = view(&who("u"), "GET /c/1");
    for (tag, weak) in
        [("\"33a64df5\"", false), ("W/\"canary-0123456\"", true), ("\"\"", false), ("\"!#~\"", false)]
    {
        let token = token(&view, tag);
        assert_eq!(token.starts_with("W/"), weak);
        assert!(!token.contains("33a64") && !token.contains("canary"), "{token}");
        let condition = [("if-none-match", token.clone())];
        assert_eq!(sent(&view, "GET", &condition).unwrap(), [format!("if-none-match: {tag}")]);
        let condition = [("if-match", token)];
        match weak {
            false => assert_eq!(sent(&view, "PUT", &condition).unwrap(), [format!("if-match: {tag}")]),
            // Compared strongly, a weak tag matches nothing.
            true => assert_eq!(sent(&view, "PUT", &condition), Err("if-match")),
        }
    }
    let short = token(&view, "\"1\"");
    assert_eq!(
        short.len(),
        token(&view, "\"a_much_longer_one_with_sixty_characters_or_a_few_more_or_less\"").len()
    );
    assert_eq!(short, token(&view, "\"1\""), "callers may compare what they were given");
}

#[test]
fn r16_what_is_no_entity_tag_gets_no_token() {
    let view = view(&who("u"), "GET /c/1");
    let long = format!("\"{}\"", "a".repeat(MAX_TAG_BYTES + 1));
    for tag in ["abc", "\"abc", "abc\"", "w/\"a\"", "\"a\"b\"", "\"a b\"", "", "W/abc", &long] {
        assert!(view.token(&HeaderValue::from_str(tag).unwrap(), "gzip").is_none(), "{tag}");
    }
    let fits = format!("\"{}\"", "a".repeat(MAX_TAG_BYTES));
    assert!(view.token(&HeaderValue::from_str(&fits).unwrap(), "gzip").is_some());
}

#[test]
fn r16_a_token_of_another_view_is_a_failed_precondition_or_none() {
    let seal = seal();
    let own = view_by(POLICY, &who("u"), "GET /c/1", &seal);
    let changed = POLICY.replace("lang", "language");
    let more = who("u").groups(&["g"]);
    let others = [
        ("of somebody else", view_by(POLICY, &who("v"), "GET /c/1", &seal)),
        ("for another record", view_by(POLICY, &who("u"), "GET /c/2", &seal)),
        ("under another policy", view_by(&changed, &who("u"), "GET /c/1", &seal)),
        ("with other roles", view_by(POLICY, &more, "GET /c/1", &seal)),
        ("under another key", view_by(POLICY, &who("u"), "GET /c/1", &Arc::new(Seal::random().unwrap()))),
    ];
    for (what, other) in &others {
        let foreign = token(other, "\"1\"");
        assert_eq!(sent(&own, "PUT", &[("if-match", foreign.clone())]), Err("if-match"), "{what}");
        assert_eq!(sent(&own, "PUT", &[("if-none-match", foreign.clone())]), Err("if-none-match"), "{what}");
        assert_eq!(sent(&own, "GET", &[("if-match", foreign.clone())]).unwrap(), [""; 0], "{what}");
        assert_eq!(sent(&own, "GET", &[("if-none-match", foreign)]).unwrap(), [""; 0], "{what}");
    }
}

#[test]
fn r16_nothing_has_changed_only_for_the_same_question() {
    let seal = seal();
    let read = view_by(POLICY, &who("u"), "GET /c/1", &seal);
    let other = view_by(POLICY, &who("u"), "GET /c/1?lang=de", &seal);
    let write = view_by(POLICY, &who("u"), "PUT /c/1", &seal);
    let given = token(&read, "\"1\"");
    assert_eq!(sent(&other, "GET", &[("if-none-match", given.clone())]).unwrap(), [""; 0]);
    assert_eq!(
        sent(&write, "PUT", &[("if-match", given)]).unwrap(),
        ["if-match: \"1\""],
        "it is the same record"
    );
    let written = token(&write, "\"2\"");
    assert_eq!(sent(&read, "GET", &[("if-none-match", written)]).unwrap(), [""; 0], "it was not read");
}

#[test]
fn r16_every_changed_character_makes_a_token_worthless() {
    let view = view(&who("u"), "GET /c/1");
    let given = token(&view, "\"1\"");
    for index in 1..given.len() - 1 {
        let mut changed = given.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(sent(&view, "PUT", &[("if-match", changed)]), Err("if-match"), "at {index}");
    }
    let weakened = format!("W/{given}");
    assert_eq!(sent(&view, "PUT", &[("if-match", weakened.clone())]), Err("if-match"));
    assert_eq!(sent(&view, "GET", &[("if-none-match", weakened)]).unwrap(), ["if-none-match: W/\"1\""]);
    let weak = token(&view, "W/\"1\"").replace("W/", "");
    assert_eq!(sent(&view, "PUT", &[("if-match", weak)]), Err("if-match"), "a weak tag is not made strong");
}

#[test]
fn r16_lists_and_the_star_follow_their_grammar() {
    let view = view(&who("u"), "GET /c/1");
    let (one, two) = (token(&view, "\"1\""), token(&view, "W/\"2\""));
    let foreign = token(&self::view(&who("v"), "GET /c/1"), "\"1\"");
    let list = format!(" , {one},{two} ,\"x,y\", {foreign}");
    assert_eq!(sent(&view, "PUT", &[("if-match", list.clone())]).unwrap(), ["if-match: \"1\""]);
    assert_eq!(
        sent(&view, "GET", &[("if-none-match", list.clone())]).unwrap(),
        ["if-none-match: \"1\", W/\"2\""]
    );
    assert_eq!(sent(&view, "PUT", &[("if-none-match", list)]), Err("if-none-match"), "one is not understood");
    let lines = [("if-none-match", one.clone()), ("if-none-match", two)];
    assert_eq!(
        sent(&view, "PUT", &lines).unwrap(),
        ["if-none-match: \"1\", W/\"2\""],
        "two lines are a list"
    );
    for (method, star) in [("PUT", vec!["if-match: *"]), ("GET", vec![])] {
        assert_eq!(sent(&view, method, &[("if-match", " * ".into())]).unwrap(), star);
    }
    assert_eq!(sent(&view, "PUT", &[("if-none-match", "*".into())]).unwrap(), ["if-none-match: *"]);
    assert_eq!(sent(&view, "GET", &[("if-none-match", "*".into())]).unwrap(), [""; 0]);
    let many = vec![one.clone(); MAX_TAGS].join(",");
    assert!(sent(&view, "PUT", &[("if-match", many.clone())]).is_ok());
    let bare = one.trim_matches('"').to_owned();
    for wrong in [
        format!("{many},{one}"),
        format!("{one} {one}"),
        format!("{one}x"),
        format!("*, {one}"),
        format!("w/{one}"),
        format!("W/ {one}"),
        one.trim_end_matches('"').to_owned(),
        bare,
        ",".into(),
        String::new(),
    ] {
        assert_eq!(sent(&view, "PUT", &[("if-match", wrong.clone())]), Err("if-match"), "{wrong}");
        assert_eq!(sent(&view, "GET", &[("if-none-match", wrong.clone())]).unwrap(), [""; 0], "{wrong}");
    }
}

#[test]
fn an_unchanged_answer_gets_the_callers_own_token_back() {
    let view = view(&who("u"), "GET /c/1");
    let (one, two) = (token(&view, "\"1\""), token(&view, "\"2\""));
    let asked = |list: String| {
        let request = http::Request::get("/c/1").header("if-none-match", list).body(()).unwrap();
        view.translate(&request.into_parts().0, &mut HeaderMap::new()).unwrap()
    };
    let tag = |text: &'static str| Some(HeaderValue::from_static(text));
    let back = |conditions: &Conditions, stated: Option<HeaderValue>| {
        conditions.token(stated.as_ref()).map(|token| token.to_str().unwrap().to_owned())
    };
    let both = asked(format!("{one}, {two}"));
    assert_eq!(back(&both, tag("\"2\"")), Some(two));
    assert_eq!(back(&both, tag("W/\"1\"")), Some(one.clone()));
    assert_eq!(back(&both, tag("\"3\"")), None);
    assert_eq!(back(&both, None), None);
    assert_eq!(back(&asked(one.clone()), None), Some(one));
    assert!(!asked("\"x\"".into()).are_there());
}
