use std::fs;

use super::super::chain::Chain;
use super::super::testing::{Place, complete, lines, write_lines};
use super::*;

/// The first error of a log whose lines were changed.
async fn first_error(change: impl FnOnce(&mut Vec<String>)) -> String {
    let place = Place::signed();
    place.write(6).await;
    let mut changed = lines(&place.segment());
    change(&mut changed);
    write_lines(&place.segment(), &changed);
    error_of(&place)
}

fn error_of(place: &Place) -> String {
    let verdict = place.verify();
    assert!(!verdict.is_sound(), "{verdict:?}");
    verdict.findings.into_iter().find(|f| f.severity == Severity::Error).unwrap().to_string()
}

/// What somebody can do who can write the files but has no key: every line hashed anew.
fn rehash(changed: &mut Vec<String>) {
    let mut chain = Chain::GENESIS;
    let mut out = Vec::new();
    for line in changed.iter() {
        let record = Link::parse(line.as_bytes()).unwrap().record;
        chain.seal_raw(&mut out, record);
    }
    *changed = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
}

#[tokio::test]
async fn an_untouched_log_is_sound_and_fully_anchored() {
    for place in [Place::new(), Place::signed()] {
        place.write(6).await;
        let verdict = place.verify();
        assert_eq!(verdict.findings, []);
        assert_eq!((verdict.records, verdict.requests, verdict.anchored), (9, 6, Some(9)));
        assert_eq!(verdict.signed, place.settings.key.is_some());
    }
}

#[tokio::test]
async fn a02_an_edited_record_is_named() {
    let error = first_error(|lines| lines[4] = lines[4].replace("\"status\":200", "\"status\":403")).await;
    assert!(
        error.ends_with("audit-00000001.jsonl:5: record 5 was changed: its content does not match its hash"),
        "{error}"
    );
}

#[tokio::test]
async fn a02_a_deleted_record_is_named() {
    let error = first_error(|lines| drop(lines.remove(4))).await;
    assert!(error.contains(":5: record 6 stands where record 5 should"), "{error}");
}

#[tokio::test]
async fn a02_a_deleted_first_record_is_named() {
    let error = first_error(|lines| drop(lines.remove(0))).await;
    assert!(error.contains(":1: the log begins with record 2"), "{error}");
}

#[tokio::test]
async fn a02_an_inserted_record_is_named() {
    let error = first_error(|lines| lines.insert(6, lines[3].clone())).await;
    assert!(error.contains(":7: record 4 stands after record 6: it was moved or put in"), "{error}");
}

#[tokio::test]
async fn a02_swapped_records_are_named() {
    let error = first_error(|lines| lines.swap(3, 4)).await;
    assert!(error.contains(":4: record 5 stands where record 4 should"), "{error}");
}

#[tokio::test]
async fn an_edited_record_with_a_new_hash_breaks_the_link_after_it() {
    let error = first_error(|lines| {
        let edited = lines[4].replace("\"status\":200", "\"status\":403");
        let link = Link::parse(edited.as_bytes()).unwrap();
        let mut out = Vec::new();
        Chain { sequence: 4, hash: link.previous }.seal_raw(&mut out, link.record);
        lines[4] = String::from_utf8(out).unwrap().trim_end().to_owned();
    })
    .await;
    assert!(error.contains(":6: record 6 is not the one that was written after record 5"), "{error}");
}

#[tokio::test]
async fn garbage_and_unfinished_lines_in_the_middle_are_errors() {
    for garbage in ["", "{}", "not json", "{\"hash\":\"\",\"previous\":\"\",\"record\":{},\"sequence\":5}"] {
        let error = first_error(|lines| lines.insert(4, garbage.into())).await;
        assert!(error.ends_with(":5: it is not a line of an audit log"), "{error}");
    }
}

#[tokio::test]
async fn a03_records_cut_off_the_end_are_missed() {
    let error = first_error(|lines| lines.truncate(7)).await;
    assert!(
        error.contains(
            "the log ends with record 7, and the head of 2026-03-01T08:00:00.000000Z names record 9"
        ),
        "{error}"
    );
    let error = first_error(Vec::clear).await;
    assert!(error.contains("the log ends with record 0"), "{error}");
}

