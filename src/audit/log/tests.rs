use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::base::{ManualClock, Severity};

use super::super::head::Head;
use super::super::testing::{Place, begun, complete, lines, open_at, peer};
use super::super::{Duty, Event};
use super::*;

#[tokio::test]
async fn a_closed_record_is_in_the_file_when_the_wait_ends() {
    let place = Place::new();
    let (log, opened) = place.open();
    assert_eq!(opened, Opened { sequence: 0, torn_bytes: 0, lost: 0, head_trusted: true });
    let sealed = complete(&log, 7).close().await.unwrap();
    assert_eq!(sealed.sequence(), Some(3));
    let written = lines(&place.segment());
    assert_eq!(written.len(), 3);
    assert!(written[2].ends_with(",\"sequence\":3}"), "{}", written[2]);
    assert!(written[2].contains("\"path\":\"/api/v1/customers/7\""), "{}", written[2]);
    assert_eq!(place.types(), ["segment", "start", "request"]);
}

#[tokio::test]
async fn a_dropped_record_is_written_as_aborted() {
    let place = Place::new();
    let (log, _) = place.open();
    drop(begun(&log, 1));
    log.shut().await;
    let requests = place.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["outcome"], "aborted");
}

#[tokio::test]
async fn events_stand_in_the_same_chain() {
    let place = Place::new();
    let (log, _) = place.open();
    let event = Event::new("policy", "2026-03-01T08:00:00Z".parse().unwrap()).with("version", "abc\n");
    log.event(event).await.unwrap();
    let record = place.records().pop().unwrap();
    assert_eq!(record["event"], "policy");
    assert_eq!(record["facts"]["version"], "abc\\u{a}");
}

#[tokio::test]
async fn shutting_waits_for_what_is_under_way_and_accepts_nothing_new() {
    let place = Place::new();
    let (log, _) = place.open();
    let record = complete(&log, 1);
    let shutting = tokio::spawn({
        let log = log.clone();
        async move { log.shut().await }
    });
    while log.begin(Uuid::nil(), &peer()).is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.begin(Uuid::nil(), &peer()).unwrap_err(), AuditError::Closed);
    assert!(!shutting.is_finished());
    record.close().await.unwrap();
    shutting.await.unwrap();
    assert_eq!(place.types().last().unwrap(), "stop");
    assert!(log.ensure_writable().is_err());
    log.shut().await;
}

#[tokio::test]
async fn a_log_opened_again_goes_on_with_the_chain() {
    let place = Place::signed();
    place.write(2).await;
    place.write(3).await;
    let (_log, opened) = place.open();
    assert_eq!(opened, Opened { sequence: 10, torn_bytes: 0, lost: 0, head_trusted: true });
    let verdict = place.verify();
    assert_eq!(verdict.findings, []);
    assert_eq!((verdict.records, verdict.requests, verdict.anchored), (11, 5, Some(11)));
}

#[tokio::test]
async fn a05_a_second_process_cannot_write_to_the_same_directory() {
    let place = Place::new();
    let (_log, _) = place.open();
    let error = AuditLog::open(place.settings.clone(), Arc::new(place.clock.clone()), place.metrics.clone());
    assert!(matches!(error, Err(OpenError::InUse(_))), "{error:?}");
}

// === Bounds ===

#[tokio::test]
async fn a12_requests_beyond_the_bound_are_refused_and_their_number_is_recorded() {
    let mut place = Place::new();
    place.settings.max_in_flight = 2;
    let (log, _) = place.open();
    let (first, second) = (complete(&log, 1), complete(&log, 2));
    for _ in 0..3 {
        assert_eq!(log.begin(Uuid::nil(), &peer()).unwrap_err(), AuditError::Full);
    }
    first.close().await.unwrap();
    second.close().await.unwrap();
    complete(&log, 3).close().await.unwrap();
    log.shut().await;
    let suppressed: Vec<_> = place.records().into_iter().filter(|r| r["type"] == "suppressed").collect();
    assert_eq!(suppressed.len(), 1);
    assert_eq!(suppressed[0]["requests"], 3);
    assert_eq!(place.requests().len(), 3);
}

