//! The threats of writes (W) and of questions about hidden values (Q), by their names. Threats of bytes, framing and
//! identity stand with the stages that meet them.

use super::support::*;

/// In clear for own customers, a masked phone for those of the region; `card` for nobody.
const SALES: &str = r#"
    { resource: customer, actions: [list, read, update], records: record.owner == principal.id,
      fields: { show: [public, contact], edit: [name, phone, email, "lines[*].no"] } },
    { resource: customer, actions: [list, read], records: record.region == "east", fields: { show: [public], mask: { phone: one } } },
    { resource: customer, actions: [create], records: record.owner == principal.id, fields: { show: [public, contact], edit: [name, owner, phone] } },
    { resource: person, actions: [read], fields: { show: [id, name] } }"#;

fn put(body: &str) -> String {
    ask(&may(SALES), "PUT /one/1").before(r#"{"id":1,"owner":"u1"}"#).body(body).sent()
}

fn refused(line: &str) -> bool {
    !ask(&may(SALES), line).passes()
}

// === writes ===

#[test]
fn w01_a_mask_is_not_written_over_what_it_hides() {
    assert_eq!(put(r#"{"phone":"1*********0"}"#), "403 masked values were sent back in: `phone`");
    assert_eq!(put(r#"{"phone":"13800138000"}"#), r#"{"phone":"13800138000"}"#);
}

#[test]
fn w02_nor_is_null() {
    assert_eq!(put(r#"{"name":"n","phone":null}"#), "403 masked values were sent back in: `phone`");
}

#[test]
fn w03_what_is_not_seen_is_written_only_where_that_is_said() {
    assert_eq!(put(r#"{"card":"1"}"#), "403 fields are not editable: `card`");
    assert!(says(
        &role("{ resource: customer, actions: [update], fields: { edit: [card] } }"),
        "edit-without-show"
    ));
}

#[test]
fn w04_a_hidden_field_and_one_that_does_not_exist_are_refused_alike() {
    assert_eq!(put(r#"{"card":"1"}"#).replace("card", "_"), put(r#"{"nope":"1"}"#).replace("nope", "_"));
    let plan = may(SALES);
    let error = |text| {
        ask(&plan, "PUT /one/1").before(r#"{"owner":"u1"}"#).body(r#"{"name":"n"}"#).status(409).answer(text)
    };
    assert_eq!(error(r#"{"error":"card 110 is taken"}"#), error("{}"));
}

#[test]
fn w05_no_upsert_by_a_hidden_key() {
    let plan = may(SALES);
    for line in ["PUT /one/1?external_key=card", "PUT /one/card/110", "PATCH /one?card=110"] {
        assert!(!ask(&plan, line).before(r#"{"owner":"u1"}"#).body(r#"{"name":"n"}"#).passes(), "{line}");
    }
}

#[test]
fn w06_the_answer_to_a_write_is_narrowed() {
    let asked = may(SALES);
    let asked = ask(&asked, "PUT /one/1").before(r#"{"owner":"u1"}"#).body(r#"{"name":"n"}"#);
    let plan = asked.answer(r#"{"data":{"id":1,"owner":"u1","name":"n","card":"110","x":1}}"#);
    assert_eq!(plan, r#"{"data":{"id":1,"owner":"u1","name":"n"}}"#);
}

#[test]
fn w07_only_what_is_listed_is_assigned_at_any_depth() {
    for body in [
        r#"{"name":"n","is_admin":true}"#,
        r#"{"lines":[{"no":1,"price":2}]}"#,
        r#"{"lines":[{"no":1,"x":{"no":2}}]}"#,
        r#"{"__proto__":{"admin":1},"name":"n"}"#,
        r#"{"boss":{"id":2,"name":"x"}}"#,
        r#"{"name.first":"n"}"#,
        r#"[{"name":"n"}]"#,
    ] {
        assert!(put(body).starts_with("40"), "{body} gave {}", put(body));
    }
    assert_eq!(put(r#"{"lines":[{"no":1},{"no":2}]}"#), r#"{"lines":[{"no":1},{"no":2}]}"#);
}

#[test]
fn w08_what_was_judged_is_what_is_sent() {
    assert_eq!(put("{\"n\\u0061me\" : \"\\u006e\"}"), r#"{"name":"n"}"#);
    for body in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","n\u0061me":"b"}"#,
        r#"{"name":"a","lines":[{"no":1,"no":2}]}"#,
        r#"{"name":"a"} {"card":1}"#,
        r#"{"name":"a",}"#,
        r#"{"name":"\ud800"}"#,
        "\u{feff}{\"name\":\"a\"}",
        r#"{"Name":"a"}"#,
        r#"{"name\u0000":"a"}"#,
    ] {
        assert!(put(body).starts_with("40"), "{body} gave {}", put(body));
    }
}

#[test]
fn w09_bodies_in_other_encodings_are_refused() {
    let plan = may(SALES);
    for kind in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "application/xml",
        "application/json-patch+json",
        "text/plain",
        "application/json; charset=utf-16",
    ] {
        let asked = ask(&plan, "PUT /one/1").before(r#"{"owner":"u1"}"#).typed(kind, r#"{"name":"n"}"#);
        assert!(asked.verdict().starts_with("415"), "{kind}");
    }
    let packed = ask(&plan, "PUT /one/1").before(r#"{"owner":"u1"}"#).body(r#"{"name":"n"}"#);
    assert!(!packed.header("content-encoding", "x-unknown").passes());
}

#[test]
fn w10_a_reference_to_copy_from_is_no_field() {
    assert!(
        put(r#"{"name":{"$ref":"/one/7#card"}}"#).starts_with("40")
            || put(r#"{"copy_from":7}"#).starts_with("403")
    );
    assert_eq!(put(r#"{"copy_from":7}"#), "403 fields are not editable: `copy_from`");
}

#[test]
fn w11_a_record_is_judged_before_and_after() {
    let plan = may(SALES);
    let put = |before: &str, body: &str| ask(&plan, "PUT /one/1").before(before).body(body).sent();
    assert!(put(r#"{"owner":"u2"}"#, r#"{"name":"n"}"#).starts_with("404"), "another's record");
    assert!(put(r#"{"owner":"u1"}"#, r#"{"owner":"u2"}"#).starts_with("403"), "given away");
    let post = |body: &str| ask(&plan, "POST /one").body(body).sent();
    assert!(post(r#"{"name":"n","owner":"u2"}"#).starts_with("403"), "made for another");
    assert!(post(r#"{"name":"n"}"#).starts_with("403"), "made for nobody");
    assert_eq!(post(r#"{"name":"n","owner":"u1"}"#), r#"{"name":"n","owner":"u1"}"#);
}

#[test]
fn w12_rules_on_values_compare_by_type() {
    let plan = may(
        "{ resource: customer, actions: [create], records: record.amount <= 100, fields: { show: [amount, name], edit: [amount, name] } }",
    );
    let post = |body: &str| ask(&plan, "POST /one").body(body).passes();
    assert!(post(r#"{"amount":100}"#) && post(r#"{"amount":1e2}"#) && post(r#"{"amount":-5}"#));
    for body in [
        r#"{"amount":"50"}"#,
        r#"{"amount":100.01}"#,
        r#"{"amount":1e3}"#,
        r#"{"amount":[50]}"#,
        r#"{"amount":null}"#,
        "{}",
    ] {
        assert!(!post(body), "{body}");
    }
}

#[test]
fn w13_nothing_is_approved_so_nothing_can_change_after_it() {
    let text = format!(
        "{}limits: [{{ name: big, actions: [export], per: principal, records: 1/day, on_exceed: approve }}]\n",
        role(&fields("show: [id]"))
    );
    assert!(says(&text, "not-enforced"));
}

// === questions ===

#[test]
fn q01_a_filter_by_a_hidden_field_is_refused_as_one_that_does_not_exist() {
    let plan = may(SALES);
    let why = |name: &str| ask(&plan, &format!("GET /list?{name}=1")).verdict().replace(name, "_");
    assert_eq!(why("card"), why("nope"));
    assert_eq!(why("phone"), why("nope"), "masked for some");
    assert_eq!(ask(&plan, "GET /list?name=x").verdict(), "ok");
}

#[test]
fn q02_an_order_by_a_hidden_field_is_refused() {
    for order in ["card", "-card", "phone", "name,phone", "name:asc,card:desc", "nope"] {
        assert!(refused(&format!("GET /list?order_by={order}")), "{order}");
    }
}

#[test]
fn q03_groups_and_aggregates_are_refused() {
    for parameter in [
        "group_by=name",
        "group=card",
        "having=count",
        "aggregate[count]=card",
        "sum=amount",
        "distinct=card",
    ] {
        assert!(refused(&format!("GET /list?{parameter}")), "{parameter}");
    }
}

#[test]
fn q04_an_alias_does_not_rename_what_is_hidden() {
    let plan = may(SALES);
    let sent = |fields: &str| ask(&plan, &format!("GET /list?fields={fields}")).sent();
    for fields in ["id,card", "id,card%20as%20name", "id,name:card", "id,card%20name"] {
        assert!(!sent(fields).contains("card"), "{fields}: {}", sent(fields));
    }
    assert!(refused("GET /list?fields=card"));
    assert_eq!(list(&plan, r#"[{"id":1,"owner":"u1","alias":"110"}]"#), r#"[{"id":1,"owner":"u1"}]"#);
}

#[test]
fn q05_functions_are_refused() {
    for order in ["lower(card)", "substr(phone,1,3)", "length(card)", "name||card"] {
        assert!(refused(&format!("GET /list?order_by={order}")), "{order}");
    }
    assert!(refused("GET /list?name(card)=1"));
}

#[test]
fn q06_paths_and_lambdas_are_refused() {
    for query in [
        "order_by=boss.phone",
        "order_by=people.phone",
        "$filter=people/any(p:p/phone%20eq%20'1')",
        "boss.phone=1",
        "people[0].phone=1",
    ] {
        assert!(
            ask(&may(SALES), &format!("GET /list?{}", query.replace('[', "%5B").replace(']', "%5D")))
                .verdict()
                .starts_with("40"),
            "{query}"
        );
    }
}

#[test]
fn q07_options_inside_options_are_judged_or_refused() {
    for query in ["$expand=people($select=phone)", "include=boss", "expand=boss", "deep=people"] {
        assert!(refused(&format!("GET /list?{query}")), "{query}");
    }
    // What a selection reaches by itself is judged in the answer.
    let record = r#"{"id":1,"owner":"u1","boss":{"id":2,"phone":"1"}}"#;
    assert_eq!(list(&may(SALES), &format!("[{record}]")), r#"[{"id":1,"owner":"u1","boss":{"id":2}}]"#);
}

/// Options on related records (`$expand` of OData) are judged by the related resource's own rights, level by level.
#[test]
fn q07_related_records_are_asked_for_under_their_own_rights() {
    let routes = r#"
apis:
  o:
    routes:
      - match: GET /odata/customers
        action: list
        resource: customer
        records: $.value[*]
        query: { dialect: odata, filter: $filter, sort: $orderby, select: $select, expand: $expand, page_size: { param: $top, max: 50 } }
"#;
    let rights = "{ resource: customer, actions: [list], fields: { show: [id, name] } }, \
         { resource: person, actions: [read], records: record.team == 'a', fields: { show: [id, name], hide: [team] } }";
    let seen = plan(&format!("{routes}{}", role(rights)));
    let sent = |query: &str| ask(&seen, &format!("GET /odata/customers?{query}")).sent();
    assert_eq!(
        sent("$expand=boss($select=name,phone;$filter=name%20eq%20'x';$orderby=name;$top=500),people"),
        "/odata/customers?%24expand=boss%28%24select%3Dname%2Cid%2Cteam%3B%24filter%3Dname%20eq%20%27x%27%3B%24orderby%3Dname%3B%24top%3D50%29%2Cpeople"
    );
    for query in [
        "$expand=boss($select=phone)",
        "$expand=boss($filter=phone%20eq%20'1')",
        "$expand=boss($filter=team%20eq%20'a')",
        "$expand=boss($orderby=phone)",
        "$expand=boss($expand=people)",
        "$expand=boss($search=x)",
        "$expand=boss($apply=groupby((phone)))",
        "$expand=boss($compute=phone%20as%20p)",
        "$expand=boss($count=true)",
        "$expand=boss($levels=3)",
        "$expand=people/$count",
        "$expand=*",
        "$expand=phone",
        "$expand=nobody",
        "$expand=boss&$expand=people",
        "$expand=boss;people",
        "expand=boss",
        "$apply=groupby((phone))",
        "$compute=phone%20as%20p",
        "$search=x",
        "$filter=boss/phone%20eq%20'1'",
    ] {
        assert!(sent(query).starts_with('4'), "{query}: {}", sent(query));
    }
    let none =
        plan(&format!("{routes}{}", role("{ resource: customer, actions: [list], fields: { show: [id] } }")));
    // Without a right to `read` persons, the right to list customers says nothing about them.
    assert!(ask(&none, "GET /odata/customers?$expand=boss").sent().starts_with('4'));
    assert!(crate::support::says(
        &routes.replace("$top, max: 50 }", "$top, max: 50 }, pass: [$apply]"),
        "passes-unread"
    ));
    assert!(crate::support::says(&routes.replace("dialect: odata, ", ""), "expand-unread"));
}

#[test]
fn q08_a_search_over_hidden_fields_is_refused() {
    assert!(refused("GET /list?q=138"));
    assert_eq!(ask(&may(&fields("show: ['*']")), "GET /list?q=138").verdict(), "ok");
}

#[test]
fn q09_a_count_is_of_what_the_caller_sees() {
    let plan = may(SALES);
    let counted =
        get(&plan, "GET /list", r#"{"total":500,"count":500,"data":[{"id":1,"owner":"u1"},{"id":2}]}"#);
    assert_eq!(counted, r#"{"total":1,"data":[{"id":1,"owner":"u1"}]}"#);
    assert!(refused("GET /list?count=true"));
}

/// Two answers that differ only in what is hidden come out the same.
#[test]
fn q10_hidden_records_do_not_show_in_what_is_left() {
    let plan = may(SALES);
    let twin = |hidden: &str| {
        get(
            &plan,
            "GET /list",
            &format!(
                r#"{{"page":1,"total":9,"data":[{{"id":1,"owner":"u1","card":"{hidden}"}},{{"id":2,"owner":"{hidden}"}}{}]}}"#,
                if hidden.len() > 3 { r#",{"id":3}"# } else { "" }
            ),
        )
    };
    assert_eq!(twin("abc"), twin(&"z".repeat(300_000)));
}

#[test]
fn q11_errors_of_the_upstream_tell_nothing() {
    let plan = may(SALES);
    let error = |text: &str| ask(&plan, "GET /list?name=x").status(400).answer(text);
    assert_eq!(error(r#"{"message":"unknown column card"}"#), error(r#"{"message":"no such column nope"}"#));
}

#[test]
fn q13_batches_that_are_not_described_whole_are_not_served() {
    let text = format!(
        "{}apis: {{ s: {{ routes: [{{ match: POST /batch, action: list, resource: customer, batch: {{ items: 'body $.requests[*]' }} }}] }} }}\n",
        role(&fields("show: [id]"))
    );
    let served = fieldgate::policy::Loaded::from_texts(
        &[("base.yaml", BASE), ("p.yaml", &text)],
        &fieldgate::policy::MaskKeys::Assumed,
        fieldgate::policy::Purpose::Serve,
    );
    assert!(served.plan.is_none(), "incomplete, it is not served");
}

#[test]
fn q14_remembered_jobs_are_judged_or_not_served() {
    assert!(refused("POST /jobs") && refused("GET /jobs/7/result"));
}

#[test]
fn q15_q16_q17_graphql_has_no_way_through_unless_a_filter_reads_it() {
    let plan = may(SALES);
    let query = r#"{"query":"{ a: customers { name: card } __schema { types { name } } }"}"#;
    assert_eq!(ask(&plan, "POST /graphql").body(query).verdict(), "404 no route matches");
    assert!(!ask(&plan, "PUT /one/1").before(r#"{"owner":"u1"}"#).body(query).passes());
}

#[test]
fn q18_q23_q24_metadata_feeds_and_reports_have_no_route() {
    for path in [
        "/metadata",
        "/$metadata",
        "/schema",
        "/list/delta",
        "/webhooks",
        "/reports/7",
        "/list/views/mine",
        "/list/count",
        "/one/1/card",
        "/one/1/history",
    ] {
        let verdict = ask(&may(SALES), &format!("GET {path}")).verdict();
        assert_eq!(verdict, "404 no route matches", "{path}");
    }
}

const DIALECT: &str = r#"
labels: [public, money]
resources: { customer: { key: F, fields: { public: [F, N], money: [C] } } }
apis:
  k:
    routes:
      - match: POST /q
        action: list
        resource: customer
        rows: { at: "$[*]", columns: { at: body $.keys, split: "," } }
        query: { dialect: kingdee, filter: body $.where, sort: body $.order }
roles: { r: { permissions: [{ resource: customer, actions: [list], fields: { show: [public] } }] } }
bindings: [{ role: r, groups: [g] }]
"#;

#[test]
fn q19_filters_are_read_and_not_searched_for_words() {
    let plan = alone(DIALECT);
    let filter = |text: &str| {
        let body = serde_json::json!({ "keys": "F,N", "where": text }).to_string();
        ask(&plan, "POST /q").body(&body).sent()
    };
    assert!(filter("N = 'C > 5 -- or'").contains("C > 5 -- or"), "a word in a text is no field");
    for text in [
        "N = 'a' or C > 5",
        "N = 'a' /* */ or C > 5",
        "N = 'a'' or C > 5",
        "\"C\" > 5",
        "[C] > 5",
        "n = 'a' -- x",
        "c > 5",
        "Ｃ > 5",
        "N = 'a'; drop",
        "(N = 'a'",
    ] {
        assert!(filter(text).starts_with("40"), "{text} gave {}", filter(text));
    }
}

#[test]
fn q20_the_record_filter_holds_whatever_is_asked() {
    let plan = may(SALES);
    let answer = r#"{"data":[{"id":1,"owner":"u2","region":"west"},{"id":2,"owner":"u1"}]}"#;
    for line in ["GET /list", "GET /list?name=x", "GET /list?order_by=id&limit=200", "GET /list?fields=id"] {
        assert_eq!(get(&plan, line, answer), r#"{"data":[{"id":2,"owner":"u1"}]}"#, "{line}");
    }
    assert!(
        ask(&plan, "GET /list?fields=name").sent().contains("owner"),
        "what decides is asked for as well"
    );
    assert!(refused("GET /list?owner=u2"));
}

#[test]
fn q21_related_records_are_judged_at_any_depth() {
    let plan = plan(&format!(
        "resources: {{ deep: {{ fields: {{ public: [id], contact: [phone] }}, relations: {{ up: deep, 'down[*]': customer }} }} }}\napis: {{ d: {{ routes: [{{ match: GET /deep, action: list, resource: deep, records: '$[*]' }}] }} }}\n{}",
        role(&format!("{SALES}, {{ resource: deep, actions: [list, read], fields: {{ show: [id] }} }}"))
    ));
    let answer = r#"[{"id":1,"phone":"S","up":{"id":2,"phone":"S","up":{"id":3,"phone":"S"}},"down":[{"id":4,"owner":"u1","card":"S"},{"id":5,"owner":"u2"}]}]"#;
    assert_eq!(
        get(&plan, "GET /deep", answer),
        r#"[{"id":1,"up":{"id":2,"up":{"id":3}},"down":[{"id":4,"owner":"u1"}]}]"#
    );
}

#[test]
fn q22_a_clause_nobody_knows_is_not_sent_on() {
    let plan = alone(DIALECT);
    for body in [
        r#"{"keys":"F","where":"N sounds like 'a'"}"#,
        r#"{"keys":"F","where":"exists (select 1)"}"#,
        r#"{"keys":"F","order":"N desc nulls first, rand()"}"#,
        r#"{"keys":"F","having":"1=1"}"#,
        r#"{"keys":"F,count(C)"}"#,
        r#"{"keys":"C as N"}"#,
    ] {
        assert!(!ask(&plan, "POST /q").body(body).passes(), "{body}");
    }
}
