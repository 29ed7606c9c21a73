//! Windows that are kept in the store: restarts, crashes, outages, clocks, several gateways.

use super::*;
use crate::base::Secret;
use crate::store::postgres::Cluster;
use crate::store::{self, Location};

fn reading(amount: u64) -> LimitRule {
    rule("reading", LimitUnit::Records, amount, DAY)
}

async fn gateway(store: &Store, clock: &ManualClock) -> Scene {
    Scene::at(Config::default(), Some(store.clone()), clock.clone()).await
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_second(NOW).unwrap())
}

#[tokio::test]
async fn e01_a_long_window_survives_a_restart_on_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = store::Config::new(Location::Sqlite(folder.path().join("state.db")));
    let clock = clock();
    for round in 0..5 {
        let store = Store::open(&config).await.unwrap();
        let scene = gateway(&store, &clock).await;
        let ticket = scene.admit(&li_na(), &[&reading(100)]).await.unwrap();
        assert_eq!(left(&ticket), 100 - round * 20);
        ticket.charge(&records(20)).await.unwrap();
        drop(ticket);
        scene.limits.close().await;
        store.close().await;
        clock.advance(Duration::from_secs(3600));
    }
    let store = Store::open(&config).await.unwrap();
    let scene = gateway(&store, &clock).await;
    assert!(scene.admit(&li_na(), &[&reading(100)]).await.is_err());
    clock.advance(Duration::from_secs(19 * 3600 + 24 * 60));
    assert_eq!(left(&scene.admit(&li_na(), &[&reading(100)]).await.unwrap()), 20, "a day after the first");
}

#[tokio::test]
async fn e01_a_kill_gives_nothing_back_and_loses_at_most_a_block() {
    let store = Store::memory().await.unwrap();
    let clock = clock();
    let mut given = 0;
    for crashes in 1..=10 {
        // Dropped without a word, as `kill -9` does it.
        let scene = gateway(&store, &clock).await;
        let ticket = scene.admit(&li_na(), &[&reading(6400)]).await.unwrap();
        for _ in 0..7 {
            ticket.charge(&records(3)).await.unwrap();
            given += 3;
        }
        drop(ticket);
        drop(scene);
        let after = gateway(&store, &clock).await;
        let left = left(&after.admit(&li_na(), &[&reading(6400)]).await.unwrap());
        assert!(left <= 6400 - given, "nothing came back");
        assert!(left + given + crashes * 100 >= 6400, "no more than a block is lost");
    }
}

#[tokio::test]
async fn what_is_reserved_and_not_used_comes_back() {
    let store = Store::memory().await.unwrap();
    let clock = clock();
    let (a, b) = (gateway(&store, &clock).await, gateway(&store, &clock).await);
    let rule = reading(6400);
    a.take(&li_na(), &rule, &records(1)).await.unwrap();
    let of_b = b.admit(&li_na(), &[&rule]).await.unwrap();
    assert_eq!(left(&of_b), 6300, "a block is taken");
    a.advance(30);
    a.limits.tick().await;
    b.advance(2);
    of_b.charge(&records(6399)).await.unwrap();
    assert!(of_b.charge(&records(1)).await.is_err());
    assert!(a.take(&li_na(), &rule, &records(1)).await.is_err());
}

#[tokio::test]
async fn e01_short_windows_are_not_kept() {
    let store = Store::memory().await.unwrap();
    let clock = clock();
    let short = rule("short", LimitUnit::Records, 10, MINUTE);
    gateway(&store, &clock).await.take(&li_na(), &short, &records(10)).await.unwrap();
    assert!(gateway(&store, &clock).await.take(&li_na(), &short, &records(10)).await.is_ok());
}

#[tokio::test]
async fn e01_requests_over_a_long_window_are_kept_too() {
    let store = Store::memory().await.unwrap();
    let clock = clock();
    let daily = rule("daily", LimitUnit::Requests, 5, DAY);
    for _ in 0..5 {
        gateway(&store, &clock).await.admit(&li_na(), &[&daily]).await.unwrap();
    }
    assert!(gateway(&store, &clock).await.admit(&li_na(), &[&daily]).await.is_err());
}