#[tokio::test]
async fn segments_follow_one_another_by_size_and_on_demand() {
    let mut place = Place::signed();
    place.settings.segment_bytes = 4000;
    place.write(40).await;
    let segments = place.evidence().segments;
    assert!(segments.len() > 3, "{segments:?}");
    for path in &segments {
        assert!(fs::metadata(path).unwrap().len() < 6000, "{path:?}");
    }
    let (log, _) = place.open();
    log.rotate();
    complete(&log, 1).close().await.unwrap();
    log.shut().await;
    assert_eq!(place.evidence().segments.len(), segments.len() + 1);
    let verdict = place.verify();
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.requests, 41);
}

// === A bad end ===

#[tokio::test]
async fn a06_a_torn_last_line_is_moved_aside_and_told() {
    for torn in [&b"{\"hash\":\"0123"[..], b"\0\0\0\0", &[b'x'; 200_000]] {
        let place = Place::new();
        place.write(2).await;
        File::options().append(true).open(place.segment()).unwrap().write_all(torn).unwrap();
        assert!(place.verify().is_sound());
        let (_log, opened) = place.open();
        assert_eq!((opened.torn_bytes, opened.lost), (torn.len() as u64, 0));
        assert_eq!(fs::read(place.path("audit-00000001.torn-5")).unwrap(), torn);
        let verdict = place.verify();
        assert!(verdict.is_sound(), "{verdict:?}");
        assert!(
            verdict.findings[0].message.contains("was moved aside to audit-00000001.torn-5"),
            "{verdict:?}"
        );
        assert_eq!(verdict.findings.len(), 1);
    }
}

#[tokio::test]
async fn a06_a_crash_anywhere_in_the_first_lines_of_a_segment_is_repaired() {
    let place = Place::new();
    place.write(1).await;
    let whole = fs::read(place.segment()).unwrap();
    for length in (0..whole.len()).step_by(11) {
        let place = Place::new();
        fs::create_dir(&place.settings.dir).unwrap();
        fs::write(place.segment(), &whole[..length]).unwrap();
        place.write(1).await;
        // There is no head for what was written before: that is told, and nothing else.
        let findings = place.verify().findings;
        assert!(
            findings.iter().all(|f| f.severity == Severity::Note || f.message.contains("head was missing")),
            "{findings:?}"
        );
        assert_eq!(place.types()[0], "segment");
    }
}

#[tokio::test]
async fn a_segment_without_its_first_line_is_used() {
    let place = Place::new();
    place.write(2).await;
    fs::write(place.path("audit-00000002.jsonl"), "{\"ha").unwrap();
    place.write(1).await;
    let verdict = place.verify();
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!(verdict.requests, 3);
    assert_eq!(place.evidence().segments.len(), 2);
}

#[tokio::test]
async fn a_changed_last_line_is_no_end_to_go_on_from() {
    let place = Place::new();
    place.write(2).await;
    let mut bytes = fs::read(place.segment()).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(place.segment(), &bytes).unwrap();
    let error = AuditLog::open(place.settings.clone(), Arc::new(place.clock.clone()), place.metrics.clone());
    assert!(matches!(error, Err(OpenError::Damaged(_))), "{error:?}");
    assert_eq!(fs::read(place.segment()).unwrap(), bytes);
}

#[tokio::test]
async fn records_that_the_head_names_and_the_log_lacks_are_told_for_ever() {
    let place = Place::signed();
    place.write(5).await;
    let mut kept = lines(&place.segment());
    kept.truncate(4);
    super::super::testing::write_lines(&place.segment(), &kept);
    let (log, opened) = place.open();
    assert_eq!((opened.sequence, opened.lost), (4, 4));
    complete(&log, 9).close().await.unwrap();
    log.shut().await;
    place.write(1).await;
    let verdict = place.verify();
    assert!(!verdict.is_sound());
    assert!(
        verdict.findings[0].message.starts_with("records 5 to 8 were lost before the start at 2026-03-01"),
        "{verdict:?}"
    );
    assert_eq!(verdict.requests, 4);
}

#[tokio::test]
async fn a_log_that_is_gone_but_for_its_head_does_not_begin_anew_unseen() {
    let place = Place::signed();
    place.write(5).await;
    fs::remove_file(place.segment()).unwrap();
    place.write(1).await;
    let verdict = place.verify();
    assert!(!verdict.is_sound());
    assert!(verdict.findings[0].message.starts_with("records 1 to 8 were lost"), "{verdict:?}");
}

