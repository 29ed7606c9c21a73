//! `fieldgate explain --decision`, asked about requests that a gateway served and wrote into its audit.

use std::path::Path;
use std::process::Command;

use crate::support::gateway::{FINANCE, MANAGER, NOBODY, POLICY, SALES, Setup, records};
use crate::support::upstream::{Upstream, json};

const LINES: &str = "{\"id\":1,\"name\":\"Ada\",\"odd\":1}\n{\"id\":2,\"phone\":\"13800138000\"}\n";

/// What it says, and how it ends.
fn explain(dir: &Path, id: &str, more: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["explain", "--config"])
        .arg(dir.join("fieldgate.yaml"))
        .args(["--decision", id])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    (done.status.code().unwrap(), text)
}

fn line<'t>(text: &'t str, holds: &str) -> &'t str {
    text.lines().find(|line| line.contains(holds)).unwrap_or_else(|| panic!("{holds}\n{text}"))
}

#[tokio::test]
async fn a_decision_that_was_served_is_explained_from_the_log() {
    let upstream = Upstream::start(|received| {
        json(match received.target.as_str() {
            "/customers/2" => r#"{"data":{"id":2,"owner_id":"xu.lan","phone":"13900139000"}}"#,
            _ => r#"{"data":{"id":1,"name":"Ada","owner_id":"li.na","phone":"13800138000","credit_limit":5,"odd":1}}"#,
        })
    })
    .await;
    let gateway = Setup::before(&upstream).start().await;
    let ask = async |target: &str, who: &str| {
        let answer = gateway.get(target, &[who]).await;
        (answer.status, answer.header("x-request-id").unwrap().to_owned())
    };
    let (seen, masked) = ask("/customers/1", FINANCE).await;
    let (hidden, others) = ask("/customers/2", SALES).await;
    let (asked, filtered) = ask("/customers?phone=13800138000", FINANCE).await;
    let (denied, exported) = ask("/export", SALES).await;
    let (unbound, nobody) = ask("/customers/1", NOBODY).await;
    let (unknown, stranger) = ask("/customers/1", "X-Nothing: 1").await;
    assert_eq!((seen, hidden, asked, denied, unbound, unknown), (200, 404, 403, 403, 403, 401));
    let dir = gateway.ended().await;
    let place = format!("({}:", dir.path().join("policies/crm.yaml").display());

    let (code, text) = explain(dir.path(), &masked, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(line(&text, "recorded ").ends_with("GET /customers/1"), "{text}");
    assert!(line(&text, "by wu.min").ends_with("roles: finance"), "{text}");
    assert!(line(&text, "masked: ").contains("customer.phone"), "{text}");
    assert!(text.contains("the policy is the one that decided then"), "{text}");
    let phone = line(&text, "customer.phone  ");
    assert!(
        phone.contains("masked as `phone` by roles.finance.permissions[0]") && phone.contains(&place),
        "{text}"
    );
    assert!(line(&text, "customer.email").contains("hidden: no permission releases it"), "{text}");

    // The id of the decision finds the same request.
    let all = records(&dir.path().join("audit"));
    let decision = all[0]["decision"].as_str().unwrap();
    assert_eq!(
        (all[0]["id"].as_str().unwrap(), explain(dir.path(), decision, &[])),
        (&*masked, (code, text))
    );

    let (code, text) = explain(dir.path(), &others, &[]);
    assert!(code == 0 && text.contains("where record.owner_id == principal.id"), "{text}");
    let (code, text) = explain(dir.path(), &filtered, &[]);
    assert_eq!(code, 0, "{text}");
    line(&text, "refused with status 403: query parameter `phone` cannot be used as given");
    line(&text, "a parameter is listed under `query` of the route");
    let (code, text) = explain(dir.path(), &exported, &[]);
    assert_eq!(code, 3, "{text}");
    line(&text, "denied by default: none of the caller's roles has a permission for `export` on `customer`");
    line(&text, "roles.manager.permissions[0]");
    let (code, text) = explain(dir.path(), &nobody, &[]);
    assert!(code == 3 && text.contains("denied by default"), "{text}");
    let (code, text) = explain(dir.path(), &stranger, &[]);
    assert!(code == 0 && text.contains("there is nothing to decide again"), "{text}");
    let (code, text) = explain(dir.path(), "01a20155-0000-0000-0000-000000000000", &[]);
    assert!(code == 1 && text.contains("has no request or decision"), "{text}");
    for (_, text) in [masked, others, filtered, exported].map(|id| explain(dir.path(), &id, &[])) {
        assert!(!text.contains("138") && !text.contains("Ada"), "values are not in the audit: {text}");
    }

    let changed = POLICY.replace("mask: { phone: phone } }", "mask: { phone: stars } }");
    std::fs::write(dir.path().join("policies/crm.yaml"), changed).unwrap();
    let id = all[0]["id"].as_str().unwrap();
    let (code, text) = explain(dir.path(), id, &[]);
    assert!(code == 0 && text.contains("THE POLICY HAS CHANGED SINCE"), "{text}");
    assert!(line(&text, "customer.phone  ").contains("masked as `stars`"), "{text}");
}

#[tokio::test]
async fn the_lines_of_an_answer_are_explained_with_the_decision() {
    let ndjson = |_: &_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            LINES.len()
        );
        vec![crate::support::upstream::Act::Send((head + LINES).into_bytes())]
    };
    let gateway = Setup::before(&Upstream::start(ndjson).await).start().await;
    let answer = gateway.get("/export", &[MANAGER]).await;
    assert_eq!(answer.text(), "{\"id\":1,\"name\":\"Ada\"}\n{\"id\":2,\"phone\":\"13800138000\"}\n");
    let id = answer.header("x-request-id").unwrap().to_owned();
    let dir = gateway.ended().await;
    let file = dir.path().join("answer.ndjson");
    std::fs::write(&file, LINES).unwrap();
    let (code, text) = explain(dir.path(), &id, &["--answer", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("line 1 `customer`: released") && text.contains("line 2 `customer`: released"),
        "{text}"
    );
    assert!(line(&text, "    odd ").contains("hidden by default: nobody labelled it"), "{text}");
}