#[tokio::test]
async fn different_records_survive_a_restart() {
    let store = Store::memory().await.unwrap();
    let clock = clock();
    let rule = rule("reading", LimitUnit::DistinctRecords, 3, DAY);
    let names = keys(&["a", "b"]);
    let both = Charge { records: 2, keys: &names, bytes: 0, part: 0 };
    let scene = gateway(&store, &clock).await;
    scene.take(&li_na(), &rule, &both).await.unwrap();
    scene.limits.close().await;

    let scene = gateway(&store, &clock).await;
    scene.take(&li_na(), &rule, &both).await.unwrap();
    let ticket = scene.admit(&li_na(), &[&rule]).await.unwrap();
    assert_eq!(left(&ticket), 1, "they were known");
    let rows =
        store.seen_records("distinct principal 86400000000 reading", "principal 4:keys li.na", 0, 9).await;
    assert_eq!(rows.unwrap().len(), 2);
}

#[tokio::test]
async fn e09_a_clock_that_is_set_back_gives_nothing_back() {
    #[derive(Clone)]
    struct Adjusted {
        steady: ManualClock,
        wall: Arc<StdMutex<Timestamp>>,
    }
    impl Clock for Adjusted {
        fn now(&self) -> Timestamp {
            *self.wall.lock().unwrap()
        }
        fn monotonic(&self) -> Duration {
            self.steady.monotonic()
        }
    }
    let wall = Arc::new(StdMutex::new(Timestamp::from_second(NOW).unwrap()));
    let clock = Adjusted { steady: clock(), wall: Arc::clone(&wall) };
    let set = |seconds: i64| *wall.lock().unwrap() = Timestamp::from_second(seconds).unwrap();
    let store = Store::memory().await.unwrap();
    let open = async || {
        let limits = Limits::open(Config::default(), Some(store.clone()), Arc::new(clock.clone()), |_| ());
        Scene { clock: clock.steady.clone(), limits: limits.await.unwrap(), told: Arc::default() }
    };
    let scene = open().await;
    scene.take(&li_na(), &reading(10), &records(10)).await.unwrap();
    // While it runs, neither forward nor back.
    for at in [NOW + 10 * 86_400, NOW - 10 * 86_400, 0] {
        set(at);
        assert!(scene.admit(&li_na(), &[&reading(10)]).await.is_err());
    }
    // After a restart with the clock set back: what lies ahead still counts.
    set(NOW - 10 * 86_400);
    let scene = open().await;
    assert!(scene.admit(&li_na(), &[&reading(10)]).await.is_err());
    scene.advance(86_400 * 2);
    assert!(scene.admit(&li_na(), &[&reading(10)]).await.is_err());
}

#[tokio::test]
async fn e10_exports_stop_while_the_store_is_out_of_reach() {
    let store = Store::memory().await.unwrap();
    let scene = gateway(&store, &clock()).await;
    let rule = reading(6400);
    let running = scene.admit_for("export", &li_na(), &[&rule]).await.unwrap();
    running.charge(&records(1)).await.unwrap();
    store.close().await;

    let refused = scene.admit_for("export", &wang(), &[&rule]).await.err().unwrap();
    assert!(refused.unavailable);
    assert_eq!(refused.to_string(), "limit `reading` cannot be counted");
    running.charge(&records(99)).await.unwrap();
    let cut = running.charge(&records(1)).await.err().unwrap();
    assert!(cut.unavailable, "what was reserved before is used, then the stream is cut");
}

#[tokio::test]
async fn e10_reads_go_on_as_the_rule_says_and_are_counted_afterwards() {
    let store = Store::memory().await.unwrap();
    let scene = gateway(&store, &clock()).await;
    store.close().await;
    let open = reading(100);
    let closed = LimitRule { fail_closed: true, ..rule("closed", LimitUnit::Records, 100, DAY) };
    assert!(scene.admit(&li_na(), &[&closed]).await.err().unwrap().unavailable);
    let ticket = scene.admit(&li_na(), &[&open]).await.unwrap();
    ticket.charge(&records(99)).await.unwrap();
    let limited = ticket.charge(&records(2)).await.err().unwrap();
    assert!(!limited.unavailable, "it is still counted, and still a limit");
    ticket.charge(&records(1)).await.unwrap();
    assert!(scene.admit(&li_na(), &[&open]).await.is_err());
    let warned = LimitRule { on_exceed: OnExceed::Warn, ..closed };
    assert!(scene.admit(&li_na(), &[&warned]).await.is_ok(), "what only warns stops nobody");
}