#[tokio::test]
async fn a_missing_head_is_told_for_ever() {
    let place = Place::signed();
    place.write(1).await;
    fs::remove_file(place.path("audit.head")).unwrap();
    let (_log, opened) = place.open();
    assert!(!opened.head_trusted);
    assert!(place.verify().findings[0].message.contains("the head was missing"), "{:?}", place.verify());
}

// === A failing disk ===

/// A medium that fails on demand, after having written half.
struct Faulty {
    inner: Segments,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    append: AtomicBool,
    panic: AtomicBool,
    /// Moved on by every write.
    slow: Mutex<Option<ManualClock>>,
    /// The last write was made by the log's own thread.
    aside: AtomicBool,
    tries: AtomicUsize,
    anchor: AtomicBool,
    rotate: AtomicBool,
    file: Mutex<Option<File>>,
}

impl Medium for Faulty {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        assert!(!self.faults.panic.load(Ordering::SeqCst), "on purpose");
        self.faults.aside.store(thread::current().name() == Some("audit"), Ordering::SeqCst);
        if let Some(clock) = &*self.faults.slow.lock().unwrap() {
            clock.advance(Duration::from_secs(1));
        }
        if self.faults.append.load(Ordering::SeqCst) {
            self.faults.tries.fetch_add(1, Ordering::SeqCst);
            let half = &lines[..lines.len() / 2];
            let file = self.faults.file.lock().unwrap();
            file.as_ref().unwrap().write_all_at(half, self.inner.bytes())?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.append(lines)
    }

    fn repair(&mut self) -> io::Result<()> {
        self.inner.repair()
    }

    fn begin_segment(&mut self, first: &[u8]) -> io::Result<()> {
        if self.faults.rotate.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.begin_segment(first)
    }

