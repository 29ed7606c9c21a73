//! `fieldgate lsp` as editors use it: the program on two pipes, a session of edits, and what is no session at all.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "the whole file is a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

const RESOURCES: &str = "labels: [public, 联系]\n\
    resources:\n  customer:\n    fields:\n      public: [id, name]\n      联系: [phone, 手机]\n\
    apis:\n  crm:\n    routes:\n      - { match: \"GET /c/{id}\", action: read, resource: customer, records: $ }\n";
const ROLES: &str = "# 销售 😀\nroles:\n  sales:\n    permissions:\n      \
    - { resource: customer, actions: [read], fields: { show: [public, 联系] } }\n\
    bindings:\n  - { role: sales, groups: [g] }\n";

/// A server and what it said.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<Value>,
    requests: u64,
    /// The last complaints about each file.
    complaints: std::collections::BTreeMap<String, Vec<Value>>,
}

impl Session {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
            .args(["lsp", "--stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, said) = channel();
        let mut from = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            while let Some(message) = message(&mut from) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, said, requests: 0, complaints: Default::default() }
    }

    /// One that has been told of an editor.
    fn initialized() -> Self {
        let mut session = Self::start();
        let answer = session.ask(
            "initialize",
            json!({ "processId": null, "rootUri": null, "capabilities": {
            "textDocument": { "publishDiagnostics": { "relatedInformation": true } },
            "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } } }),
        );
        assert_eq!(answer["result"]["capabilities"]["positionEncoding"], "utf-16");
        assert_eq!(answer["result"]["capabilities"]["textDocumentSync"]["change"], 2);
        session.tell("initialized", json!({}));
        let asked = session.next();
        assert_eq!(asked["method"], "client/registerCapability");
        session.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "result": null }));
        session
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("open");
        // The other side may have ended already, which the tests look at.
        let _ = input.write_all(bytes);
        let _ = input.flush();
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_bytes(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Asks; what else is said until the answer comes is kept.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }

    fn next(&mut self) -> Value {
        let message = self.said.recv_timeout(Duration::from_secs(60)).expect("the server says something");
        if message["method"] == "textDocument/publishDiagnostics" {
            let list = message["params"]["diagnostics"].as_array().expect("a list").clone();
            self.complaints.insert(message["params"]["uri"].as_str().expect("a text").to_owned(), list);
        }
        message
    }

    fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Puts a text between two positions, as line and UTF-16 column.
    fn edit(&mut self, uri: &str, from: (usize, usize), to: (usize, usize), text: &str) {
        let at = |(line, character): (usize, usize)| json!({ "line": line, "character": character });
        let change = json!({ "range": { "start": at(from), "end": at(to) }, "text": text });
        let document = json!({ "uri": uri, "version": 2 });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    }

    fn at(&mut self, question: &str, uri: &str, line: usize, character: usize) -> Value {
        let params =
            json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } });
        self.ask(&format!("textDocument/{question}"), params)["result"].clone()
    }

    /// The complaints about a file once all that was sent has been looked at.
    fn complaints(&mut self, uri: &str) -> Vec<(String, u64, u64, u64)> {
        self.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
        let number = |value: &Value| value.as_u64().expect("a number");
        let known = self.complaints.get(uri).cloned().unwrap_or_default();
        known
            .iter()
            .map(|complaint| {
                let (start, end) = (&complaint["range"]["start"], &complaint["range"]["end"]);
                assert_eq!(complaint["source"], "fieldgate");
                let code = complaint["code"].as_str().expect("a code").to_owned();
                (code, number(&start["line"]), number(&start["character"]), number(&end["character"]))
            })
            .collect()
    }

    /// Ends the input and gives the exit status and what was logged.
    fn end(mut self) -> (i32, String) {
        self.input = None;
        let status = self.child.wait().expect("it ends").code().expect("a status");
        let mut log = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut log).expect("text");
        (status, log)
    }
}

fn message(from: &mut impl BufRead) -> Option<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().ok(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length?];
    from.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("the server says JSON"))
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn uri(folder: &TempDir, name: &str) -> String {
    format!("file://{}/{name}", folder.path().display())
}

