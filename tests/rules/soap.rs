//! Requests in XML.

use fieldgate::policy::Plan;

use crate::support::{Ask, ask, plan, role, says};

const ROUTES: &str = r#"
apis:
  soap:
    routes:
      - match: POST /soap
        when: { body Envelope/Body/query/kind: [all, some] }
        action: list
        resource: { at: body Envelope/Body/query/type/@name, map: { Customer: customer, Person: person } }
        body_as: xml
        records: "$[*]"
        query:
          sort: body Envelope/Body/query/order
          page_size: { at: body Envelope/Body/query/size, max: 50 }
          pass: [body Envelope/Header, body Envelope/Body/query/type/#text]
      - { match: POST /new, action: create, resource: customer, body: Envelope/Body/create, body_as: xml, records: $.data }
"#;

fn soap() -> Plan {
    plan(&format!(
        "{ROUTES}{}",
        role(
            "{ resource: customer, actions: [list], fields: { show: [id, name] } }, \
             { resource: customer, actions: [create], fields: { show: [name], edit: [name] } }"
        )
    ))
}

fn asking<'p>(plan: &'p Plan, query: &str) -> Ask<'p> {
    let text = format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"e\"><s:Header><x:id xmlns:x=\"u\">7</x:id></s:Header><s:Body><query xmlns=\"q\">{query}</query></s:Body></s:Envelope>"
    );
    ask(plan, "POST /soap").typed("text/xml; charset=utf-8", &text)
}

const TYPE: &str = "<type name=\"Customer\"/>";

/// A part of an XML body is found by local names, judged, and sent as it was judged.
#[test]
fn parts_of_xml_bodies_are_judged_and_written_again() {
    let plan = soap();
    let sent = asking(&plan, &format!("<kind>all</kind>{TYPE}<order>name</order> <size>999</size>")).sent();
    assert_eq!(
        sent,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"e\"><s:Header><x:id xmlns:x=\"u\">7</x:id></s:Header><s:Body><query xmlns=\"q\"><kind>all</kind><type name=\"Customer\"></type><order>name</order><size>50</size></query></s:Body></s:Envelope>"
    );
    let answer = r#"[{"id":1,"phone":"1"}]"#;
    assert_eq!(asking(&plan, &format!("<kind>some</kind>{TYPE}")).answer(answer), r#"[{"id":1}]"#);
    for (query, said) in [
        (format!("<kind>none</kind>{TYPE}"), "404"),
        (format!("<kind x=\"1\">all</kind>{TYPE}"), "404"),
        (TYPE.to_owned(), "404"),
        ("<kind>all</kind><type name=\"Other\"/>".to_owned(), "404"),
        ("<kind>all</kind><type name=\"Person\"/>".to_owned(), "403"),
        (format!("<kind>all</kind>{TYPE}<order>phone</order>"), "403"),
        (format!("<kind>all</kind>{TYPE}<order x=\"1\">name</order>"), "403"),
        (format!("<kind>all</kind>{TYPE}<where>phone = 1</where>"), "403"),
        (format!("<kind>all</kind>{TYPE}<size>0</size>"), "403"),
        (format!("<kind>all</kind><kind>none</kind>{TYPE}"), "400"),
        (format!("<kind>all</kind>{TYPE}<order>name</order><o:order xmlns:o=\"x\">phone</o:order>"), "400"),
        (format!("<kind>al<!-- x -->l</kind>{TYPE}"), "400"),
        (format!("<kind>&all;</kind>{TYPE}"), "400"),
        (format!("<x:kind>all</x:kind>{TYPE}"), "400"),
    ] {
        let verdict = asking(&plan, &query).verdict();
        assert!(verdict.starts_with(said), "{query}: {verdict}");
    }
    assert_eq!(asking(&plan, &format!("<kind>&#97;<![CDATA[ll]]></kind>{TYPE}")).verdict(), "ok");
    let doctype = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Envelope><Body><query><kind>&x;</kind></query></Body></Envelope>";
    assert!(ask(&plan, "POST /soap").typed("text/xml", doctype).verdict().starts_with("400"));
    let json = r#"{"Envelope":{"Body":{"query":{"kind":"all","type":{"@name":"Customer"}}}}}"#;
    assert!(ask(&plan, "POST /soap").body(json).verdict().starts_with('4'));
    assert!(ask(&plan, "POST /soap").untyped(json).verdict().starts_with('4'));
    assert!(ask(&plan, "POST /soap").typed("text/xml", json).verdict().starts_with("400"));
}

#[test]
fn what_an_xml_body_sets_must_be_editable() {
    let plan = soap();
    let new = |fields: &str| {
        let text = format!("<Envelope><Body><create>{fields}</create></Body></Envelope>");
        ask(&plan, "POST /new").typed("application/soap+xml", &text).sent()
    };
    assert!(
        new("<name>n &amp; m</name>").ends_with("<create><name>n &amp; m</name></create></Body></Envelope>")
    );
    for fields in ["<name>n</name><phone>1</phone>", "<n:name xmlns:n=\"u\">n</n:name><card/>"] {
        assert!(new(fields).starts_with("403"), "{fields}: {}", new(fields));
    }
}

#[test]
fn an_element_path_without_xml_is_said() {
    assert!(says(&ROUTES.replace("        body_as: xml\n", ""), "element-path"));
    for odd in ["Envelope//Body", "/Envelope", "@x", "Envelope/@x/y", "Envelope/*", "a b"] {
        let text = ROUTES.replace("body Envelope/Body/query/kind", &format!("body {odd}"));
        assert!(says(&text, "bad-path"), "{odd}: {:?}", crate::support::said(&text));
    }
}
