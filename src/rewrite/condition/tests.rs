use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rewrite::trial::conditions::slot;

fn compile(source: &str) -> (Predicate, ParamTable) {
    let mut params = ParamTable::default();
    match Predicate::compile(source, &mut params) {
        Ok(predicate) => (predicate, params),
        Err(refused) => panic!("`{source}` refused: {refused:?}"),
    }
}

fn judge(source: &str, record: &serde_json::Value) -> Result<bool, Fault> {
    let (predicate, table) = compile(source);
    let caller = json!({
        "id": "u7", "name": null, "groups": ["sales", "east"], "roles": ["reader"], "ip": "10.1.2.3", "mfa": true,
        "method": "jwt", "claims": { "region": "east", "level": 3, "org": { "id": 5 }, "big": u64::MAX, "a b": 1 },
    });
    let request =
        json!({ "method": "GET", "path": "/x", "query": { "q": "1" }, "action": "list", "resource": "c" });
    let params = table.bind(|param| {
        let root = if param.root == ParamRoot::Principal { &caller } else { &request };
        if param.root == ParamRoot::Request && *param.path[0] == *"time" {
            // A Saturday, 23:30 in UTC, Sunday in Shanghai.
            return Some(Value::Time("2026-01-31T23:30:15.25Z".parse().unwrap()));
        }
        Value::below(root.as_object().unwrap(), &param.path)
    });
    let slots: Vec<Slot> = predicate.slots().iter().map(|path| slot(record, path)).collect();
    predicate.judge(&slots, &params)
}

fn met(source: &str, record: serde_json::Value) -> bool {
    judge(source, &record) == Ok(true)
}

fn always(source: &str) -> bool {
    met(source, json!({}))
}

fn refused(source: &str) -> ConditionError {
    Predicate::compile(source, &mut ParamTable::default()).expect_err(source)
}

