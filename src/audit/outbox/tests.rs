use serde_json::json;

use crate::base::Clock as _;
use crate::store::Store;

use super::super::testing::Place;
use super::*;

/// A store with acts that wait, and a log for them.
struct Scene {
    place: Place,
    store: Store,
}

impl Scene {
    async fn new() -> Self {
        Self { place: Place::signed(), store: Store::memory().await.unwrap() }
    }

    async fn act(&self, action: &str, target: &str) -> Act {
        let actor = Actor { user: "root".into(), login: Some("li.na".into()), host: "crm-1".into() };
        let act = Act::new(action, actor, target, self.place.clock.now()).with("principal", "etl");
        self.store.add_acts(std::slice::from_ref(&act)).await.unwrap();
        act
    }

    /// Opens the log, brings acts in, shuts it: how many were found recorded.
    async fn drain(&self) -> Result<u64, OutboxError> {
        let (log, _) = self.place.open();
        let done = self.outbox(&log).drain(self.place.clock.now()).await;
        log.shut().await;
        done
    }

    fn outbox(&self, log: &AuditLog) -> Outbox {
        Outbox::new(self.store.clone(), log.clone(), &self.place.settings.dir)
    }

    fn acts(&self) -> Vec<Value> {
        self.place.records().into_iter().filter(|record| record["type"] == "administration").collect()
    }

    /// What a process leaves behind that ends after it has claimed an act.
    async fn claimed_by(&self, act: &Act, node: &str) {
        let now = self.place.clock.now().as_microsecond();
        assert!(self.store.claim_act(&act.id.to_string(), "", node, now).await.unwrap());
    }

    async fn node(&self) -> String {
        let (log, _) = self.place.open();
        let node = self.outbox(&log).node;
        log.shut().await;
        node
    }
}

#[tokio::test]
async fn an_act_is_recorded_with_who_what_and_when_and_leaves_the_store() {
    let scene = Scene::new().await;
    let mut act = scene.act("keys.create", "abc").await;
    act = Act { id: fresh(), reason: Some("CRM-7\u{202e}".into()), values: vec!["0f".into()], ..act };
    scene.store.add_acts(std::slice::from_ref(&act)).await.unwrap();
    scene.place.clock.advance(Duration::from_secs(3600));
    assert_eq!(scene.drain().await.unwrap(), 2);
    assert_eq!(scene.store.count_acts().await.unwrap(), 0);
    let found = scene.acts();
    assert_eq!(found.len(), 2);
    let wanted = json!({
        "action": "keys.create",
        "actor": { "host": "crm-1", "login": "li.na", "user": "root" },
        "facts": { "principal": "etl" },
        "id": act.id.to_string(),
        "reason": "CRM-7\\u{202e}",
        "recorded": "2026-03-01T09:00:00.000000Z",
        "target": "abc",
        "time": "2026-03-01T08:00:00.000000Z",
        "type": "administration",
        "values": ["0f"],
    });
    assert!(found.contains(&wanted), "{found:#?}");
    let verdict = scene.place.verify();
    assert!(verdict.is_sound() && verdict.acts == 2, "{verdict:?}");
    assert!(verdict.findings.is_empty(), "an act that waited is no clock that went back: {verdict:?}");
}

