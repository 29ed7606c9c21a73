mod durable;
mod model;

use std::sync::Mutex as StdMutex;

use jiff::Timestamp;

use super::*;
use crate::base::ManualClock;

const NOW: i64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn rule(name: &str, unit: LimitUnit, amount: u64, window: Duration) -> LimitRule {
    LimitRule {
        name: name.into(),
        per: Per::Principal,
        roles: Arc::default(),
        unit,
        amount,
        window,
        burst: None,
        warn_at: None,
        on_exceed: OnExceed::Refuse,
        fail_closed: false,
    }
}

fn li_na() -> Caller<'static> {
    Caller { principal: Some(("keys", "li.na")), key: Some("k1"), ip: "10.0.0.1".parse().unwrap() }
}

fn wang() -> Caller<'static> {
    Caller { principal: Some(("keys", "wang")), key: Some("k2"), ip: "10.0.0.2".parse().unwrap() }
}

fn records(records: u64) -> Charge<'static> {
    Charge { records, ..Charge::default() }
}

struct Scene {
    clock: ManualClock,
    limits: Limits,
    told: Arc<StdMutex<Vec<Notice>>>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Config::default(), None).await
    }

    async fn with(config: Config, store: Option<Store>) -> Self {
        Self::at(config, store, ManualClock::at(Timestamp::from_second(NOW).unwrap())).await
    }

    async fn at(config: Config, store: Option<Store>, clock: ManualClock) -> Self {
        let told = Arc::new(StdMutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let watcher = move |notice: &Notice| teller.lock().unwrap().push(notice.clone());
        let limits = Limits::open(config, store, Arc::new(clock.clone()), watcher).await.unwrap();
        Self { clock, limits, told }
    }

    async fn admit(&self, caller: &Caller<'_>, rules: &[&LimitRule]) -> Result<Ticket, Limited> {
        self.admit_for("list", caller, rules).await
    }

    async fn admit_for(
        &self,
        action: &str,
        caller: &Caller<'_>,
        rules: &[&LimitRule],
    ) -> Result<Ticket, Limited> {
        let rules: Vec<Arc<LimitRule>> = rules.iter().map(|&rule| Arc::new(rule.clone())).collect();
        let roles = ["sales".into()];
        let scope = Scope { resource: "customer".into(), roles: &roles, export: action == "export" };
        self.limits.admit_under(&rules, caller, scope).await
    }

    /// Admits and charges in one.
    async fn take(&self, caller: &Caller<'_>, rule: &LimitRule, charge: &Charge<'_>) -> Result<(), Limited> {
        self.admit(caller, &[rule]).await?.charge(charge).await
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn keys(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|&name| name.into()).collect()
}

fn left(ticket: &Ticket) -> u64 {
    ticket.remaining()[0].remaining
}

#[tokio::test]
async fn e13_every_request_counts_whatever_comes_of_it() {
    let scene = Scene::new().await;
    let clicks = rule("clicks", LimitUnit::Requests, 3, MINUTE);
    for _ in 0..3 {
        drop(scene.admit(&li_na(), &[&clicks]).await.unwrap());
    }
    let limited = scene.admit(&li_na(), &[&clicks]).await.err().unwrap();
    assert_eq!(&*limited.limit, "clicks");
    assert!(!limited.unavailable);
    assert_eq!(limited.retry_after, Duration::from_secs(61));
    assert_eq!(limited.remaining[0].remaining, 0);
    assert!(scene.admit(&wang(), &[&clicks]).await.is_ok(), "somebody else is not limited by it");

    scene.clock.advance(limited.retry_after - Duration::from_micros(1));
    assert!(scene.admit(&li_na(), &[&clicks]).await.is_err());
    scene.clock.advance(Duration::from_micros(1));
    assert!(scene.admit(&li_na(), &[&clicks]).await.is_ok(), "after the time that was named");
}

#[tokio::test]
async fn a_burst_limits_how_many_come_at_once() {
    let scene = Scene::new().await;
    let clicks = LimitRule { burst: Some(2), ..rule("clicks", LimitUnit::Requests, 60, MINUTE) };
    assert!(scene.admit(&li_na(), &[&clicks]).await.is_ok());
    assert!(scene.admit(&li_na(), &[&clicks]).await.is_ok());
    let limited = scene.admit(&li_na(), &[&clicks]).await.err().unwrap();
    assert_eq!(limited.retry_after, Duration::from_secs(1));
    scene.clock.advance(Duration::from_secs(1));
    assert!(scene.admit(&li_na(), &[&clicks]).await.is_ok());
    assert!(scene.admit(&li_na(), &[&clicks]).await.is_err());

    let warned = LimitRule { on_exceed: OnExceed::Warn, ..clicks };
    assert!(scene.admit(&li_na(), &[&warned]).await.is_ok());
    let never = rule("never", LimitUnit::Requests, 0, MINUTE);
    assert!(scene.admit(&li_na(), &[&never]).await.is_err());
}

#[tokio::test]
async fn a_burst_does_not_add_to_the_limit() {
    let scene = Scene::new().await;
    let clicks = LimitRule { burst: Some(10), ..rule("clicks", LimitUnit::Requests, 60, MINUTE) };
    let mut passed = 0;
    for _ in 0..600 {
        passed += u32::from(scene.admit(&li_na(), &[&clicks]).await.is_ok());
        scene.clock.advance(Duration::from_millis(99));
    }
    assert_eq!(passed, 60, "in a stretch shorter than a minute");
}

#[tokio::test]
async fn subjects_at_rest_are_forgotten() {
    let scene = Scene::new().await;
    let clicks =
        LimitRule { burst: Some(2), per: Per::Ip, ..rule("clicks", LimitUnit::Requests, 60, MINUTE) };
    for n in 0..200 {
        let caller = Caller { ip: format!("10.0.1.{n}").parse().unwrap(), ..li_na() };
        scene.admit(&caller, &[&clicks]).await.unwrap();
    }
    let shared = &scene.limits.0;
    assert_eq!((shared.rates.len(), shared.all().len()), (200, 200));
    scene.advance(20);
    scene.limits.tick().await;
    assert_eq!((shared.rates.len(), shared.all().len()), (0, 200), "cells are as new, counters are not");
    scene.advance(62);
    scene.limits.tick().await;
    assert_eq!(shared.all().len(), 0);
}

#[tokio::test]
async fn more_subjects_than_the_bound_are_refused() {
    let scene = Scene::with(Config { max_counters: 2, ..Config::default() }, None).await;
    let caller = |n: u8| Caller { ip: [10, 0, 0, n].into(), ..li_na() };
    for burst in [None, Some(5)] {
        let clicks =
            LimitRule { burst, per: Per::Ip, ..rule(&format!("{burst:?}"), LimitUnit::Requests, 9, MINUTE) };
        for n in 0..2 {
            scene.admit(&caller(n), &[&clicks]).await.unwrap();
        }
        let limited = scene.admit(&caller(2), &[&clicks]).await.err().unwrap();
        assert!(limited.unavailable);
        assert!(scene.admit(&caller(1), &[&clicks]).await.is_ok(), "who is known goes on");
        scene.advance(100);
        scene.limits.tick().await;
        assert!(scene.admit(&caller(2), &[&clicks]).await.is_ok(), "when the others have gone");
        scene.advance(100);
        scene.limits.tick().await;
    }
}

#[tokio::test]
async fn e04_records_count_however_they_are_split_into_pages() {
    let scene = Scene::new().await;
    let reading = rule("reading", LimitUnit::Records, 100, MINUTE);
    let one_page = scene.admit(&li_na(), &[&reading]).await.unwrap();
    one_page.charge(&records(60)).await.unwrap();
    for _ in 0..40 {
        scene.take(&li_na(), &reading, &records(1)).await.unwrap();
    }
    assert!(one_page.charge(&records(1)).await.is_err(), "also for a stream that runs already");
    let limited = scene.admit(&li_na(), &[&reading]).await.err().unwrap();
    assert_eq!(&*limited.limit, "reading", "refused at the door");
    one_page.charge(&records(0)).await.unwrap();
}

#[tokio::test]
async fn e05_e06_e07_what_goes_out_counts_once_and_only_what_goes_out() {
    let scene = Scene::new().await;
    let reading = rule("reading", LimitUnit::Records, 100, MINUTE);
    let cut_off = scene.admit(&li_na(), &[&reading]).await.unwrap();
    cut_off.charge(&records(30)).await.unwrap();
    drop(cut_off);
    let again = scene.admit(&li_na(), &[&reading]).await.unwrap();
    assert_eq!(left(&again), 70, "the delivered part counts, the rest does not");
    again.charge(&records(30)).await.unwrap();
    assert_eq!(left(&again), 40, "the same page again counts again");
    assert!(again.charge(&records(41)).await.is_err());
    assert_eq!(left(&again), 40, "what was refused is not charged");
    again.charge(&records(40)).await.unwrap();
}

#[tokio::test]
async fn a_charge_is_taken_by_all_limits_or_by_none() {
    for durable_from in [Duration::ZERO, DAY] {
        let store = Store::memory().await.unwrap();
        let scene = Scene::with(Config { durable_from, ..Config::default() }, Some(store)).await;
        let wide = rule("wide", LimitUnit::Records, 1000, MINUTE);
        let bytes = rule("bytes", LimitUnit::Bytes, 100, MINUTE);
        let different = rule("different", LimitUnit::DistinctRecords, 50, MINUTE);
        let ticket = scene.admit(&li_na(), &[&wide, &different, &bytes]).await.unwrap();
        let names = keys(&["a", "b"]);
        for _ in 0..3 {
            let limited =
                ticket.charge(&Charge { records: 2, keys: &names, bytes: 101, part: 0 }).await.err().unwrap();
            assert_eq!(&*limited.limit, "bytes");
        }
        let left: Vec<u64> = ticket.remaining().iter().map(|one| one.remaining).collect();
        assert_eq!(left, [1000, 50, 100]);
        ticket.charge(&Charge { records: 2, keys: &names, bytes: 100, part: 0 }).await.unwrap();
        let left: Vec<u64> = ticket.remaining().iter().map(|one| one.remaining).collect();
        assert_eq!(left, [998, 48, 0]);
    }
}

#[tokio::test]
async fn different_records_count_once_in_a_window() {
    let scene = Scene::new().await;
    let reading = rule("reading", LimitUnit::DistinctRecords, 3, MINUTE);
    let ticket = scene.admit(&li_na(), &[&reading]).await.unwrap();
    let give = async |names: &[&str]| {
        let names = keys(names);
        ticket.charge(&Charge { records: names.len() as u64, keys: &names, bytes: 0, part: 0 }).await.is_ok()
    };
    assert!(give(&["a", "b", "a"]).await);
    assert_eq!(left(&ticket), 1);
    assert!(give(&["a"]).await && give(&["b", "a"]).await);
    assert_eq!(left(&ticket), 1);
    assert!(!give(&["c", "d"]).await, "one too many, and neither is given");
    assert!(give(&["c"]).await);
    assert!(!give(&["d"]).await && give(&["a", "b", "c"]).await, "those given before may be given again");
    assert!(scene.admit(&li_na(), &[&reading]).await.is_ok(), "so nobody is refused at the door");

    // Thirty seconds on, `a` is given again: it counts from then on.
    scene.advance(30);
    assert!(give(&["a"]).await);
    scene.advance(31);
    assert!(give(&["d", "e"]).await, "`b` and `c` have gone");
    assert!(!give(&["b"]).await && give(&["a"]).await, "`a` has not");
}

#[tokio::test]
async fn e05_a_record_without_a_known_key_counts_as_a_different_one() {
    let scene = Scene::new().await;
    let reading = rule("reading", LimitUnit::DistinctRecords, 3, MINUTE);
    let ticket = scene.admit(&li_na(), &[&reading]).await.unwrap();
    let names = keys(&["a"]);
    ticket.charge(&Charge { records: 2, keys: &names, bytes: 0, part: 0 }).await.unwrap();
    assert_eq!(left(&ticket), 1);
    assert!(ticket.charge(&Charge { records: 3, keys: &names, bytes: 0, part: 0 }).await.is_err());
    ticket.charge(&Charge { records: 2, keys: &names, bytes: 0, part: 0 }).await.unwrap();
    assert_eq!(left(&ticket), 0);
}

#[tokio::test]
async fn records_beyond_those_remembered_count_each_time() {
    let scene = Scene::new().await;
    let reading = rule("reading", LimitUnit::DistinctRecords, 1_000_000, MINUTE);
    let ticket = scene.admit(&li_na(), &[&reading]).await.unwrap();
    let names: Vec<Box<str>> = (0..100_001).map(|n| n.to_string().into()).collect();
    ticket.charge(&Charge { records: 100_001, keys: &names, bytes: 0, part: 0 }).await.unwrap();
    ticket.charge(&Charge { records: 100_001, keys: &names, bytes: 0, part: 0 }).await.unwrap();
    assert_eq!(left(&ticket), 1_000_000 - 100_001 - 1, "one of them is not remembered");
}

#[tokio::test]
async fn the_same_key_of_another_resource_is_another_record() {
    let scene = Scene::new().await;
    let (a, b) = (scene.limits.0.record_hash("customer", "1"), scene.limits.0.record_hash("order", "1"));
    assert_ne!(a, b);
    assert_ne!(scene.limits.0.record_hash("c", "d1"), scene.limits.0.record_hash("cd", "1"));
}

#[tokio::test]
async fn places_are_free_again_when_a_ticket_is_dropped() {
    let scene = Scene::new().await;
    let one = rule("exports", LimitUnit::Concurrent, 1, Duration::ZERO);
    let running = scene.admit(&li_na(), &[&one]).await.unwrap();
    let limited = scene.admit(&li_na(), &[&one]).await.err().unwrap();
    assert_eq!((limited.retry_after, limited.unavailable), (Duration::from_secs(1), false));
    assert!(scene.admit(&wang(), &[&one]).await.is_ok());
    drop(running);
    let again = scene.admit(&li_na(), &[&one]).await.unwrap();
    assert_eq!(left(&again), 0);
    // A request refused by a later limit leaves no place taken.
    let none = rule("none", LimitUnit::Records, 0, MINUTE);
    drop(again);
    assert!(scene.admit(&li_na(), &[&one, &none]).await.is_err());
    assert!(scene.admit(&li_na(), &[&one]).await.is_ok());
    assert_eq!(scene.limits.0.running.len(), 0);
}

#[tokio::test]
async fn a_warning_lets_everything_pass_and_is_told_once() {
    let scene = Scene::new().await;
    let reading = LimitRule {
        on_exceed: OnExceed::Warn,
        warn_at: Some(0.8),
        ..rule("reading", LimitUnit::Records, 10, MINUTE)
    };
    let ticket = scene.admit(&li_na(), &[&reading]).await.unwrap();
    for _ in 0..20 {
        ticket.charge(&records(1)).await.unwrap();
    }
    let told = ticket.notices();
    let short: Vec<_> = told.iter().map(|notice| (notice.used, notice.used_up)).collect();
    assert_eq!(short, [(8, false), (10, true)]);
    assert_eq!(*scene.told.lock().unwrap(), told);
    assert!(ticket.notices().is_empty());

    scene.advance(61);
    ticket.charge(&records(9)).await.unwrap();
    let told = ticket.notices();
    assert_eq!(told.iter().map(|n| (n.used, n.used_up)).collect::<Vec<_>>(), [(9, false)], "told anew");
}

#[tokio::test]
async fn running_more_than_a_warning_allows_is_told() {
    let scene = Scene::new().await;
    let one =
        LimitRule { on_exceed: OnExceed::Warn, ..rule("exports", LimitUnit::Concurrent, 1, Duration::ZERO) };
    let first = scene.admit(&li_na(), &[&one]).await.unwrap();
    let second = scene.admit(&li_na(), &[&one]).await.unwrap();
    assert!(first.notices().is_empty());
    assert_eq!(second.notices()[0].used, 2);
}

#[tokio::test]
async fn e02_e08_limits_count_whom_they_say() {
    let scene = Scene::new().await;
    let colleague = Caller { key: Some("k9"), ..wang() };
    let elsewhere = Caller { key: Some("k8"), ip: "10.9.9.9".parse().unwrap(), ..li_na() };
    for (per, same, different) in [
        (Per::Principal, elsewhere, Some(colleague)),
        (Per::Key, li_na(), Some(elsewhere)),
        (Per::Ip, Caller { ip: "10.0.0.1".parse().unwrap(), ..wang() }, Some(wang())),
        (Per::Role, wang(), None),
        (Per::All, wang(), None),
    ] {
        let reading = LimitRule { per, ..rule(&format!("{per:?}"), LimitUnit::Records, 1, MINUTE) };
        scene.take(&li_na(), &reading, &records(1)).await.unwrap();
        assert!(scene.take(&same, &reading, &records(1)).await.is_err(), "{per:?}");
        if let Some(different) = different {
            assert!(scene.take(&different, &reading, &records(1)).await.is_ok(), "{per:?}");
        }
    }
}

#[tokio::test]
async fn a_changed_amount_goes_on_with_what_was_used() {
    let scene = Scene::new().await;
    let before = rule("reading", LimitUnit::Records, 100, MINUTE);
    scene.take(&li_na(), &before, &records(40)).await.unwrap();
    let tighter = LimitRule { amount: 50, ..before.clone() };
    let ticket = scene.admit(&li_na(), &[&tighter]).await.unwrap();
    assert_eq!(left(&ticket), 10);
    assert!(ticket.charge(&records(11)).await.is_err());
    let tight = LimitRule { amount: 40, ..before.clone() };
    assert!(scene.admit(&li_na(), &[&tight]).await.is_err());
    assert_eq!(left(&scene.admit(&li_na(), &[&before]).await.unwrap()), 60);
    let other_window = LimitRule { window: 2 * MINUTE, ..before };
    assert_eq!(left(&scene.admit(&li_na(), &[&other_window]).await.unwrap()), 100);
}

#[tokio::test]
async fn rules_of_one_name_do_not_wait_for_each_other() {
    let scene = Scene::new().await;
    let (a, b) = (rule("x", LimitUnit::Records, 10, MINUTE), rule("x", LimitUnit::Records, 5, MINUTE));
    let ticket = scene.admit(&li_na(), &[&a, &b]).await.unwrap();
    assert_eq!(left(&ticket), 5, "the tighter one counts");
    ticket.charge(&records(5)).await.unwrap();
    assert!(ticket.charge(&records(1)).await.is_err());
}

#[tokio::test]
async fn the_fields_tell_what_remains() {
    let scene = Scene::new().await;
    let reading = rule("daily reading", LimitUnit::Records, 300, MINUTE);
    let one = rule("exports", LimitUnit::Concurrent, 2, Duration::ZERO);
    let ticket = scene.admit(&li_na(), &[&reading, &one]).await.unwrap();
    ticket.charge(&records(20)).await.unwrap();
    scene.advance(1);
    let (left, policy) = rate_limit_fields(&ticket.remaining()).unwrap();
    assert_eq!(left, "\"daily reading\";r=280;t=60, \"exports\";r=1");
    assert_eq!(
        policy,
        "\"daily reading\";q=300;qu=\"records\";w=60, \"exports\";q=2;qu=\"concurrent-requests\""
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_racing_charges_never_take_more_than_there_is() {
    let scene = Arc::new(Scene::new().await);
    let tasks: Vec<_> = (0..64)
        .map(|n: u64| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                let reading = rule("reading", LimitUnit::Records, 1000, MINUTE);
                let bytes = rule("bytes", LimitUnit::Bytes, 10_000_000, MINUTE);
                let Ok(ticket) = scene.admit(&li_na(), &[&reading, &bytes]).await else { return 0 };
                let mut taken = 0;
                for round in 0..50 {
                    let charge = Charge { records: 1 + (n + round) % 3, keys: &[], bytes: 10, part: 0 };
                    let done = match ticket.try_charge(&charge) {
                        Some(done) => done,
                        None => ticket.charge(&charge).await,
                    };
                    if done.is_ok() {
                        taken += charge.records;
                    }
                }
                taken
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        taken += task.await.unwrap();
    }
    assert_eq!(taken, 1000, "all of it, and not one more");
}
