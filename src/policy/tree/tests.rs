use proptest::prelude::*;

use super::*;

fn parse(body: &str) -> Result<Tree, String> {
    Tree::parse(body.as_bytes(), 8).map_err(str::to_owned)
}

#[test]
fn writes_what_it_reads_without_white_space() {
    let body = " {\"a\" : [1.50, -0, 1E+2 , true,false,null, \"\\u0041\\/\\n\"] ,\"\\ud83d\\ude00\":{ } } ";
    assert_eq!(
        parse(body).unwrap().to_json(),
        "{\"a\":[1.50,-0,1E+2,true,false,null,\"A/\\u000a\"],\"😀\":{}}"
    );
}

#[test]
fn numbers_keep_their_digits() {
    let body = "[1706047321704235000,0.10,123456789012345678901234567890.12345,1e400]";
    assert_eq!(parse(body).unwrap().to_json(), body);
}

#[test]
fn refuses_a_member_named_twice() {
    for body in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":1,"c":2,"a":3}}]"#] {
        assert!(parse(body).unwrap_err().contains("named twice"), "{body}");
    }
    assert!(parse(r#"{"a":{"a":1},"A":2}"#).is_ok());
}

#[test]
fn refuses_what_parsers_read_differently() {
    for body in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "1 2",
        "{}{}",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "-",
        "NaN",
        "Infinity",
        "0x10",
        "nul",
        "tru e",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "\"",
        "[1]//c",
        "/**/1",
        "\u{feff}1",
        "\u{a0}1",
        "{\"a\"}",
        "{1:2}",
        "]",
    ] {
        assert!(parse(body).is_err(), "{body}");
    }
    assert!(Tree::parse(b"\"\xff\"", 8).is_err());
    assert!(Tree::parse(b"\"\xc0\xaf\"", 8).is_err());
}

#[test]
fn refuses_what_is_nested_too_deeply() {
    assert!(parse("[[[[[[[[1]]]]]]]]").is_ok());
    assert!(parse("[[[[[[[[[1]]]]]]]]]").unwrap_err().contains("too deeply"));
    assert!(parse("[[],[],[],[],[],[],[],[],[],[[]]]").is_ok());
    assert!(Tree::parse("[".repeat(1 << 20).as_bytes(), 128).is_err());
}

#[test]
fn refuses_a_number_beyond_the_bound() {
    assert!(parse(&"1".repeat(MAX_NUMBER_BYTES)).is_ok());
    assert!(parse(&"1".repeat(MAX_NUMBER_BYTES + 1)).is_err());
}

proptest! {
    #[test]
    fn accepts_nothing_that_serde_json_refuses(body in r#"[\[\]{}",:0-9eE.\\ua-f+\-tn ]{0,40}"#) {
        if let Ok(tree) = Tree::parse(body.as_bytes(), 64) {
            let theirs: serde_json::Value = match serde_json::from_str(&body) {
                Ok(value) => value,
                // The one thing it refuses that is no error: numbers beyond a double.
                Err(error) => { prop_assert!(error.to_string().contains("out of range"), "{error}"); return Ok(()); }
            };
            let ours: serde_json::Value = serde_json::from_str(&tree.to_json()).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn what_it_writes_it_reads_again(texts in prop::collection::vec(any::<String>(), 0..8)) {
        let tree = Tree::List(texts.into_iter().map(|text| Tree::Text(text.into())).collect());
        prop_assert_eq!(Tree::parse(tree.to_json().as_bytes(), 8).unwrap(), tree);
    }
}
