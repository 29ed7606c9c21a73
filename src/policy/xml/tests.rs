use super::*;

fn read(text: &str) -> Result<String, &'static str> {
    Xml::parse(text.as_bytes(), 128).map(|xml| xml.tree().to_json())
}

fn sent(text: &str) -> String {
    let xml = Xml::parse(text.as_bytes(), 128).unwrap();
    let sent = xml.write(&xml.tree());
    assert_eq!(read(&sent), read(text), "{sent}");
    sent.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap().to_owned()
}

const SOAP: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner">
  <soapenv:Body><query><queryString>SELECT Id FROM Account WHERE a &lt; 1</queryString><n x="1">2</n></query></soapenv:Body>
</soapenv:Envelope>"#;

#[test]
fn a_body_is_read_by_local_names_and_written_again() {
    assert_eq!(
        read(SOAP).unwrap(),
        r##"{"Envelope":{"Body":{"query":{"queryString":"SELECT Id FROM Account WHERE a < 1","n":{"@x":"1","#text":"2"}}}}}"##
    );
    assert_eq!(
        sent(SOAP),
        r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner"><soapenv:Body><query><queryString>SELECT Id FROM Account WHERE a &lt; 1</queryString><n x="1">2</n></query></soapenv:Body></soapenv:Envelope>"#
    );
    assert_eq!(
        sent("<a><b/><c></c><d><![CDATA[<x>&]]></d><e>&#65;&quot;王</e></a>"),
        "<a><b></b><c></c><d>&lt;x&gt;&amp;</d><e>A&quot;王</e></a>"
    );
    assert_eq!(sent("<a><b>one\r\ntwo</b></a>"), "<a><b>one\ntwo</b></a>");
}

#[test]
fn what_was_taken_out_is_not_sent() {
    let xml = Xml::parse(b"<a><b>1</b><c x=\"1\" y=\"2\">3</c></a>", 8).unwrap();
    let tree = Tree::parse(br##"{"a":{"c":{"@y":"<","#text":7}}}"##, 8).unwrap();
    assert!(xml.write(&tree).ends_with("<a><c y=\"&lt;\">7</c></a>"));
    assert!(!xml.write(&Tree::Null).contains("<a"));
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    for text in [
        "",
        " ",
        "x",
        "{}",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a/>&lt;",
        "<a/><![CDATA[x]]>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<a>&x;</a>",
        "<a>&nbsp;</a>",
        "<a>&#0;</a>",
        "<a>&#13;</a>",
        "<a>&#x110000;</a>",
        "<a>&#xD800;</a>",
        "<a>& </a>",
        "<a>\u{1}</a>",
        "<a>\u{ffff}</a>",
        "<a>1<!-- -->2</a>",
        "<!-- --><a/>",
        "<a/><!-- -->",
        "<a><?x y?></a>",
        "<?xml version=\"1.1\"?><a/>",
        "<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>",
        "<?xml version=\"1.0\" encoding=\"gbk\"?><a/>",
        " <?xml version=\"1.0\"?><a/>",
        "<a/><?xml version=\"1.0\"?>",
        "<a><b>1</b><b>2</b></a>",
        "<a xmlns:p=\"u\"><b>1</b><p:b>2</p:b></a>",
        "<a><b>1</b>x</a>",
        "<a>x<b>1</b></a>",
        "<a><b>1</b><![CDATA[x]]></a>",
        "<p:a/>",
        "<a p:x=\"1\"/>",
        "<a><b xmlns:p=\"u\"/><p:c/></a>",
        "<a xmlns:p=\"\"><p:b/></a>",
        "<a xmlns:xml=\"u\"/>",
        "<a x=\"1\" x=\"2\"/>",
        "<a xmlns:p=\"u\" x=\"1\" p:x=\"2\"/>",
        "<a x=\"<\"/>",
        "<a x=\"&y;\"/>",
        "<a x=\"1\n2\"/>",
        "<a x=1/>",
        "<a x/>",
        "<a:b:c xmlns:a=\"u\"/>",
        "<1/>",
        "<a><@b/></a>",
        "<#text/>",
        "<a ><b >1</b ></a x>",
    ] {
        assert!(read(text).is_err(), "{text}: {:?}", read(text));
    }
    assert!(Xml::parse(b"<a>\xff</a>", 8).is_err());
}

#[test]
fn every_bound_is_kept() {
    let deep = |levels: usize| format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    assert!(read(&deep(MAX_DEPTH)).is_ok() && read(&deep(MAX_DEPTH + 1)).is_err());
    assert!(Xml::parse(deep(9).as_bytes(), 8).is_err());
    let wide =
        |count: usize| format!("<r>{}</r>", (0..count).map(|n| format!("<a{n}/>")).collect::<String>());
    assert!(read(&wide(1_000)).is_ok() && read(&wide(MAX_ELEMENTS)).is_err());
    assert!(read(&format!("<{}/>", "a".repeat(MAX_NAME_BYTES + 1))).is_err());
}
