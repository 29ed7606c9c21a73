//! Rules and policies in shadow: told of everywhere, and without effect.

use fieldgate::app::Why;

use crate::support::gateway::{FINANCE, Gateway, MANAGER, NOBODY, POLICY, SALES, Setup};
use crate::support::upstream::{Upstream, json};

const LIST: &str =
    r#"{"data":[{"id":1,"owner_id":"li.na","name":"Ada","phone":"13800138000","credit_limit":5}]}"#;

async fn crm() -> Upstream {
    Upstream::start(|_| json(LIST)).await
}

async fn start(setup: Setup, next: &str) -> Gateway {
    setup
        .policies("{ dir: policies, shadow: next }")
        .start_with(|dir| {
            std::fs::create_dir(dir.join("next")).expect("a directory");
            std::fs::write(dir.join("next/crm.yaml"), next).expect("a file");
        })
        .await
}

#[tokio::test]
async fn a_policy_in_shadow_says_whom_it_would_refuse_and_what_would_vanish() {
    let upstream = crm().await;
    let next = POLICY
        .replace(
            "actions: [list, read], fields: { show: [public, financial]",
            "actions: [read], fields: { show: [public, financial]",
        )
        .replace("show: [public, contact, financial], edit", "show: [public, contact], edit");
    assert_ne!(next, POLICY);
    let gateway = start(Setup::before(&upstream), &next).await;
    let plain = Setup::before(&upstream).start().await;
    for who in [SALES, FINANCE, MANAGER, NOBODY] {
        let (shadowed, alone) =
            (gateway.get("/customers", &[who]).await, plain.get("/customers", &[who]).await);
        assert_eq!(shadowed.status, alone.status, "it has no effect");
        if shadowed.status == 200 {
            assert_eq!(shadowed.text(), alone.text());
        }
    }
    let counted = async |effect: &str| gateway.metric("fieldgate_shadow_decisions_total", effect).await;
    assert_eq!(counted("\"refuse\"").await, 1.0);
    assert_eq!(counted("\"change\"").await, 1.0);
    assert_eq!(counted("\"same\"").await, 2.0);
    assert_eq!(gateway.metric("fieldgate_shadow_fields_total", "credit_limit").await, 1.0);
    assert_eq!(gateway.metric("fieldgate_shadow_policy_info", "version").await, 1.0);
    let records = gateway.end().await;
    let of = |who: &str| {
        let mine = records.iter().find(|record| record["principal"]["id"] == who).expect("a record");
        mine["shadow"].clone()
    };
    assert!(of("li.na").is_null() && of("nemo").is_null());
    assert_eq!(of("wu.min")["policy"]["effect"], "refuse");
    assert_eq!(of("wu.min")["policy"]["reason"], "no permission for `list` on `customer`");
    assert_eq!(of("xu.lan")["policy"]["effect"], "change");
    assert_eq!(of("xu.lan")["policy"]["fields"][0], "customer.credit_limit: shown -> hidden");
    assert!(!serde_json::to_string(&records).expect("JSON").contains("13800138000"));
}

#[tokio::test]
async fn a_rule_in_shadow_is_told_of_beside_the_policy_that_has_it() {
    let upstream = crm().await;
    let rules =
        "guards:\n  - { name: office, on: { actions: [list] }, require: principal.mfa, mode: shadow }\n";
    let gateway = Setup::before(&upstream).policy(rules).start().await;
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200);
    assert_eq!(gateway.get("/customers", &[]).await.status, 401, "nobody is asked about");
    let records = gateway.end().await;
    let told = &records.iter().find(|record| record["status"] == 200).expect("a record")["shadow"];
    assert_eq!(told["rules"]["effect"], "refuse");
    assert_eq!(told["rules"]["rules"][0], "guards.office");
    assert!(told["policy"].is_null());
}

#[tokio::test]
async fn a_broken_policy_in_shadow_is_in_nobodys_way() {
    let upstream = crm().await;
    let gateway = start(Setup::before(&upstream), "roles: { sales: {{{").await;
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200);
    gateway.write_policy(&POLICY.replace("show: [public, contact], edit: [phone, tags]", "show: [public]"));
    gateway.reloader.reload(Why::Asked).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
    let answer = gateway.get("/customers", &[SALES]).await;
    assert!(answer.status == 200 && !answer.text().contains("13800138000"));
    assert_eq!(gateway.metric("fieldgate_shadow_policy_info", "version").await, 0.0);
    let next = POLICY.replace("actions: [list, read, update]", "actions: [read]");
    std::fs::write(gateway.dir().join("next/crm.yaml"), next).expect("a file");
    gateway.reloader.reload(Why::Asked).await.unwrap_or_else(|report| panic!("{}", report.to_text(false)));
    assert_eq!(gateway.get("/customers", &[SALES]).await.status, 200);
    assert_eq!(gateway.metric("fieldgate_shadow_decisions_total", "\"refuse\"").await, 1.0);
    assert_eq!(gateway.metric("fieldgate_shadow_policy_info", "version").await, 1.0);
}