#[tokio::test]
async fn a04_a_log_hashed_anew_does_not_fit_its_head() {
    let error = first_error(|lines| {
        lines[4] = lines[4].replace("\"status\":200", "\"status\":403");
        rehash(lines);
    })
    .await;
    assert!(error.contains(":9: record 9 is not the one that the head"), "{error}");
}

#[tokio::test]
async fn a04_a_log_and_head_made_anew_without_the_key_are_caught_only_by_the_key() {
    let place = Place::signed();
    place.write(6).await;
    let forged = Place::new();
    forged.write(6).await;
    fs::copy(forged.segment(), place.segment()).unwrap();
    fs::copy(forged.path("audit.head"), place.path("audit.head")).unwrap();
    assert!(error_of(&place).contains("no head here that is signed with the key"));
    let without_key = Evidence { keys: Vec::new(), ..place.evidence() };
    assert!(verify(&without_key, &mut |_| ()).unwrap().is_sound());
}

#[tokio::test]
async fn a05_a_copy_of_an_earlier_head_catches_a_log_set_back() {
    let place = Place::signed();
    place.write(2).await;
    let (old_log, old_head) =
        (fs::read(place.segment()).unwrap(), fs::read(place.path("audit.head")).unwrap());
    place.write(2).await;
    fs::copy(place.path("audit.head"), place.beside("copy.head")).unwrap();
    fs::write(place.segment(), old_log).unwrap();
    fs::write(place.path("audit.head"), old_head).unwrap();
    assert!(place.verify().is_sound(), "nothing in the directory tells");
    let mut evidence = place.evidence();
    evidence.heads.push(place.beside("copy.head"));
    let verdict = verify(&evidence, &mut |_| ()).unwrap();
    assert!(!verdict.is_sound());
    // A fork: the log went on from there with other records.
    place.clock.advance(Duration::from_secs(60));
    place.write(4).await;
    let verdict = verify(&evidence, &mut |_| ()).unwrap();
    assert!(verdict.findings[0].message.contains("is not the one that the head"), "{verdict:?}");
}

#[tokio::test]
async fn a_missing_segment_is_named_and_the_first_ones_may_be_kept_elsewhere() {
    let mut place = Place::signed();
    place.settings.segment_bytes = 3000;
    place.write(20).await;
    let evidence = place.evidence();
    assert!(evidence.segments.len() >= 4);

    let mut gap = evidence.clone();
    gap.segments.remove(1);
    let verdict = verify(&gap, &mut |_| ()).unwrap();
    assert!(verdict.findings[0].message.contains("records between are missing or moved"), "{verdict:?}");

    let mut later = evidence.clone();
    later.segments.remove(0);
    let verdict = verify(&later, &mut |_| ()).unwrap();
    assert!(verdict.findings[0].message.starts_with("the log begins with record"), "{verdict:?}");
    let verdict = verify(&Evidence { partial: true, ..later }, &mut |_| ()).unwrap();
    assert!(verdict.is_sound(), "{verdict:?}");
    assert_eq!(verdict.findings.len(), 1);

    let mut swapped = evidence;
    swapped.segments.swap(1, 2);
    assert!(!verify(&swapped, &mut |_| ()).unwrap().is_sound());
}

#[tokio::test]
async fn a08_a_clock_that_goes_back_is_noticed_and_is_no_error() {
    let mut place = Place::signed();
    place.write(1).await;
    place.clock = crate::base::ManualClock::at("2026-02-01T08:00:00Z".parse().unwrap());
    place.write(2).await;
    let verdict = place.verify();
    assert!(verdict.is_sound());
    let messages: Vec<_> = verdict.findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(messages, ["the clock went back by 2419200 seconds at record 5"]);
}

#[tokio::test]
async fn a_log_that_is_being_written_is_sound() {
    let place = Place::signed();
    let (log, _) = place.open();
    for n in 0..20 {
        complete(&log, n).close().await.unwrap();
        assert!(place.verify().is_sound());
    }
}

#[tokio::test]
async fn another_key_than_the_log_s_does_not_fit() {
    let place = Place::signed();
    place.write(1).await;
    let mut evidence = place.evidence();
    evidence.keys = vec![Secret::new(b"another".to_vec())];
    assert!(!verify(&evidence, &mut |_| ()).unwrap().is_sound());
    evidence.keys.extend(place.settings.key.clone());
    let verdict = verify(&evidence, &mut |_| ()).unwrap();
    assert_eq!(verdict.findings, []);
}
