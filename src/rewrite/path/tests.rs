use super::*;

fn jsonpath(text: &str) -> Vec<Step> {
    Path::parse_jsonpath(text).unwrap_or_else(|e| panic!("{text}: {e}")).0
}

fn name(name: &str) -> Step {
    Step::Name(name.into())
}

#[test]
fn reads_the_jsonpath_subset() {
    assert_eq!(jsonpath("$"), []);
    assert_eq!(jsonpath("$.data[*]"), [name("data"), Step::Elements]);
    assert_eq!(jsonpath("$.a.*"), [name("a"), Step::Any]);
    assert_eq!(jsonpath("$['@odata.type'][\"x y\"]"), [name("@odata.type"), name("x y")]);
    assert_eq!(jsonpath("$..phone"), [Step::Descend, name("phone")]);
    assert_eq!(jsonpath("$['*'][*].*"), [name("*"), Step::Elements, Step::Any]);
    assert_eq!(jsonpath("$[0][1:7:2]"), [Step::Index(0), Step::Slice { start: 1, end: Some(7), step: 2 }]);
    assert_eq!(jsonpath(r"$['\u0061\'']"), [name("a'")]);
    assert_eq!(jsonpath("$.客户"), [name("客户")]);
}

#[test]
fn refuses_what_the_parser_lets_through_and_what_cannot_be_followed() {
    for text in
        ["$.a b.c", "$.a\tb", "$.a ", "a", "", "$[0:1:0]", "$['a','b']", "$[?@.a,0]", "$.", "$[", "$.a..b c"]
    {
        assert!(Path::parse_jsonpath(text).is_err(), "{text}");
    }
    assert_eq!(Path::parse_jsonpath("$.a b").unwrap_err().offset, 4);
    assert!(Path::parse_jsonpath(&format!("${}", ".a".repeat(200))).is_err());
}

#[test]
fn reads_the_dotted_form() {
    let field = |text: &str| Path::parse_field(text).unwrap_or_else(|e| panic!("{text}: {e}")).0;
    assert_eq!(field("contracts[*].amount"), [name("contracts"), Step::Elements, name("amount")]);
    assert_eq!(field("bank.account"), [name("bank"), name("account")]);
    assert_eq!(field(r#"["@odata.type"].x"#), [name("@odata.type"), name("x")]);
    assert_eq!(field(r#"a["b.c"]["d\u0065"]"#), [name("a"), name("b.c"), name("de")]);
    assert_eq!(field("@type.$ref.x-y.客户_2"), [name("@type"), name("$ref"), name("x-y"), name("客户_2")]);
    assert_eq!(field("a.*"), [name("a"), Step::Any]);
    assert_eq!(field("a[3][2:]"), [name("a"), Step::Index(3), Step::Slice { start: 2, end: None, step: 1 }]);
    for text in ["", ".", "a.", "a..b", "a b", "a[", "a[x]", "a[\"b]", "a]b", "a[*", "a\u{0}", "a[1:2:0]"] {
        assert!(Path::parse_field(text).is_err(), "{text:?}");
    }
}

#[test]
fn both_forms_print_what_they_read() {
    for text in ["a.b[*].c", r#"["x y"].a"#, "a[0][1:2:3][2:]", "a.*", "*", "[*].x", r#"a["."]"#] {
        let path = Path::parse_field(text).expect(text);
        assert_eq!(path.to_string(), text);
        assert_eq!(Path::parse_jsonpath(&path.to_jsonpath()).expect(text), path, "{}", path.to_jsonpath());
    }
    assert_eq!(Path::parse_jsonpath("$..a.b").expect("path").to_string(), "..a.b");
    assert_eq!(Path::parse_jsonpath("$..['a b']..*").expect("path").to_jsonpath(), "$..[\"a b\"]..*");
}

#[test]
fn a_member_below_a_path_prints_like_the_path_to_it() {
    for place in ["", "$", "$.a", "$.a[*]", "$..", "$.a..b", "$.*", "$['x y']"] {
        let place = Path::parse_jsonpath(place).unwrap_or_default();
        for below in ["b", "x y", "", "a.b", "\"", "王", "\u{0}"] {
            let joined = place.join(&Path(vec![name(below)]));
            assert_eq!(place.dotted_below(below), joined.to_string(), "{place} {below:?}");
        }
    }
    let open = Path(vec![name("a"), Step::Descend]);
    assert_eq!(open.dotted_below("b"), "a..b");
}