fn labels(completion: &Value) -> Vec<&str> {
    completion["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["label"].as_str().expect("text"))
        .collect()
}

#[test]
fn an_editor_finds_its_way_through_a_session_of_edits() {
    let folder = folder(&[("data.yaml", RESOURCES), ("roles.yaml", ROLES)]);
    let (roles, data) = (uri(&folder, "roles.yaml"), uri(&folder, "data.yaml"));
    let mut session = Session::initialized();
    session.open(&roles, ROLES);
    assert_eq!(session.complaints(&roles), []);

    // A label is misspelled behind Chinese characters: the place is counted in UTF-16 code units.
    session.edit(&roles, (4, 72), (4, 74), "聯繫😀x");
    let line = ROLES.lines().nth(4).expect("a line").replace("联系", "聯繫😀x");
    let start = line.split("聯繫").next().expect("a part").encode_utf16().count() as u64;
    assert_eq!(session.complaints(&roles), [("matches-nothing".to_owned(), 4, start, start + 5)], "{line}");

    // While it is wrong, what the last good version says about a field stays known.
    let hover = session.at("hover", &roles, 4, 65);
    let says = hover["contents"]["value"].as_str().expect("text");
    assert!(says.contains("Label `public`") && says.contains("last version without mistakes"), "{says}");
    session.edit(&roles, (4, 72), (4, 77), "联系");
    assert_eq!(session.complaints(&roles), []);

    // A permission is being typed: no YAML yet, and everything is offered all the same.
    session.edit(
        &roles,
        (5, 0),
        (5, 0),
        "      - { resource: customer, actions: [read], fields: { show: [\n",
    );
    assert_eq!(session.complaints(&roles).len(), 1);
    let offered = session.at("completion", &roles, 5, 64);
    assert_eq!(labels(&offered), ["public", "联系", "id", "name", "phone", "手机", "*"]);
    session.edit(&roles, (5, 64), (5, 64), "手");
    let offered = session.at("completion", &roles, 5, 65);
    let phone =
        offered["items"].as_array().expect("a list").iter().find(|item| item["label"] == "手机").expect("it");
    let range = &phone["textEdit"]["range"];
    assert_eq!((&range["start"]["character"], &range["end"]["character"]), (&json!(64), &json!(65)));
    session.edit(&roles, (5, 64), (5, 65), "手机] } }");
    // It is whole, and says nothing that the one before does not.
    assert_eq!(session.complaints(&roles), [("shadowed-permission".to_owned(), 5, 55, 69)]);

    // Names lead to where they are defined, also in a file that the editor does not show.
    let role = session.at("definition", &roles, 7, 12);
    assert_eq!((&role[0]["uri"], &role[0]["range"]["start"]["line"]), (&json!(roles), &json!(2)));
    let field = session.at("definition", &roles, 5, 65);
    assert_eq!((&field[0]["uri"], &field[0]["range"]["start"]["line"]), (&json!(data), &json!(5)));
    let who = session.at("hover", &roles, 5, 65)["contents"]["value"].as_str().expect("text").to_owned();
    assert!(who.contains("Field `手机` of `customer`") && who.contains("- `sales` in clear"), "{who}");

    // What is not saved stands for the file: the resource loses its field, and the other file is wrong.
    session.open(&data, RESOURCES);
    session.edit(&data, (5, 16), (5, 20), "");
    assert_eq!(session.complaints(&roles).len(), 1);
    session.edit(&data, (5, 16), (5, 16), ", {");
    session.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": data } }));
    assert_eq!(session.complaints(&roles).len(), 1, "half a line in one file does not make the others wrong");
    session.tell("textDocument/didClose", json!({ "textDocument": { "uri": data } }));
    let left = session.complaints(&roles);
    assert_eq!(left, [("shadowed-permission".to_owned(), 5, 55, 69)], "the file on the disk has it still");

    // A file changes outside the editor.
    fs::write(folder.path().join("data.yaml"), RESOURCES.replace("手机", "fax")).expect("a file");
    session.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert_eq!(session.complaints(&roles).len(), 1);

    assert_eq!(session.ask("shutdown", Value::Null)["result"], Value::Null);
    session.tell("exit", Value::Null);
    assert_eq!(session.end().0, 0);
}

#[test]
fn a_deployment_and_its_policy_are_checked_together() {
    let config = "listeners:\n  public: { address: 127.0.0.1:0 }\napis:\n  crn: { url: http://127.0.0.1:1 }\n\
        secrets:\n  mask-key: { env: KEY }\npolicies: rules\naudit: { dir: audit }\n";
    let masks = "masks:\n  t: { hash: { key: mask-key } }\n";
    let folder = folder(&[
        ("fieldgate.yaml", config),
        ("rules/d.yaml", RESOURCES),
        ("rules/m.yaml", masks),
        ("rules/r.yaml", ROLES),
    ]);
    let (config_uri, masks_uri) = (uri(&folder, "fieldgate.yaml"), uri(&folder, "rules/m.yaml"));
    let mut session = Session::initialized();
    session.open(&masks_uri, masks);
    let codes =
        |found: Vec<(String, u64, u64, u64)>| found.into_iter().map(|(code, ..)| code).collect::<Vec<_>>();
    assert_eq!(codes(session.complaints(&masks_uri)), [""; 0]);
    session.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": masks_uri } }));
    let about_config: Vec<_> =
        session.complaints[&config_uri].iter().map(|complaint| complaint["code"].clone()).collect();
    assert_eq!(
        about_config,
        ["unused-api", "no-upstream"],
        "said although the editor does not show the file"
    );

    let key = session.at("definition", &masks_uri, 1, 24);
    assert_eq!((&key[0]["uri"], &key[0]["range"]["start"]["line"]), (&json!(config_uri), &json!(5)));
    session.edit(&masks_uri, (1, 20), (1, 28), "mosk-key");
    assert_eq!(session.complaints(&masks_uri).len(), 1);

    session.open(&config_uri, config);
    session.edit(&config_uri, (3, 2), (3, 5), "crm");
    session.edit(&config_uri, (5, 2), (5, 10), "mosk-key");
    assert_eq!(codes(session.complaints(&config_uri)), [""; 0]);
    assert_eq!(codes(session.complaints(&masks_uri)), [""; 0]);
    let offered = session.at("completion", &masks_uri, 1, 20);
    assert_eq!(labels(&offered), ["mosk-key"]);
}

#[test]
fn other_peoples_yaml_is_left_alone_and_texts_in_no_file_are_helped_with() {
    let compose = "services:\n  web: { image: x }\nresources: [a.yaml]\nlabels: { a: b }\n";
    let folder = folder(&[("compose.yaml", compose)]);
    let mut session = Session::initialized();
    session.open(&uri(&folder, "compose.yaml"), compose);
    assert_eq!(session.complaints(&uri(&folder, "compose.yaml")), []);
    let text = format!("{RESOURCES}{ROLES}").replace("- { role: sales", "- { role: sale");
    session.open("untitled:Untitled-1", &text);
    let found = session.complaints("untitled:Untitled-1");
    assert_eq!(found.iter().filter(|(code, ..)| code == "unknown-role").count(), 1, "{found:?}");
    session.open("file://elsewhere/x", "a: b");
    session.open("untitled:\u{0}", "- [");
    assert_eq!(session.at("hover", "file:///never/opened.yaml", 0, 0), Value::Null);
}

#[test]
fn what_cannot_be_asked_now_is_refused_and_the_session_goes_on() {
    let code = |answer: &Value| answer["error"]["code"].as_i64().unwrap_or_default();
    let mut session = Session::start();
    assert_eq!(code(&session.ask("textDocument/hover", json!({}))), -32002);
    assert_eq!(code(&session.ask("shutdown", Value::Null)), -32002);
    session.tell("textDocument/didOpen", json!({ "textDocument": { "uri": "untitled:x", "text": "" } }));
    session.ask("initialize", json!({}));
    assert_eq!(code(&session.ask("initialize", json!({}))), -32600);
    assert_eq!(code(&session.ask("textDocument/rename", json!({}))), -32601);
    assert_eq!(code(&session.ask("$/ask", json!({}))), -32601);
    assert_eq!(code(&session.ask("textDocument/hover", json!({ "textDocument": 7 }))), -32602);
    session.open("untitled:x", "roles: {}");
    for position in [json!(null), json!({ "line": -1, "character": 0 }), json!({ "line": 0 }), json!([])] {
        let params = json!({ "textDocument": { "uri": "untitled:x" }, "position": position });
        assert_eq!(code(&session.ask("textDocument/completion", params)), -32602);
    }
    for odd in
        ["{", "[]", "7", "{\"id\":{}}", "\u{0}", "{\"jsonrpc\":\"2.0\",\"id\":1}", &"[".repeat(100_000)]
    {
        session.send_bytes(format!("Content-Length: {}\r\n\r\n{odd}", odd.len()).as_bytes());
        let refused = session.next();
        assert!(
            refused["id"].is_null() && [-32700, -32600].contains(&code(&refused)),
            "{odd:.40}: {refused}"
        );
    }
    for (method, params) in [
        (
            "textDocument/didChange",
            json!({ "textDocument": { "uri": "untitled:x" }, "contentChanges": [
            { "range": { "start": { "line": 9, "character": 9 }, "end": { "line": 0, "character": 1 } }, "text": "é" },
            { "range": 3, "text": "x" }, { "text": 3 }, 7 ] }),
        ),
        (
            "textDocument/didChange",
            json!({ "textDocument": { "uri": "untitled:never" }, "contentChanges": 1 }),
        ),
        ("textDocument/didOpen", json!({ "textDocument": { "uri": 1, "text": [] } })),
        ("textDocument/didClose", json!({ "textDocument": { "uri": "untitled:never" } })),
        ("$/cancelRequest", json!({ "id": 1 })),
        ("workspace/didChangeConfiguration", json!([])),
    ] {
        session.tell(method, params);
    }
    let symbols =
        session.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": "untitled:x" } }));
    assert_eq!(symbols["result"][0]["name"], "ré", "ends that are swapped are put right: {symbols}");
    session.ask("shutdown", Value::Null);
    assert_eq!(code(&session.ask("textDocument/hover", json!({}))), -32600);
    session.tell("exit", Value::Null);
    assert_eq!(session.end().0, 0);
}

#[test]
fn a_session_that_is_not_shut_down_or_is_no_session_ends_with_a_failure() {
    for bytes in [
        "",
        "Content-Length: x\r\n\r\n",
        "Content-Length: 18446744073709551615\r\n\r\n{}",
        "Content-Length: 1000000000000\r\n\r\n{}",
        "Content-Length: 3\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: 10\r\n\r\n{}",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &"A".repeat(1 << 20),
    ] {
        let mut session = Session::initialized();
        session.send_bytes(bytes.as_bytes());
        let (status, log) = session.end();
        assert!(status == 1 && log.starts_with("fieldgate lsp: "), "{status} {log} after {bytes:.60}");
    }
    let mut session = Session::initialized();
    session.tell("exit", Value::Null);
    assert_eq!(session.end().0, 1, "`exit` without `shutdown`");
}

#[test]
fn every_place_of_the_demo_can_be_asked_about() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/demo");
    let mut session = Session::initialized();
    for name in ["data.yaml", "masks.yaml", "roles.yaml", "tests.yaml", "fieldgate.yaml"] {
        let text = fs::read_to_string(policies.join(name)).expect("a file");
        let uri = format!("file://{}/{name}", policies.display());
        session.open(&uri, &text);
        assert_eq!(
            session.complaints(&uri).iter().filter(|(code, ..)| code != "public-route").count(),
            0,
            "{name}"
        );
        let mut hovers = 0;
        for (line, written) in text.lines().enumerate().step_by(3) {
            for character in (0..written.encode_utf16().count()).step_by(7) {
                hovers += usize::from(!session.at("hover", &uri, line, character).is_null());
                session.at("completion", &uri, line, character);
                session.at("definition", &uri, line, character);
            }
        }
        assert!(hovers > 3 || name == "fieldgate.yaml", "{name}: {hovers}");
    }
}