fn fresh() -> uuid::Uuid {
    crate::base::fresh_id(Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn t07_a_crash_at_any_point_records_an_act_exactly_once() {
    let scene = Scene::new().await;
    let (before, after) = (scene.act("freeze", "a").await, scene.act("freeze", "b").await);
    let node = scene.node().await;
    // One process ended after the claim, another one after the record was written.
    scene.claimed_by(&before, &node).await;
    scene.claimed_by(&after, &node).await;
    let (log, _) = scene.place.open();
    log.act(after.clone()).await.unwrap();
    log.shut().await;
    assert_eq!(scene.acts().len(), 1);

    assert_eq!(scene.drain().await.unwrap(), 2);
    let mut ids: Vec<String> =
        scene.acts().iter().map(|act| act["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let mut wanted = [before.id.to_string(), after.id.to_string()];
    wanted.sort();
    assert_eq!(ids, wanted);
    assert_eq!(scene.drain().await.unwrap(), 0);
    assert_eq!(scene.acts().len(), 2);
    assert!(scene.acts().iter().all(|act| act["facts"]["claimed_before_by"].is_null()));
}

#[tokio::test]
async fn an_act_in_an_older_segment_is_found_too() {
    let mut scene = Scene::new().await;
    scene.place.settings.segment_bytes = 1;
    let act = scene.act("keys.revoke", "abc").await;
    let node = scene.node().await;
    scene.claimed_by(&act, &node).await;
    let (log, _) = scene.place.open();
    log.act(act).await.unwrap();
    log.shut().await;
    scene.place.write(5).await;
    assert!(scene.place.evidence().segments.len() > 3);
    assert_eq!(scene.drain().await.unwrap(), 1);
    assert_eq!(scene.acts().len(), 1);
}

#[tokio::test]
async fn what_another_gateway_has_begun_is_left_to_it_until_it_is_gone_for_good() {
    let scene = Scene::new().await;
    let theirs = scene.act("freeze", "a").await;
    scene.claimed_by(&theirs, "crm-2:/var/lib/fieldgate/audit").await;
    let ours = scene.act("freeze", "b").await;
    assert_eq!(scene.drain().await.unwrap(), 1);
    assert_eq!(scene.acts()[0]["id"], ours.id.to_string());

    scene.place.clock.advance(TAKE_OVER - Duration::from_secs(1));
    assert_eq!(scene.drain().await.unwrap(), 0);
    scene.place.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.drain().await.unwrap(), 1);
    let taken = scene.acts().remove(1);
    assert_eq!(taken["id"], theirs.id.to_string());
    assert_eq!(taken["facts"]["claimed_before_by"], "crm-2:/var/lib/fieldgate/audit");
}

#[tokio::test]
async fn of_two_logs_on_one_store_only_one_gets_an_act() {
    let (scene, mut other) = (Scene::new().await, Scene::new().await);
    other.store = scene.store.clone();
    for n in 0..250 {
        scene.act("keys.create", &n.to_string()).await;
    }
    let (a, b) = tokio::join!(scene.drain(), other.drain());
    assert_eq!(a.unwrap() + b.unwrap(), 250);
    let mut ids: Vec<String> =
        scene.acts().iter().chain(&other.acts()).map(|act| act["id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), scene.acts().len() + other.acts().len()), (250, 250));
}

#[tokio::test]
async fn an_act_that_cannot_be_read_is_recorded_as_such_and_holds_up_nobody() {
    let scene = Scene::new().await;
    scene.store.put_act_text("00000000-0000-7000-8000-000000000001", "{\"action\":7}").await;
    scene.store.put_act_text("not an id", "{}").await;
    scene.act("freeze", "b").await;
    assert_eq!(scene.drain().await.unwrap(), 3);
    let actions: Vec<_> =
        scene.acts().iter().map(|act| (act["action"].clone(), act["target"].clone())).collect();
    assert!(actions.contains(&(json!("unreadable"), json!("not an id"))), "{actions:?}");
    assert!(actions.contains(&(json!("freeze"), json!("b"))), "{actions:?}");
    assert!(scene.place.verify().is_sound());
}

#[tokio::test]
async fn a_log_that_cannot_be_written_leaves_acts_where_they_are() {
    let scene = Scene::new().await;
    scene.act("freeze", "a").await;
    let (log, _) = scene.place.open();
    log.shut().await;
    let drained = scene.outbox(&log).drain(scene.place.clock.now()).await;
    assert!(matches!(drained, Err(OutboxError::Audit(_))));
    assert_eq!(scene.store.acts(10).await.unwrap()[0].claim, "", "nobody has begun");
    assert_eq!(scene.drain().await.unwrap(), 1);
}

#[tokio::test]
async fn an_act_that_is_recorded_twice_shows() {
    let scene = Scene::new().await;
    let act = scene.act("freeze", "a").await;
    let (log, _) = scene.place.open();
    log.act(act.clone()).await.unwrap();
    log.act(act).await.unwrap();
    log.shut().await;
    let findings = scene.place.verify().findings;
    assert!(findings.iter().any(|found| found.message.contains("for the second time")), "{findings:?}");
}