#[tokio::test]
async fn e10_what_was_counted_without_the_store_is_written_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&patient(Location::Sqlite(folder.path().join("a.db")))).await.unwrap();
    let scene = gateway(&store, &clock()).await;
    let ticket = scene.admit(&li_na(), &[&reading(100)]).await.unwrap();
    // Somebody else holds the file's write lock: nothing can be reserved.
    let lock = store.write_lock().await;
    ticket.charge(&records(60)).await.unwrap();
    drop(lock);
    assert_eq!(left(&ticket), 40);
    scene.advance(2);
    scene.limits.tick().await;

    let after = gateway(&store, &scene.clock).await;
    assert_eq!(left(&after.admit(&li_na(), &[&reading(100)]).await.unwrap()), 40);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_left_alone_for_a_while() {
    let store = Store::memory().await.unwrap();
    let scene = gateway(&store, &clock()).await;
    let ticket = scene.admit(&li_na(), &[&reading(100)]).await.unwrap();
    store.close().await;
    ticket.charge(&records(1)).await.unwrap();
    let ledger = scene.limits.0.ledger.as_ref().unwrap();
    let account = Account { limit: "x".into(), subject: "y".into() };
    let now = scene.limits.0.now();
    assert!(ledger.read(&account, now).await.is_err());
    assert!(ledger.is_resting(now) && !ledger.is_resting(now + 1_000_000));
}

#[tokio::test]
async fn a_counter_that_cannot_be_read_is_not_taken_for_empty() {
    let store = Store::memory().await.unwrap();
    let scene = gateway(&store, &clock()).await;
    scene.take(&li_na(), &reading(100), &records(1)).await.unwrap();
    let (limit, subject) = ("records principal 86400000000 reading", "principal 4:keys li.na");
    let version = store.budget(limit, subject).await.unwrap().version;
    assert!(store.swap_budget(limit, subject, version, "garbage", i64::MAX, &[]).await.unwrap());
    let scene = gateway(&store, &scene.clock).await;
    let refused = scene.admit_for("export", &li_na(), &[&reading(100)]).await.err().unwrap();
    assert!(refused.unavailable);
}

#[tokio::test]
async fn what_no_window_holds_is_removed_from_the_store() {
    let store = Store::memory().await.unwrap();
    let clock = clock();
    let scene = gateway(&store, &clock).await;
    scene.take(&li_na(), &reading(100), &records(1)).await.unwrap();
    let (limit, subject) = ("records principal 86400000000 reading", "principal 4:keys li.na");
    scene.advance(86_400);
    scene.limits.tick().await;
    assert_ne!(store.budget(limit, subject).await.unwrap().version, 0);
    scene.advance(3_000);
    scene.limits.tick().await;
    assert_eq!(store.budget(limit, subject).await.unwrap().version, 0);
    assert!(scene.limits.0.all().is_empty());
}

/// Four gateways on one store, sixteen tasks on each, all for one person.
async fn race(store: &Store, amount: u64) -> u64 {
    let clock = clock();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let scene = Arc::new(gateway(store, &clock).await);
        for _ in 0..16 {
            let scene = Arc::clone(&scene);
            let rule = LimitRule { fail_closed: true, ..reading(amount) };
            tasks.push(tokio::spawn(async move {
                let mut taken = 0;
                let Ok(ticket) = scene.admit(&li_na(), &[&rule]).await else { return 0 };
                for round in 0..20 {
                    let charge = records(1 + round % 7);
                    if ticket.charge(&charge).await.is_ok() {
                        taken += charge.records;
                    }
                }
                taken
            }));
        }
    }
    let mut taken = 0;
    for task in tasks {
        taken += task.await.unwrap();
    }
    taken
}

fn patient(location: Location) -> store::Config {
    // The machine may be busy; nothing here depends on how long it takes.
    store::Config { operation_timeout: Duration::from_secs(60), ..store::Config::new(location) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_gateways_that_share_a_file_never_give_more_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&patient(Location::Sqlite(folder.path().join("a.db")))).await.unwrap();
    let taken = race(&store, 2000).await;
    assert!(taken <= 2000 && taken > 1500, "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_gateways_that_share_postgresql_never_give_more_than_there_is() {
    let Some(cluster) = Cluster::start() else { return };
    let store = Store::open(&patient(Location::Postgres(Secret::new(cluster.url())))).await.unwrap();
    let taken = race(&store, 2000).await;
    assert!(taken <= 2000 && taken > 1500, "{taken}");
    let after = gateway(&store, &clock()).await;
    let left = after.admit(&wang(), &[&reading(2000)]).await.map(|ticket| left(&ticket)).unwrap();
    assert_eq!(left, 2000, "somebody else");
}
