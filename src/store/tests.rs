use std::path::Path;

use super::postgres::Cluster;
use super::{Act, BudgetRow, Config, FreezeRow, KeyRow, Location, SeenRecord, Store, StoreError};
use crate::base::Secret;

fn at(path: &Path) -> Config {
    Config::new(Location::Sqlite(path.to_owned()))
}

fn key(id: &str) -> KeyRow {
    KeyRow {
        id: id.to_owned(),
        hash: vec![0, 1, 2, 255],
        name: "nightly 导出".to_owned(),
        details: r#"{"principal":"li.na"}"#.to_owned(),
        created_at: 1_700_000_000_000_000,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        revision: 0,
    }
}

async fn keeps_keys(store: &Store) {
    store.add_key(&key("a"), &Act::for_tests()).await.unwrap();
    store.add_key(&KeyRow { expires_at: Some(5), ..key("b") }, &Act::for_tests()).await.unwrap();
    assert!(
        matches!(store.add_key(&key("a"), &Act::for_tests()).await, Err(StoreError::Exists(id)) if id == "a")
    );

    let all = store.keys_since(0).await.unwrap();
    assert_eq!(all.iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(all[0], KeyRow { revision: all[0].revision, ..key("a") });
    assert_eq!(all[1].expires_at, Some(5));

    let newest = all[1].revision;
    assert!(store.keys_since(newest).await.unwrap().is_empty());
    assert!(store.revoke_key("a", 77, &Act::for_tests()).await.unwrap());
    assert!(
        !store.revoke_key("a", 78, &Act::for_tests()).await.unwrap(),
        "a second revocation changes nothing"
    );
    assert!(!store.revoke_key("nobody", 78, &Act::for_tests()).await.unwrap());
    let changed = store.keys_since(newest).await.unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!((changed[0].id.as_str(), changed[0].revoked_at), ("a", Some(77)));

    store.touch_keys(&[("b".to_owned(), 9)]).await.unwrap();
    store.touch_keys(&[("b".to_owned(), 8)]).await.unwrap();
    let b = store.keys_since(0).await.unwrap().into_iter().find(|k| k.id == "b").unwrap();
    assert_eq!(b.last_used_at, Some(9), "an older time does not replace a newer one");
}

async fn keeps_settings(store: &Store) {
    assert_eq!(store.setting("head").await.unwrap(), None);
    store.set_setting("head", "1").await.unwrap();
    store.set_setting("head", "2").await.unwrap();
    assert_eq!(store.setting("head").await.unwrap().as_deref(), Some("2"));
    assert_eq!(store.setting_or("head", "3").await.unwrap(), "2");
    assert_eq!(store.setting_or("fresh", "3").await.unwrap(), "3");
}

async fn swaps_budgets_only_when_unchanged(store: &Store) {
    assert_eq!(store.budget("l", "s").await.unwrap(), BudgetRow::default());
    assert!(store.swap_budget("l", "s", 0, "7:1", 100, &[]).await.unwrap());
    assert!(!store.swap_budget("l", "s", 0, "7:9", 100, &[]).await.unwrap(), "the row is there already");
    let seen = store.budget("l", "s").await.unwrap();
    assert_eq!(seen.slots, "7:1");
    assert!(store.swap_budget("l", "s", seen.version, "7:2", 100, &[]).await.unwrap());
    assert!(
        !store.swap_budget("l", "s", seen.version, "7:3", 100, &[]).await.unwrap(),
        "somebody was faster"
    );
    assert_eq!(store.budget("l", "s").await.unwrap().slots, "7:2");

    let old = store.budget("l", "s").await.unwrap().version;
    store.prune_budgets(101).await.unwrap();
    assert_eq!(store.budget("l", "s").await.unwrap(), BudgetRow::default());
    assert!(store.swap_budget("l", "s", 0, "8:1", 200, &[]).await.unwrap());
    assert!(store.budget("l", "s").await.unwrap().version > old, "a new row never repeats an old version");
}

async fn remembers_given_records_with_the_budget(store: &Store) {
    let remember = async |records: &[SeenRecord]| {
        let version = store.budget("d", "s").await.unwrap().version;
        assert!(store.swap_budget("d", "s", version, "1:1", 100, records).await.unwrap());
    };
    let records: Vec<SeenRecord> = (0..450).map(|n| SeenRecord { record: n, slot: n % 3 }).collect();
    remember(&records).await;
    remember(&[SeenRecord { record: i64::MIN, slot: 9 }]).await;
    remember(&[SeenRecord { record: 1, slot: 0 }]).await;
    remember(&[SeenRecord { record: 0, slot: 5 }]).await;

    let lost = [SeenRecord { record: 7777, slot: 9 }];
    assert!(!store.swap_budget("d", "s", 0, "1:1", 100, &lost).await.unwrap());
    assert!(!store.swap_budget("d", "s", 12345, "1:1", 100, &lost).await.unwrap());

    assert_eq!(store.seen_records("d", "s", -1, 10_000).await.unwrap().len(), 451, "both or neither");
    let late = store.seen_records("d", "s", 2, 10_000).await.unwrap();
    assert_eq!(
        late,
        [SeenRecord { record: i64::MIN, slot: 9 }, SeenRecord { record: 0, slot: 5 }],
        "moved forward, never back"
    );
    assert_eq!(store.seen_records("d", "s", -1, 2).await.unwrap(), late, "the latest win the places");
    assert!(store.seen_records("d", "other", -1, 10).await.unwrap().is_empty());
    store.prune_budgets(101).await.unwrap();
    assert!(store.seen_records("d", "s", -1, 10).await.unwrap().is_empty());
}

async fn puts_an_act_beside_each_change_and_none_beside_what_was_not_changed(store: &Store) {
    async fn told(store: &Store) -> Vec<String> {
        let acts = store.acts(100).await.unwrap();
        let told = acts.iter().map(|waiting| waiting.act.as_ref().unwrap().target.clone()).collect();
        for waiting in acts {
            store.act_recorded(&waiting.id).await.unwrap();
            assert!(!store.act_waits(&waiting.id).await.unwrap());
        }
        told
    }
    let act = |target: &str| Act { target: target.to_owned(), ..Act::for_tests() };
    told(store).await;
    let row = |subject: &str| FreezeRow {
        issuer: "i".into(),
        subject: subject.into(),
        since: 7,
        cause: "command".into(),
        reason: "离职".into(),
    };

    store.add_key(&key("acts"), &act("added")).await.unwrap();
    store.add_key(&key("acts"), &act("added again")).await.unwrap_err();
    assert!(store.replace_key("acts", 1 << 60, &key("acts2"), &act("replaced")).await.unwrap());
    assert!(!store.replace_key("nobody", 1 << 60, &key("acts3"), &act("replaced nobody")).await.unwrap());
    assert!(store.revoke_key("acts", 5, &act("revoked")).await.unwrap());
    assert!(!store.revoke_key("acts", 6, &act("revoked again")).await.unwrap());
    let revision = store.freezes_revision().await.unwrap();
    assert!(store.freeze(&row("a"), &act("frozen")).await.unwrap());
    assert!(!store.freeze(&row("a"), &act("frozen again")).await.unwrap());
    assert_eq!(store.freezes().await.unwrap(), [row("a")]);
    assert!(store.freezes_revision().await.unwrap() > revision);
    assert!(!store.unfreeze("", "a", &act("lifted for another issuer")).await.unwrap());
    assert!(store.unfreeze("i", "a", &act("lifted")).await.unwrap());
    assert!(!store.unfreeze("i", "a", &act("lifted again")).await.unwrap());
    assert_eq!(store.freezes().await.unwrap(), []);
    assert!(store.freezes_revision().await.unwrap() > revision + 1);
    let mut found = told(store).await;
    found.sort();
    assert_eq!(found, ["added", "frozen", "lifted", "replaced", "revoked"]);
    store.revoke_key("acts2", 6, &act("")).await.unwrap();
    told(store).await;
}

async fn everything(store: &Store) {
    keeps_keys(store).await;
    puts_an_act_beside_each_change_and_none_beside_what_was_not_changed(store).await;
    keeps_settings(store).await;
    swaps_budgets_only_when_unchanged(store).await;
    remembers_given_records_with_the_budget(store).await;
    racing_swaps_have_one_winner_each(store).await;
}

/// Sixteen tasks add one to the same budget, each until it has succeeded ten times.
async fn racing_swaps_have_one_winner_each(store: &Store) {
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while done < 10 {
                    let seen = store.budget("race", "s").await.unwrap();
                    let next = (seen.slots.parse::<u32>().unwrap_or(0) + 1).to_string();
                    if store.swap_budget("race", "s", seen.version, &next, 1 << 40, &[]).await.unwrap() {
                        done += 1;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.budget("race", "s").await.unwrap().slots, "160");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_in_memory() {
    let mut config = Config::new(Location::Memory);
    // Sixteen tasks share one connection here, on a machine that may be busy.
    config.operation_timeout = std::time::Duration::from_secs(60);
    everything(&Store::open(&config).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_in_a_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = at(&folder.path().join("state.db"));
    config.operation_timeout = std::time::Duration::from_secs(60);
    everything(&Store::open(&config).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_postgresql() {
    let Some(cluster) = Cluster::start() else { return };
    let mut config = Config::new(Location::Postgres(Secret::new(cluster.url())));
    config.operation_timeout = std::time::Duration::from_secs(60);
    everything(&Store::open(&config).await.unwrap()).await;
    let again = Store::open(&config).await.unwrap();
    assert_eq!(again.setting("head").await.unwrap().as_deref(), Some("2"));
}

#[tokio::test]
async fn more_keys_than_a_gateway_can_hold_are_refused() {
    let store = Store::memory().await.unwrap();
    store
        .run(async |at| {
            sqlx::query(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) \
                 INSERT INTO api_keys (id, hash, name, details, created_at, revision) \
                 SELECT 'k' || i, x'00', 'n', '{}', 0, i FROM n",
            )
            .execute(&at.pool)
            .await
        })
        .await
        .unwrap();
    store.add_key(&key("last"), &Act::for_tests()).await.unwrap();
    assert!(matches!(
        store.add_key(&key("more"), &Act::for_tests()).await,
        Err(StoreError::Full(100_000, _))
    ));
}

#[tokio::test]
async fn nothing_is_changed_while_too_much_waits_for_the_audit_but_a_freeze() {
    let store = Store::memory().await.unwrap();
    let fill = sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) \
                INSERT INTO acts (id, content, claim, claimed_at) SELECT 'x' || i, '{}', '', 0 FROM n",
    );
    store.run(async |at| fill.execute(&at.pool).await).await.unwrap();
    store.add_key(&key("last"), &Act::for_tests()).await.unwrap();
    assert!(matches!(store.add_key(&key("more"), &Act::for_tests()).await, Err(StoreError::Full(10_000, _))));
    assert!(matches!(store.revoke_key("last", 1, &Act::for_tests()).await, Err(StoreError::Full(..))));
    assert!(matches!(store.add_acts(&[Act::for_tests()]).await, Err(StoreError::Full(..))));
    let keys = store.keys_since(0).await.unwrap();
    assert!(keys.len() == 1 && keys[0].revoked_at.is_none(), "{keys:?}");
    let row = FreezeRow {
        issuer: String::new(),
        subject: "a".into(),
        since: 7,
        cause: "limit x".into(),
        reason: String::new(),
    };
    assert!(store.freeze(&row, &Act::for_tests()).await.unwrap(), "nobody goes unfrozen for want of room");
    assert!(matches!(store.unfreeze("", "a", &Act::for_tests()).await, Err(StoreError::Full(..))));
    assert_eq!(store.freezes().await.unwrap(), [row]);
}

#[tokio::test]
async fn two_memory_stores_share_nothing() {
    let (a, b) = (Store::memory().await.unwrap(), Store::memory().await.unwrap());
    a.set_setting("x", "1").await.unwrap();
    assert_eq!(b.setting("x").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_in_memory_outlives_callers_who_hang_up() {
    let store = Store::memory().await.unwrap();
    store.set_setting("x", "1").await.unwrap();
    for _ in 0..50 {
        let mut hanging_up = Box::pin(store.set_setting("y", "2"));
        assert!(futures_util::poll!(&mut hanging_up).is_pending());
        drop(hanging_up);
    }
    assert_eq!(store.setting("x").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test]
async fn a_file_survives_a_restart_and_serves_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space 100%?#.db");
    let first = Store::open(&at(&path)).await.unwrap();
    first.set_setting("x", "1").await.unwrap();
    let beside = Store::open(&at(&path)).await.unwrap();
    beside.add_key(&key("a"), &Act::for_tests()).await.unwrap();
    assert_eq!(first.keys_since(0).await.unwrap().len(), 1, "what another process wrote is seen");
    first.close().await;
    beside.close().await;

    let again = Store::open(&at(&path)).await.unwrap();
    assert_eq!(again.setting("x").await.unwrap().as_deref(), Some("1"));
    assert!(path.exists(), "the file has the name that was asked for");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&at(&path)).await.unwrap();
    store.set_setting("x", "1").await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}

#[tokio::test]
async fn a_closed_store_fails_instead_of_hanging() {
    let store = Store::memory().await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_held_connection_ends_in_an_error_in_time() {
    let mut store = Store::memory().await.unwrap();
    let _held = store.connections.pool.acquire().await.unwrap();
    store.operation_timeout = std::time::Duration::from_millis(20);
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_) | StoreError::Timeout(_))));
}

#[tokio::test]
async fn a_broken_place_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Store::open(&at(&folder.path().join("no/such/folder.db"))).await.unwrap_err();
    assert!(missing.to_string().contains("no/such/folder.db"), "{missing}");

    for url in ["mysql://u:hunter2@h/d", "postgres://u:hunter2@127.0.0.1:1/d", "postgres://u:hunter2@:x/d"] {
        let mut config = Config::new(Location::Postgres(Secret::new(url.to_owned())));
        config.operation_timeout = std::time::Duration::from_secs(1);
        let error = Store::open(&config).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!error.to_string().contains('\n'));
    }
}