#[test]
fn compares_members_of_record_principal_and_request() {
    let record = json!({ "owner_id": "u7", "region": "east", "amount": 5, "a b": { "客户": 1 } });
    assert!(met("record.owner_id == principal.id", record.clone()));
    assert!(met("record.region == principal.claims.region && principal.mfa", record.clone()));
    assert!(met("record.amount >= principal.claims.level", record.clone()));
    assert!(met(r#"record["a b"]["客户"] == principal.claims["a b"]"#, record.clone()));
    assert!(met("request.method == 'GET' && request.query.q == '1'", record.clone()));
    assert!(!met("record.owner_id == 'u8'", record));
}

#[test]
fn text_comparison_is_exact() {
    for other in ["U7", "u7 ", "ｕ7", "u7\u{200b}", "u\u{37}\0"] {
        assert!(!met("record.owner == principal.id", json!({ "owner": other })), "{other:?}");
    }
    // Composed and decomposed é are different texts.
    assert!(!met("record.name == 'é'", json!({ "name": "e\u{301}" })));
}

#[test]
fn a_missing_member_is_not_met_wherever_it_stands() {
    for source in [
        "record.x == 'a'",
        "record.x != 'a'",
        "!(record.x == 'a')",
        "record.x == null",
        "record.x == record.y",
        "record.a.b != 1",
        "record.t.b != 1",
        "record.t.b.c != 1",
        "principal.claims.nothing != 'x'",
        "principal.claims.region.deeper != 'x'",
        "request.query.nothing != 'x'",
        "(record.x ? true : true)",
        "record.x in ['a'] ? true : true",
        "!(record.x in ['a'])",
        "!record.x.startsWith('a')",
        "!(size(record.x) > 3)",
    ] {
        assert_eq!(judge(source, &json!({ "t": "text" })), Err(Fault::Missing), "{source}");
    }
}

#[test]
fn a_wrong_type_is_not_met_wherever_it_stands() {
    let record = json!({ "n": 7, "t": "7", "b": true, "l": [1, "a"], "o": {}, "z": null });
    for source in [
        "record.n == record.t",
        "record.n != record.t",
        "!(record.n == record.t)",
        "record.b != 'true'",
        "record.l != 'a'",
        "record.o != 1",
        "record.t < 8",
        "record.z < 8",
        "record.n && true",
        "!record.t",
        "record.n ? true : false",
        "record.n",
        "!(record.t in [1, 2])",
        "!('b' in record.l)",
        "!(1 in record.t)",
        "record.n.startsWith('7')",
        "record.t + 1 == 8",
        "-record.t == 1",
        "record.l.exists(x, x.y == 1)",
        "record.t.exists(x, true)",
        "!(has(record.l[0].x))",
        "record.t.getHours() == 1",
    ] {
        assert_eq!(judge(source, &record), Err(Fault::Type), "{source}");
    }
}

#[test]
fn null_compares_with_anything() {
    let record = json!({ "z": null, "t": "a", "n": 1, "l": [] });
    assert!(met("record.z == null", record.clone()));
    assert!(met("record.t != null && record.n != null && record.l != null", record.clone()));
    assert!(met("record.z != 'a' && record.z != 1 && !(record.z == record.l)", record.clone()));
    assert!(met("!(record.z in ['a'])", record.clone()));
    assert!(met("record.z in ['a', null]", record.clone()));
    assert!(!met("record.t == null", record));
}

#[test]
fn logic_absorbs_errors_as_cel_does() {
    let record = json!({ "t": "a" });
    assert!(met("record.x == 1 || record.t == 'a'", record.clone()));
    assert!(met("record.t == 'a' || record.x == 1", record.clone()));
    assert!(met("!(record.x == 1 && record.t == 'b')", record.clone()));
    assert!(met("!(record.t == 'b' && record.x == 1)", record.clone()));
    assert!(!met("record.x == 1 || record.t == 'b'", record.clone()));
    assert!(!met("!(record.x == 1 || record.t == 'b')", record.clone()));
    assert!(!met("record.x == 1 && record.t == 'a'", record.clone()));
    assert!(met("record.t == 'a' ? true : record.x", record));
}

#[test]
fn an_ambiguous_slot_is_never_met() {
    let (predicate, _) = compile("record.a == 1 || record.b == 1 || true");
    assert!(predicate.is_met(&[Slot::Missing, Slot::Missing], &Params::default()));
    assert!(!predicate.is_met(&[Slot::Found(Value::Int(1)), Slot::Ambiguous], &Params::default()));
    assert_eq!(predicate.judge(&[Slot::Ambiguous, Slot::Missing], &Params::default()), Err(Fault::Ambiguous));
}

#[test]
fn numbers_compare_by_value() {
    let record =
        json!({ "i": 9007199254740993_i64, "d": 10.0, "u": u64::MAX, "m": i64::MIN, "h": 10.5, "n": 10 });
    assert!(met("record.d == 10 && 10 == record.d && record.d == 10u && record.n == 10.0", record.clone()));
    assert!(met("record.i == 9007199254740993 && record.i != 9007199254740992.0", record.clone()));
    assert!(met("record.i > 9007199254740992.0 && 9007199254740992.0 < record.i", record.clone()));
    assert!(met("record.u == principal.claims.big && record.u == 18446744073709551615u", record.clone()));
    assert!(met("record.u > 9223372036854775807 && record.m == -9223372036854775808", record.clone()));
    assert!(met("record.h > 10 && record.h < 11 && 10 < record.h && record.h != 10", record.clone()));
    assert!(met("record.m < -1e300 || record.m > -1e300", record.clone()));
    assert!(met("record.d in [9, 10] && record.n in [10.0] && !(record.h in [10, 11u])", record));
}

#[test]
fn numbers_beyond_64_bits_are_never_taken_for_equal() {
    let big = |text: &str| Slot::Found(Value::from_json(text).unwrap());
    let slots = [big("18446744073709551617"), big("18446744073709551616")];
    for source in
        ["record.a == record.b", "record.a != record.b", "record.a >= record.b", "record.a < record.b"]
    {
        assert_eq!(compile(source).0.judge(&slots, &Params::default()), Err(Fault::Overflow), "{source}");
    }
    assert!(compile("record.a > 5 && record.b > 18446744073709551615u").0.is_met(&slots, &Params::default()));
}

#[test]
fn calculates_without_wrapping() {
    let record = json!({ "n": 7, "d": 0.5, "z": 0, "max": i64::MAX, "t": "a" });
    assert!(met(
        "record.n * 2 + 1 == 15 && record.n / 2 == 3 && record.n % 4 == 3 && -record.n == 0 - 7",
        record.clone()
    ));
    assert!(met("record.n * record.d == 3.5 && record.n - 1 > record.d", record.clone()));
    assert!(met("record.t + 'b' == 'ab'", record.clone()));
    assert!(met("record.max + 1 == 9223372036854775808u", record.clone()));
    for source in [
        "record.max * record.max != 0",
        "record.n / record.z != 0",
        "record.n % record.z != 0",
        "record.d / record.z != 0",
        "1e308 * (record.n * 10) != 0.0",
    ] {
        assert_eq!(judge(source, &record), Err(Fault::Overflow), "{source}");
    }
}

#[test]
fn lists_and_macros() {
    let record = json!({
        "tags": ["vip", "east"], "team": "sales", "contracts": [{ "amount": 5 }, { "amount": 50 }, {}],
        "o": { "k": 1 }, "empty": [],
    });
    assert!(met(
        "'vip' in record.tags && !('x' in record.tags) && record.team in principal.groups",
        record.clone()
    ));
    assert!(met("record.team in ['sales', 'hr'] && !(record.team in ['hr'])", record.clone()));
    assert!(met("principal.id in [record.team, 'u7']", record.clone()));
    let many = (0..40).map(|n| format!("'t{n}'")).collect::<Vec<_>>().join(", ");
    assert!(met(&format!("'t39' in [{many}] && !(record.team in [{many}, 'sale'])"), record.clone()));
    assert!(met(&format!("record.team in [{many}, 'sales']"), record.clone()));
    assert_eq!(judge(&format!("!(record.o in [{many}])"), &record), Err(Fault::Type));
    assert!(met(
        "record.tags[1] == 'east' && size(record.tags) == 2 && record.tags.size() == 2",
        record.clone()
    ));
    assert!(met("record.contracts[0].amount == 5 && record.o['k'] == 1 && 'k' in record.o", record.clone()));
    assert!(met("record.contracts.exists(c, c.amount > 10)", record.clone()));
    assert!(!met("record.contracts.exists(c, c.amount > 100)", record.clone()));
    assert!(!met("record.contracts.all(c, c.amount > 1)", record.clone()));
    assert!(met("!record.contracts.all(c, c.amount > 10)", record.clone()));
    assert!(met("record.contracts.all(c, !has(c.amount) || c.amount > 1)", record.clone()));
    assert!(met("record.tags.exists(t, principal.groups.exists(g, g == t))", record.clone()));
    assert!(met("record.empty.all(x, x) && !record.empty.exists(x, x)", record.clone()));
    assert!(met(
        "record.tags == ['vip', 'east'] && record.tags != ['vip'] && record.o.exists(k, k == 'k')",
        record.clone()
    ));
    assert_eq!(judge("record.tags[2] != 'a'", &record), Err(Fault::Overflow));
    assert_eq!(judge("record.tags[-1] != 'a'", &record), Err(Fault::Overflow));
}

#[test]
fn presence_is_tested_without_reading() {
    let record = json!({ "z": null, "o": { "k": 1 }, "a b": 1, "t": "x" });
    assert!(met("has(record.z) && has(record.o.k) && !has(record.x) && !has(record.o.x)", record.clone()));
    assert!(met("'a b' in record && !('b' in record)", record.clone()));
    assert!(met(
        "has(principal.claims.region) && !has(principal.claims.x) && !has(principal.claims.org.x)",
        record.clone()
    ));
    // As in CEL, a missing parent is an error, also under a negation.
    assert_eq!(judge("!has(record.nothing.k)", &record), Err(Fault::Missing));
    assert_eq!(judge("!has(record.t.k)", &record), Err(Fault::Type));
    assert_eq!(judge("!has(principal.claims.nothing.k)", &record), Err(Fault::Missing));
    assert_eq!(judge("!has(principal.claims.region.k)", &record), Err(Fault::Type));
}

#[test]
fn texts_are_searched_and_converted() {
    let record = json!({ "p": "13800138000", "e": "Li@Example.com", "n": 42, "d": 4.9, "c": "王芳" });
    assert!(met(
        "record.p.startsWith('138') && record.p.endsWith('000') && record.p.contains('0013')",
        record.clone()
    ));
    assert!(met(r"record.p.matches('^1[3-9]\\d{9}$') && matches(record.p, '38')", record.clone()));
    assert!(met(
        "record.e.lowerAscii() == 'li@example.com' && record.e.upperAscii().startsWith('LI@')",
        record.clone()
    ));
    assert!(met("size(record.c) == 2 && record.c.lowerAscii() == record.c", record.clone()));
    assert!(met(
        "int(record.p) == 13800138000 && string(record.n) == '42' && int(record.d) == 4",
        record.clone()
    ));
    assert!(met("double(record.n) == 42.0 && double('1.5') == 1.5 && int('-7') == -7", record.clone()));
    for source in ["int(record.e) != 1", "double(record.e) != 1.0", "timestamp(record.e) != request.time"] {
        assert_eq!(judge(source, &record), Err(Fault::Conversion), "{source}");
    }
    assert_eq!(judge("string(record.d) != ''", &record), Err(Fault::Type));
}

#[test]
fn patterns_mean_ascii_where_re2_does() {
    let record = json!({ "arabic": "١٢٣", "digits": "123", "name": "王芳 é_1", "back": "a\\d" });
    assert!(met(r"record.digits.matches('^\\d+$') && !record.arabic.matches('\\d')", record.clone()));
    assert!(met(r"record.arabic.matches('^\\D+$') && record.arabic.matches('^[^\\d]+$')", record.clone()));
    // For ASCII é is no letter, so a word begins behind it.
    assert!(met(r"record.name.matches('é\\b')", record.clone()));
    assert!(met(r"record.name.matches('^..\\s.[\\w]+$') && record.name.matches('\\b_1\\b')", record.clone()));
    assert!(met(r"record.back.matches('^a\\\\d$') && record.digits.matches('^[\\d_]{3}$')", record.clone()));
    assert!(met(r"record.name.matches('^\\p{Han}+\\W+')", record));
}

#[test]
fn times_have_parts_in_a_zone() {
    let record =
        json!({ "at": "2026-01-31T07:00:00+08:00", "bad": "2026-01-31", "lenient": "2026-01-31 07:00:00Z" });
    assert!(always(
        "request.time.getFullYear() == 2026 && request.time.getMonth() == 0 && request.time.getDate() == 31"
    ));
    assert!(always("request.time.getDayOfMonth() == 30 && request.time.getDayOfYear() == 30"));
    assert!(always("request.time.getDayOfWeek() == 6 && request.time.getDayOfWeek('+08:00') == 0"));
    assert!(always("request.time.getHours() == 23 && request.time.getHours('Asia/Shanghai') == 7"));
    assert!(always("request.time.getMinutes() == 30 && request.time.getMinutes('-05:30') == 0"));
    assert!(always("request.time.getSeconds() == 15 && request.time.getMilliseconds() == 250"));
    assert!(met("request.time - timestamp(record.at) > duration('24h')", record.clone()));
    assert!(met(
        "timestamp(record.at) + duration('1h30m') == timestamp('2026-01-31T00:30:00Z')",
        record.clone()
    ));
    assert!(always(
        "duration('90m').getHours() == 1 && duration('-1.5s') < duration('0') && duration('250ms').getSeconds() == 0"
    ));
    assert!(always(
        "timestamp(0) == timestamp('1970-01-01T00:00:00Z') && int(timestamp('1970-01-01T00:01:00Z')) == 60"
    ));
    assert_eq!(judge("timestamp(record.bad) != request.time", &record), Err(Fault::Conversion));
    assert_eq!(judge("timestamp(record.lenient) != request.time", &record), Err(Fault::Conversion));
}

#[test]
fn addresses_are_matched_against_networks() {
    assert!(always("ip_in(principal.ip, '10.0.0.0/8')"));
    assert!(always("ip_in(principal.ip, '192.168.0.0/16', '10.1.2.3')"));
    assert!(!always("ip_in(principal.ip, '192.168.0.0/16', '2001:db8::/32')"));
    let record = json!({ "mapped": "::ffff:10.0.0.1", "zeros": "010.0.0.1", "six": "2001:db8::1" });
    assert!(met("ip_in(record.mapped, '10.0.0.0/8') && ip_in(record.six, '2001:db8::/32')", record.clone()));
    assert_eq!(judge("!ip_in(record.zeros, '10.0.0.0/8')", &record), Err(Fault::Conversion));
}

/// Condition, offset, message, help.
const REFUSALS: &[(&str, usize, &str, &str)] = &[
    ("recrd.x == 1", 0, "unknown name `recrd`", "did you mean `record`?"),
    (
        "record.x == 1 && principal.clams.y == 1",
        26,
        "`principal` has no member `clams`",
        "did you mean `claims`?",
    ),
    ("record.名 == 1", 7, "unexpected `名`", ""),
    (r#"record["名"] == prncipal.id"#, 17, "unknown name `prncipal`", "did you mean `principal`?"),
    ("record.x = 1", 9, "unexpected `=`", "to compare, write `==`"),
    ("record.x == 1 and true", 14, "unexpected `and`", "write `&&`"),
    ("record.x ==", 11, "condition ends too early", ""),
    ("record.x.startWith('a')", 18, "unknown function `startWith`", "did you mean `startsWith`?"),
    (
        "startsWith(record.x, 'a')",
        10,
        "`startsWith` is not called like this",
        "write `text.startsWith(\"…\")`",
    ),
    ("record.x.map(record, 1)", 12, "the variable of a macro cannot be named `record`", ""),
    ("record.x.matches(record.y)", 23, "the pattern must be a text written here", ""),
    ("record.x.matches('(a')", 17, "the pattern cannot be read: unclosed group", ""),
    (
        "ip_in(principal.ip, '10.0.0.1/8')",
        20,
        "`10.0.0.1/8` has bits beyond its prefix",
        "did you mean `10.0.0.0/8`?",
    ),
    (
        "ip_in(principal.ip, 'office')",
        20,
        "`office` is not a network",
        "write `10.0.0.0/8` or `2001:db8::/32`",
    ),
    (
        "record == 1",
        0,
        "the record as a whole has no value in conditions",
        "name a member, as in `record.status`",
    ),
    (
        "record[principal.id] == 1",
        16,
        "a member chosen by a value is not supported",
        "which member decides must be known when the policy is loaded: `record[\"a b\"]`",
    ),
    ("principal.id.x == 1", 12, "`principal.id` has no member `x`", ""),
    (
        "principal.mfa == 'yes'",
        14,
        "a truth value and a text cannot be compared like this",
        "it would never be met",
    ),
    (
        "size(record.x)",
        4,
        "a condition gives true or false, this gives a number",
        "compare it with something, as in `record.status == \"open\"`",
    ),
    ("1 / 0 == record.x", 2, "this can never have a value: a number is out of range", ""),
    ("request.time > timestamp('soon')", 24, "this can never have a value: a text cannot be converted", ""),
    (
        "request.time.getHours('Mars/Base') > 1",
        22,
        "unknown time zone `Mars/Base`",
        "write a place such as `Asia/Shanghai`, or an offset such as `+08:00`",
    ),
    ("record.x == 9223372036854775808", 12, "whole number beyond 64 bits", ""),
    ("record.x == {'a': 1}", 12, "object literals are not supported", ""),
    ("record.x == b'a'", 12, "bytes are not supported", "write a text"),
    ("record.x.exists(record, true)", 15, "the variable of a macro cannot be named `record`", ""),
    ("1 in ['a']", 2, "a number is never in a list of texts", ""),
    (".record.x == 1", 1, "unknown name `.record`", "did you mean `record`?"),
];

#[test]
fn refuses_with_place_message_and_help() {
    for (source, offset, message, help) in REFUSALS {
        let error = refused(source);
        let found = (error.offset, error.message.as_str(), error.help.as_deref().unwrap_or_default());
        assert_eq!(found, (*offset, *message, *help), "{source}");
    }
}

#[test]
fn refuses_what_it_does_not_know() {
    for source in [
        "",
        " ",
        "record.",
        "record.x ?",
        "Foo{a: 1} == 1",
        "record.?x == 1",
        "record[?'x'] == 1",
        "type(record.x) == int",
        "dyn(record.x) == 1",
        "record.x.filter(y, 1) == []",
        "record.x.map(y, z) == []",
        "record.x.exists_one(y)",
        "bytes('a') == record.x",
        "record.x.replace('a', 'b') == 'c'",
        "record.x.exists(y, z)",
        "record.x.exists(1, true)",
        "has(record)",
        "has(principal.nothing)",
        "record.x.matches('(?=a)')",
        r"record.x.matches('(a)\\1')",
        "principal == request",
        "record.x.matches('a{1000}{1000}')",
        "-principal.id == 1",
        "principal.groups < ['a']",
        "record.x & 1 == 1",
        "record.x == 'a",
        "record.x == \"\\ud800\"",
        "request.time + 1 > request.time",
        "uint(record.x) == 1u",
        "record.x.getHours('/etc/localtime') == 1",
        "ip_in(record.ip, '::ffff:10.0.0.0/104')",
        "ip_in(principal.ip)",
        "true && 1",
        "'a' ? true : false",
        "!'a'",
        "null > 1",
        "[1] > [0]",
        "1e999 == record.x",
    ] {
        refused(source);
    }
}

#[test]
fn bounds_on_length_and_nesting_hold() {
    let long = format!("record.x == '{}'", "a".repeat(5000));
    assert!(refused(&long).message.contains("too long"));
    assert!(refused(&vec!["record.x == 1"; 300].join(" || ")).message.contains("too long"));
    assert_eq!(compile(&vec!["record.x == 1"; 240].join(" || ")).0.slots().len(), 1);
    let nested = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    assert_eq!(refused(&nested).message, "condition is nested too deeply");
    for chain in [
        format!("record.x == {}1", "1 + ".repeat(100)),
        format!("record.l.exists(x, x{} == 1)", ".a".repeat(100)),
        format!("record[0]{} == 1", ".a".repeat(100)),
        format!("record.x{} == 1", "[0]".repeat(1300)),
        format!("1{}", " < 1".repeat(1000)),
    ] {
        assert_eq!(refused(&chain).message, "condition is nested too deeply");
    }
}

/// The deepest trees that the bounds let through are parsed, compiled and evaluated on a small stack.
#[test]
fn what_the_bounds_let_through_fits_a_small_stack() {
    let deep = [
        (format!("record.x == {}1", "record.x + ".repeat(97)), true),
        (format!("record{} == 1", ".a".repeat(2000)), true),
        (format!("record.x{} == 1", "[0]".repeat(97)), true),
        (format!("{}true{}", "(".repeat(32), ")".repeat(32)), true),
        (format!("record.x == {}1", "- ".repeat(2000)), true),
        (format!("{}1{} == record.x", "[".repeat(32), "]".repeat(32)), true),
        (vec!["record.x"; 340].join(" || "), true),
        (format!("{}true", "record.x ? true : ".repeat(30)), true),
        (format!("record.x == {}1", "1 + ".repeat(1000)), false),
        (format!("record.x{}", ".size()".repeat(570)), false),
    ];
    let run = move || {
        for (source, accepted) in deep {
            let compiled = Predicate::compile(&source, &mut ParamTable::default());
            assert_eq!(compiled.is_ok(), accepted, "{source}: {:?}", compiled.err());
            if let Ok(predicate) = compiled {
                let slots = vec![Slot::Found(Value::Int(1)); predicate.slots().len()];
                let _ = predicate.is_met(&slots, &Params::default());
            }
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn an_evaluation_that_takes_too_long_is_not_met() {
    let long = Slot::Found(Value::List((0..20_000).map(Value::Int).collect()));
    let (predicate, _) = compile("record.l.exists(a, record.l.exists(b, a + b < 0)) || true");
    assert_eq!(predicate.judge(&[long], &Params::default()), Err(Fault::Exhausted));
}

#[test]
fn lists_are_filtered_mapped_and_counted() {
    let record = json!({
        "tags": ["vip", "east"], "owners": ["u7", "u8"], "o": { "k": 1, "l": 2 },
        "lines": [{ "n": 5, "who": "u7" }, { "n": 50, "who": "u8" }, { "n": 500 }],
    });
    let yes = |source: &str| assert!(met(source, record.clone()), "{source}");
    yes("record.lines.exists_one(l, l.n > 100) && !record.lines.exists_one(l, l.n > 10)");
    yes("size(record.lines.filter(l, l.n >= 50)) == 2 && record.lines.filter(l, l.n > 1000) == []");
    yes("record.lines.filter(l, l.n < 10)[0].who == 'u7'");
    yes("principal.id in record.lines.filter(l, has(l.who)).map(l, l.who)");
    yes("record.lines.map(l, l.n < 100, l.n * 2) == [10, 100]");
    yes("'k' in record.o.map(k, k) && record.o.filter(k, k != 'l') == ['k']");
    yes(
        "record.owners.map(o, record.lines.filter(l, has(l.who) && l.who == o)).all(found, size(found) == 1)",
    );
    yes("record.tags.map(t, record.owners.map(o, t + o))[1][0] == 'eastu7'");
    // Unlike in `exists` and `all`, an element that errs makes the whole err.
    for source in [
        "'u7' in record.lines.map(l, l.who)",
        "size(record.lines.filter(l, l.who == 'u7')) == 1",
        "record.lines.exists_one(l, l.who == 'u7')",
    ] {
        assert_eq!(judge(source, &record), Err(Fault::Missing), "{source}");
    }
    assert_eq!(judge("size(record.tags[0].map(c, c)) > 0", &record), Err(Fault::Type));
    assert!(refused("record.tags.map(t, t) == 'a'").message.contains("cannot be compared"));
    assert!(refused("record.tags.filter(t, 1) == []").message.contains("true or false is needed"));
    assert!(
        refused("record.tags.filter(t, true)").message.contains("gives true or false, this gives a list")
    );
}

/// What is kept counts: neither many elements nor long texts are piled up.
#[test]
fn what_macros_keep_is_bounded() {
    let numbers = |count| Slot::Found(Value::List((0..count).map(Value::Int).collect()));
    let judged = |source: &str, slot: Slot| compile(source).0.judge(&[slot], &Params::default());
    let pairs = "size(record.l.map(a, record.l.map(b, a + b))) > 0 || true";
    assert_eq!(judged(pairs, numbers(100)), Ok(true));
    assert_eq!(judged(pairs, numbers(300)), Err(Fault::Exhausted));
    let text = Slot::Found(Value::List(vec![Value::text("x".repeat(60_000)); 400].into()));
    assert_eq!(judged("size(record.l.map(t, t)) > 0 || true", text.clone()), Ok(true), "nothing is copied");
    assert_eq!(judged("size(record.l.map(t, t + 'y')) > 0 || true", text), Err(Fault::Exhausted));
}

#[test]
fn tells_what_it_depends_on() {
    let (predicate, table) =
        compile("record.a.b == principal.id && record['c d'] == request.action && principal.id != ''");
    assert_eq!(predicate.slots().len(), 2);
    assert_eq!(
        predicate.params().iter().map(|name| &**name).collect::<Vec<_>>(),
        ["principal.id", "request.action"]
    );
    assert!(predicate.reads_record() && predicate.reads_principal() && predicate.reads_request());
    assert_eq!(table.names().len(), 2);
    assert_eq!(predicate.constant(), None);
    assert_eq!(compile("1 < 2 && !(true == false)").0.constant(), Some(true));
    let (_, table) = compile(r#"principal.claims["https://x/roles"]["a.b"] == 1"#);
    assert_eq!(&*table.names()[0], r#"principal.claims["https://x/roles"]["a.b"]"#);
}

#[test]
fn params_are_shared_between_conditions() {
    let mut table = ParamTable::default();
    Predicate::compile("principal.id == 'a'", &mut table).unwrap();
    let second = Predicate::compile("principal.mfa && principal.id == record.x", &mut table).unwrap();
    assert_eq!(table.names().len(), 2);
    let params =
        table.bind(|param| Some(if *param.path[0] == *"mfa" { Value::Bool(true) } else { Value::text("u") }));
    assert!(second.is_met(&[Slot::Found(Value::text("u"))], &params));
}

#[test]
fn reads_values_from_json_text() {
    let read = Value::from_json;
    assert_eq!(read(r#" "a\n\u738b\ud83d\ude00" "#), Ok(Value::text("a\n王😀")));
    assert_eq!(read("-12"), Ok(Value::Int(-12)));
    assert_eq!(read("18446744073709551615"), Ok(Value::UInt(u64::MAX)));
    assert_eq!(read("1.5e3"), Ok(Value::Double(1500.0)));
    assert_eq!(read("1E+2"), Ok(Value::Double(100.0)));
    assert_eq!(
        read("[1,[true,null]]").unwrap(),
        Value::List(vec![Value::Int(1), Value::List(vec![Value::Bool(true), Value::Null].into())].into())
    );
    assert_eq!(read(r#"{"a":1,"b":{}}"#).unwrap().member("a"), Ok(&Value::Int(1)));
    for bad in [
        "",
        "tru",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "1e999",
        "-1e999",
        "NaN",
        "nul",
        r#""a"#,
        r#""\ud800""#,
        r#""\x""#,
        "\"\n\"",
        "[1,]",
        "[1 2]",
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a"}"#,
        "{a:1}",
        "1 2",
        "[",
        "{\"a\":",
        "\"a\\",
        "[1",
        "{,}",
        "1.e5",
    ] {
        assert_eq!(read(bad), Err(Unreadable), "{bad}");
    }
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&nested(32)).is_ok());
    assert_eq!(read(&nested(33)), Err(Unreadable));
    assert_eq!(read(&nested(30_000)), Err(Unreadable));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(source in "[a-z.()\\[\\]'\"!&|=<>?:+*/%0-9 ,{}-]{0,60}") {
        let _ = Predicate::compile(&source, &mut ParamTable::default());
        let _ = Predicate::compile(&format!("record.a {source}"), &mut ParamTable::default());
    }

    #[test]
    fn reads_json_as_serde_json_does(text in r#"[\[\]{}":,0-9.eE+\\u ntrufalse-]{0,24}"#) {
        let ours = Value::from_json(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text).ok();
        match (ours, theirs) {
            // Theirs reads `-0` as a double.
            (Ok(Value::Int(0)), Some(parsed)) => prop_assert_eq!(parsed.as_f64(), Some(0.0)),
            (Ok(value), Some(parsed)) => prop_assert_eq!(Ok(value), Value::from_parsed(&parsed)),
            // Ours also refuses members that occur twice, which theirs keeps the last of.
            (Err(_), Some(parsed)) => prop_assert!(parsed.is_object() || parsed.is_array()),
            (Ok(value), None) => prop_assert!(false, "{} read as {:?}", text, value),
            (Err(_), None) => {}
        }
    }
}

#[test]
fn every_example_of_the_documentation_compiles() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conditions.md")).unwrap();
    let mut compiled = 0;
    for block in text.split("```cel\n").skip(1) {
        for example in block.split("```").next().unwrap_or_default().lines() {
            compile(example);
            compiled += 1;
        }
    }
    assert!(compiled > 20, "only {compiled} examples");
    for name in functions::names() {
        assert!(text.contains(name), "`{name}` is not documented");
    }
}

#[test]
fn reads_values_and_calls_the_rest_ambiguous() {
    let found = |raw: &str| Slot::read(raw.as_bytes(), 100);
    assert_eq!(found("12"), Slot::Found(Value::Int(12)));
    assert_eq!(found("18446744073709551615"), Slot::Found(Value::UInt(u64::MAX)));
    assert_eq!(found("1.50"), Slot::Found(Value::Double(1.5)));
    assert_eq!(found("1e400"), Slot::Ambiguous);
    assert_eq!(found(r#""a\u0062""#), Slot::Found(Value::Text("ab".into())));
    assert_eq!(found(r#""\ud800""#), Slot::Ambiguous);
    assert_eq!(
        found("[1, true,null ]"),
        Slot::Found(Value::List([Value::Int(1), Value::Bool(true), Value::Null].into()))
    );
    assert_eq!(
        found(r#"{"a" : {} }"#),
        Slot::Found(Value::Map([("a".into(), Value::Map([].into()))].into()))
    );
    assert_eq!(found(r#"{"a":1,"\u0061":2}"#), Slot::Ambiguous);
    assert_eq!(found(&format!("\"{}\"", "x".repeat(100))), Slot::Ambiguous);
    assert_eq!(Slot::read("[".repeat(40).as_bytes(), 100), Slot::Ambiguous);
}