    fn segment(&self) -> u32 {
        self.inner.segment()
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    fn anchor(&mut self, head: &Head) -> io::Result<()> {
        if self.faults.anchor.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.anchor(head)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }

    fn files(&self) -> io::Result<Vec<File>> {
        self.inner.files()
    }
}

fn open_faulty(place: &Place) -> (AuditLog, Arc<Faults>) {
    let (inner, found) = Segments::open(&place.settings.dir, None).unwrap();
    let faults = Arc::new(Faults::default());
    *faults.file.lock().unwrap() = Some(File::options().write(true).open(place.segment()).unwrap());
    let medium = Box::new(Faulty { inner, faults: faults.clone() });
    let clock = Arc::new(place.clock.clone());
    let (log, _) =
        AuditLog::write_to(medium, found, place.settings.clone(), clock, place.metrics.clone()).unwrap();
    (log, faults)
}

async fn writable_again(place: &Place, log: &AuditLog) {
    while log.ensure_writable().is_err() {
        place.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a07_while_the_disk_is_full_nothing_completes_and_nothing_is_lost() {
    let place = Place::new();
    let (log, faults) = open_faulty(&place);
    complete(&log, 1).close().await.unwrap();
    assert_eq!(log.ensure_writable(), Ok(()));

    faults.append.store(true, Ordering::SeqCst);
    let error = complete(&log, 2).close().await.unwrap_err();
    assert!(matches!(error, AuditError::Write(_)), "{error:?}");
    assert!(log.ensure_writable().is_err());
    assert!(matches!(log.ensure_writable(), Err(AuditError::Write(_))));
    let mut running = begun(&log, 6);
    assert!(matches!(running.ensure_writable(), Err(AuditError::Write(_))));
    running.duty(Duty::Spool);
    assert_eq!(running.ensure_writable(), Ok(()));
    assert!(matches!(complete(&log, 3).close().await, Err(AuditError::Write(_))));
    drop(begun(&log, 4));
    assert_eq!(faults.tries.load(Ordering::SeqCst), 1, "the disk is left alone for a while");
    assert!(place.metrics.encode().contains("fieldgate_audit_writable 0"));

    faults.append.store(false, Ordering::SeqCst);
    writable_again(&place, &log).await;
    complete(&log, 5).close().await.unwrap();
    assert_eq!(log.ensure_writable(), Ok(()));
    drop(running);
    log.shut().await;

    let verdict = place.verify();
    assert!(verdict.is_sound(), "{verdict:?}");
    let outcomes: Vec<_> = place.requests().iter().map(|r| (r["id"].clone(), r["outcome"].clone())).collect();
    let expected = [(1, "complete"), (2, "cut"), (3, "cut"), (4, "aborted"), (5, "complete"), (6, "aborted")];
    let expected: Vec<_> =
        expected.iter().map(|(n, o)| (Uuid::from_u128(*n).to_string().into(), (*o).into())).collect();
    assert_eq!(outcomes, expected);
    assert!(place.types().contains(&"resume".into()));
}

#[tokio::test]
async fn a_head_that_cannot_be_written_stops_new_requests_but_keeps_the_records() {
    let place = Place::new();
    let (log, faults) = open_faulty(&place);
    faults.anchor.store(true, Ordering::SeqCst);
    complete(&log, 1).close().await.unwrap();
    while log.ensure_writable().is_ok() {
        tokio::task::yield_now().await;
    }
    faults.anchor.store(false, Ordering::SeqCst);
    writable_again(&place, &log).await;
    log.shut().await;
    assert_eq!(place.requests().len(), 1);
    assert_eq!(place.verify().findings, []);
}

#[tokio::test]
async fn a_segment_goes_on_if_the_next_one_cannot_be_begun() {
    let mut place = Place::new();
    place.settings.segment_bytes = 1000;
    let (log, faults) = open_faulty(&place);
    faults.rotate.store(true, Ordering::SeqCst);
    for n in 0..10 {
        complete(&log, n).close().await.unwrap();
    }
    assert_eq!(place.evidence().segments.len(), 1);
    faults.rotate.store(false, Ordering::SeqCst);
    complete(&log, 10).close().await.unwrap();
    log.shut().await;
    assert_eq!(place.evidence().segments.len(), 2);
    assert_eq!(place.verify().findings, []);
}

#[tokio::test]
async fn a_record_that_nobody_waits_for_any_more_is_written_all_the_same() {
    let place = Place::new();
    let (log, _) = place.open();
    // Neither begun to be waited for, nor to its end.
    drop(complete(&log, 1).close());
    let mut waiting = Box::pin(complete(&log, 2).close().into_future());
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(waiting);
    while place.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(place.verify().findings, []);
}

#[tokio::test]
async fn a_disk_that_stalls_holds_up_nobody_twice() {
    let place = Place::new();
    let (log, faults) = open_faulty(&place);
    *faults.slow.lock().unwrap() = Some(place.clock.clone());
    complete(&log, 1).close().await.unwrap();
    complete(&log, 2).close().await.unwrap();
    assert!(faults.aside.load(Ordering::SeqCst));
    *faults.slow.lock().unwrap() = None;
    // Written there once more, and here again when the thread is at rest.
    complete(&log, 3).close().await.unwrap();
    assert!(faults.aside.load(Ordering::SeqCst));
    for n in 4.. {
        complete(&log, n).close().await.unwrap();
        if !faults.aside.load(Ordering::SeqCst) {
            break;
        }
    }
}

#[tokio::test]
async fn a_writer_that_breaks_off_ends_the_log_and_lets_nobody_wait() {
    let place = Place::new();
    let (log, faults) = open_faulty(&place);
    complete(&log, 1).close().await.unwrap();
    faults.panic.store(true, Ordering::SeqCst);
    let (first, second) = (complete(&log, 2), complete(&log, 3));
    let first = tokio::spawn(async move { first.close().await });
    let second = tokio::spawn(async move { second.close().await });
    for told in [first.await, second.await] {
        assert!(!matches!(told, Ok(Ok(_))), "{told:?}");
    }
    while log.ensure_writable().is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.begin(Uuid::nil(), &peer()).unwrap_err(), AuditError::Closed);
    log.shut().await;
    assert_eq!(place.requests().len(), 1);
}

#[tokio::test]
async fn a_record_that_may_wait_is_not_waited_for() {
    let place = Place::new();
    let (log, faults) = open_faulty(&place);
    faults.append.store(true, Ordering::SeqCst);
    let mut record = complete(&log, 1);
    record.duty(Duty::Spool);
    assert_eq!(record.close().await.unwrap().sequence(), None);
    while log.ensure_writable().is_ok() {
        tokio::task::yield_now().await;
    }
    faults.append.store(false, Ordering::SeqCst);
    place.clock.advance(Duration::from_secs(1));
    log.shut().await;
    assert_eq!(place.requests()[0]["outcome"], "complete");
}

#[tokio::test]
async fn with_sync_always_and_every_records_are_written_too() {
    for sync in [Sync::Always, Sync::Every(Duration::from_millis(1))] {
        let mut place = Place::new();
        place.settings.sync = sync;
        place.write(20).await;
        assert_eq!(place.verify().findings, []);
        assert_eq!(place.requests().len(), 20);
    }
}

// === Many at once, and the end of the process ===

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a11_every_acknowledged_record_of_many_tasks_is_there_exactly_once() {
    let mut place = Place::signed();
    place.settings.segment_bytes = 100_000;
    let (log, _) = place.open();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64_u32 {
        let log = log.clone();
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0..50 {
                let number = task * 1000 + n;
                let sealed = complete(&log, number).close().await.unwrap();
                acknowledged.push((sealed.sequence().unwrap(), Uuid::from_u128(number.into()).to_string()));
            }
            acknowledged
        });
    }
    let mut acknowledged: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    log.shut().await;
    acknowledged.sort();
    let written: Vec<(u64, String)> = place
        .evidence()
        .segments
        .iter()
        .flat_map(|path| lines(path))
        .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap())
        .filter(|line| line["record"]["type"] == "request")
        .map(|line| (line["sequence"].as_u64().unwrap(), line["record"]["id"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(written.len(), 3200);
    assert_eq!(acknowledged, written);
    let verdict = place.verify();
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.requests, 3200);
}

/// The child of the test below: writes records without end and prints the number of each that is acknowledged.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let first: u32 = std::env::var(CHILD_FIRST).unwrap().parse().unwrap();
    let (log, _) = open_at(Path::new(&dir));
    let (acknowledged, mut numbers) = tokio::sync::mpsc::unbounded_channel();
    for task in 0..16 {
        let (log, acknowledged) = (log.clone(), acknowledged.clone());
        tokio::spawn(async move {
            for n in (first + task..).step_by(16) {
                complete(&log, n).close().await.unwrap();
                acknowledged.send(n).unwrap();
            }
        });
    }
    let mut out = io::stdout();
    while let Some(n) = numbers.recv().await {
        writeln!(out, "acknowledged {n}").unwrap();
    }
}

