//! The whole of it against a list of everything that was given out: in any order of charges, waits, crashes,
//! restarts and callers who hang up, on two gateways.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use proptest::prelude::*;

use super::*;
use crate::limits::window::Slots;

#[derive(Clone, Debug)]
enum Step {
    /// Wait for so many minutes.
    Wait(u64),
    /// At one of the gateways: charge records with these keys.
    Give(usize, Vec<u8>),
    /// The same, but the caller hangs up when the store has answered so many times.
    HangUp(usize, Vec<u8>, u32),
    /// One of them is killed and starts again.
    Kill(usize),
    /// One of them is stopped in order and starts again.
    Restart(usize),
    /// What is done every few seconds, interrupted after so many answers of the store.
    Tick(usize, u32),
}

fn step(most_keys: usize, longest_wait: u64) -> impl Strategy<Value = Step> {
    let keys = move || proptest::collection::vec(any::<u8>(), 1..most_keys);
    prop_oneof![
        3 => (1..longest_wait).prop_map(Step::Wait),
        8 => (0_usize..2, keys()).prop_map(|(g, k)| Step::Give(g, k)),
        3 => (0_usize..2, keys(), 1_u32..8).prop_map(|(g, k, n)| Step::HangUp(g, k, n)),
        1 => (0_usize..2).prop_map(Step::Kill),
        1 => (0_usize..2).prop_map(Step::Restart),
        3 => (0_usize..2, 1_u32..8).prop_map(|(g, n)| Step::Tick(g, n)),
    ]
}

/// What was given, when.
#[derive(Default)]
struct Given(Vec<(u64, Vec<u8>)>);

impl Given {
    /// Of the last day: how many records, how many different ones.
    fn within_a_day(&self, now: u64) -> (usize, usize) {
        let recent = self.0.iter().filter(|(at, _)| now - at < 24 * 60);
        let records: Vec<u8> = recent.flat_map(|(_, keys)| keys.iter().copied()).collect();
        (records.len(), records.iter().collect::<HashSet<_>>().len())
    }
}

/// Small budgets are charged one by one; large ones from blocks that are reserved ahead.
const SMALL: Budget = Budget { records: 40, different: 12, keys: 40 };
const LARGE: Budget = Budget { records: 220, different: 130, keys: 250 };

#[derive(Clone, Copy)]
struct Budget {
    records: u64,
    different: u64,
    keys: u8,
}

async fn play(steps: Vec<Step>, budget: Budget, durable: bool) -> Result<(), TestCaseError> {
    let store = Store::memory().await.unwrap();
    let clock = ManualClock::at(Timestamp::from_second(NOW).unwrap());
    let config = Config { durable_from: if durable { Duration::ZERO } else { 2 * DAY }, ..Config::default() };
    let open = async || Scene::at(config, Some(store.clone()), clock.clone()).await;
    let mut gateways = [open().await, open().await];
    let rules = [
        rule("records", LimitUnit::Records, budget.records, DAY),
        rule("different", LimitUnit::DistinctRecords, budget.different, DAY),
    ];
    let (mut given, mut now) = (Given::default(), 0);
    for step in steps {
        // Counters in memory are each gateway's own, and a restart ends them: there the law holds for one.
        match step {
            Step::Wait(minutes) => {
                now += minutes;
                clock.advance(Duration::from_secs(minutes * 60));
            }
            Step::Give(at, names) => {
                let names = budget.named(names);
                let scene = &gateways[if durable { at } else { 0 }];
                if charge(scene, &rules, &names).await {
                    given.0.push((now, names));
                }
            }
            Step::HangUp(at, names, answers) => {
                let names = budget.named(names);
                let scene = &gateways[if durable { at } else { 0 }];
                let mut charging = Box::pin(charge(scene, &rules, &names));
                let done = interrupted(charging.as_mut(), answers).await;
                drop(charging);
                if done == Some(true) {
                    given.0.push((now, names));
                }
            }
            Step::Kill(at) if durable => gateways[at] = open().await,
            Step::Restart(at) if durable => {
                gateways[at].limits.close().await;
                gateways[at] = open().await;
            }
            Step::Kill(_) | Step::Restart(_) => {}
            Step::Tick(at, answers) => {
                let limits = gateways[at].limits.clone();
                interrupted(Box::pin(limits.tick()).as_mut(), answers).await;
            }
        }
        let (records, different) = given.within_a_day(now);
        prop_assert!(records <= budget.records as usize, "{records} records within a day");
        prop_assert!(different <= budget.different as usize, "{different} different records within a day");
        if durable {
            let kept = [kept(&store, "records", now).await, kept(&store, "distinct", now).await];
            prop_assert!(kept[0] >= records as u64, "{kept:?} of {records} records would survive a crash");
            prop_assert!(kept[1] >= different as u64, "{kept:?} of {different} different records would");
        }
    }
    Ok(())
}

/// Polls until the store has answered so many times.
async fn interrupted<F: Future>(mut work: Pin<&mut F>, answers: u32) -> Option<F::Output> {
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        if polls > answers { Poll::Ready(None) } else { work.as_mut().poll(context).map(Some) }
    })
    .await
}

/// What the store has of a counter: nothing that was given may be missing there at any time.
async fn kept(store: &Store, unit: &str, now: u64) -> u64 {
    let limit = match unit {
        "records" => "records principal 86400000000 records",
        _ => "distinct principal 86400000000 different",
    };
    let row = store.budget(limit, "principal 4:keys li.na").await.unwrap();
    let now = (NOW + i64::try_from(now).unwrap() * 60) * 1_000_000;
    Slots::read(&row.slots).unwrap().total(Window::new(DAY).slot(now))
}

impl Budget {
    fn named(self, names: Vec<u8>) -> Vec<u8> {
        names.into_iter().map(|name| name % self.keys).collect()
    }
}

async fn charge(scene: &Scene, rules: &[LimitRule; 2], names: &[u8]) -> bool {
    let Ok(ticket) = scene.admit(&li_na(), &[&rules[0], &rules[1]]).await else { return false };
    let names: Vec<Box<str>> = names.iter().map(|name| name.to_string().into()).collect();
    let charge = Charge { records: names.len() as u64, keys: &names, bytes: 0, part: 0 };
    match ticket.try_charge(&charge) {
        Some(done) => done.is_ok(),
        None => ticket.charge(&charge).await.is_ok(),
    }
}

fn run(steps: Vec<Step>, budget: Budget, durable: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(play(steps, budget, durable))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn e03_no_day_has_more_than_small_limits_say(steps in proptest::collection::vec(step(6, 150), 1..120)) {
        run(steps, SMALL, true)?;
    }

    #[test]
    fn e03_no_day_has_more_than_large_limits_say(steps in proptest::collection::vec(step(24, 200), 100..300)) {
        run(steps, LARGE, true)?;
    }

    #[test]
    fn e03_no_day_has_more_than_limits_in_memory_say(
        steps in proptest::collection::vec(step(6, 150), 1..200),
    ) {
        run(steps, SMALL, false)?;
    }
}