#[tokio::test]
async fn a11_after_kill_nine_every_acknowledged_record_is_there_exactly_once() {
    let place = Place::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..5_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "audit::log::tests::child_that_writes_until_it_is_killed"])
            .env(CHILD_DIR, &place.settings.dir)
            .env(CHILD_FIRST, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers =
            |line: io::Result<String>| line.unwrap().strip_prefix("acknowledged ")?.parse::<u32>().ok();
        acknowledged.extend(printed.by_ref().filter_map(numbers).take(500 + 100 * round as usize));
        child.kill().unwrap();
        // What was printed before the kill and is still in the pipe counts too; a line cut off does not.
        acknowledged.extend(printed.filter_map(numbers));
        child.wait().unwrap();
    }
    let (log, _) = place.open();
    log.shut().await;
    let mut written = BTreeSet::new();
    for record in place.requests() {
        let id: Uuid = record["id"].as_str().unwrap().parse().unwrap();
        assert!(written.insert(u32::try_from(id.as_u128()).unwrap()), "{id} is there twice");
    }
    assert!(acknowledged.len() >= 3500, "{}", acknowledged.len());
    let missing: Vec<_> = acknowledged.difference(&written).collect();
    assert_eq!(missing, Vec::<&u32>::new());
    let verdict = place.verify();
    assert!(verdict.is_sound(), "{verdict:?}");
}

const CHILD_DIR: &str = "FIELDGATE_TEST_AUDIT_DIR";
const CHILD_FIRST: &str = "FIELDGATE_TEST_AUDIT_FIRST";
