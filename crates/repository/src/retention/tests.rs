use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use ulid::Ulid;

use super::{Candidate, Decision, KeepCount, KeepPolicy, Reason};
use crate::PolicyError;

fn candidate(time: &str) -> Candidate {
    let time: Timestamp = time.parse().unwrap();
    let id = Ulid::from_parts(time.as_millisecond() as u64, 0);
    Candidate { id, snapshot_time: time, tags: Vec::new(), is_pinned: false, is_complete: true, counts: true }
}

/// `2026-11-28T02:00:00Z daily, weekly` for each that is kept, `-` for the others; newest first.
fn shown(decisions: &[Decision]) -> Vec<String> {
    let reasons = |reasons: &[Reason]| match reasons {
        [] => "-".to_owned(),
        some => some.iter().map(Reason::to_string).collect::<Vec<_>>().join(", "),
    };
    decisions
        .iter()
        .map(|each| format!("{} {}", each.candidate.snapshot_time, reasons(&each.reasons)))
        .collect()
}

fn nightly(days: i64) -> Vec<Candidate> {
    let first: Timestamp = "2026-01-01T02:00:00Z".parse().unwrap();
    (0..days).map(|day| candidate(&(first + (day * 24).hours()).to_string())).collect()
}

#[test]
fn one_of_each_period_is_kept_the_newest() {
    let policy =
        KeepPolicy { daily: KeepCount::AtMost(2), monthly: KeepCount::AtMost(2), ..KeepPolicy::default() };
    // until 2026-03-01
    let decisions = policy.decide(nightly(60));
    let kept: Vec<String> = shown(&decisions).into_iter().filter(|line| !line.ends_with(" -")).collect();
    assert_eq!(kept, ["2026-03-01T02:00:00Z daily, monthly", "2026-02-28T02:00:00Z daily, monthly"]);
}

#[test]
fn the_oldest_stands_for_periods_that_are_not_covered() {
    let policy = KeepPolicy { yearly: KeepCount::AtMost(3), ..KeepPolicy::default() };
    let decisions = policy.decide(nightly(3));
    assert_eq!(
        shown(&decisions),
        ["2026-01-03T02:00:00Z yearly", "2026-01-02T02:00:00Z -", "2026-01-01T02:00:00Z oldest yearly"]
    );
}

#[test]
fn what_does_not_count_takes_no_place_and_is_not_forgotten() {
    let mut backups = nightly(4);
    backups[3].counts = false;
    let policy = KeepPolicy { last: KeepCount::AtMost(1), ..KeepPolicy::default() };
    assert_eq!(
        shown(&policy.decide(backups)),
        [
            "2026-01-04T02:00:00Z not counted",
            "2026-01-03T02:00:00Z last",
            "2026-01-02T02:00:00Z -",
            "2026-01-01T02:00:00Z -"
        ]
    );
}

#[test]
fn spans_are_counted_from_the_newest_backup() {
    let policy = KeepPolicy { within: Some(2.days()), ..KeepPolicy::default() };
    // years ago, all of them
    let decisions = policy.decide(nightly(5));
    assert_eq!(decisions.iter().filter(|each| !each.reasons.is_empty()).count(), 3);
    let forever = KeepPolicy { within: Some(19_000.years()), ..KeepPolicy::default() };
    assert!(forever.decide(nightly(5)).iter().all(|each| !each.reasons.is_empty()));
}

#[test]
fn days_begin_where_the_policy_lives() {
    let backups = || vec![candidate("2026-06-01T22:30:00Z"), candidate("2026-06-01T20:30:00Z")];
    let mut policy = KeepPolicy { daily: KeepCount::AtMost(5), ..KeepPolicy::default() };
    let kept = |policy: &KeepPolicy| {
        policy
            .decide(backups())
            .iter()
            .filter(|each| each.reasons == [Reason::NewestOf(super::Period::Day)])
            .count()
    };
    assert_eq!(kept(&policy), 1);
    // midnight in Berlin lies between them
    policy.zone = TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(kept(&policy), 2);
}

#[test]
fn an_hour_that_the_clock_shows_twice_is_two() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let policy = KeepPolicy { hourly: KeepCount::AtMost(5), zone, ..KeepPolicy::default() };
    let decisions = policy.decide(vec![candidate("2026-10-25T00:30:00Z"), candidate("2026-10-25T01:30:00Z")]);
    assert!(decisions.iter().all(|each| each.reasons == [Reason::NewestOf(super::Period::Hour)]));
}

#[test]
fn pins_tags_and_a_minimum_keep() {
    let mut backups = nightly(6);
    backups[0].is_pinned = true;
    backups[1].tags = vec!["before-2.0".to_owned()];
    let policy = KeepPolicy { tags: vec!["before-2.0".to_owned()], at_least: 2, ..KeepPolicy::default() };
    assert_eq!(
        shown(&policy.decide(backups)),
        [
            "2026-01-06T02:00:00Z newest complete",
            "2026-01-05T02:00:00Z minimum to keep",
            "2026-01-04T02:00:00Z -",
            "2026-01-03T02:00:00Z -",
            "2026-01-02T02:00:00Z tag before-2.0",
            "2026-01-01T02:00:00Z pinned"
        ]
    );
}

#[test]
fn an_empty_policy_is_refused() {
    assert_eq!(KeepPolicy::default().not_empty().unwrap_err(), PolicyError::Empty);
    let zeros = KeepPolicy { daily: KeepCount::AtMost(0), ..KeepPolicy::default() };
    assert_eq!(zeros.not_empty().unwrap_err(), PolicyError::Empty);
    let one = KeepPolicy { daily: "unlimited".parse().unwrap(), ..KeepPolicy::default() };
    assert!(one.not_empty().is_ok());
}

#[test]
fn counts_and_spans_are_read_or_refused() {
    assert_eq!("7".parse(), Ok(KeepCount::AtMost(7)));
    for wrong in ["", "-1", "7d", "all", "99999999999"] {
        assert!(wrong.parse::<KeepCount>().is_err(), "{wrong}");
    }
    assert_eq!(
        KeepPolicy::parse_span("1y2mo3w4d5h").unwrap().fieldwise(),
        1.year().months(2).weeks(3).days(4).hours(5).fieldwise()
    );
    assert_eq!(KeepPolicy::parse_span("3m").unwrap().fieldwise(), 3.months().fieldwise());
    for wrong in ["", "7", "d", "7x", "-7d", "7d ago", "0d", "99999999999999999999d", "999999999y"] {
        assert!(KeepPolicy::parse_span(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_server_whose_clock_was_wrong_hides_no_later_backup() {
    let mut backups = nightly(4);
    // a year ahead, for one night
    backups[1].snapshot_time = "2027-01-02T02:00:00Z".parse().unwrap();
    let policy = KeepPolicy { last: KeepCount::AtMost(1), within: Some(1.day()), ..KeepPolicy::default() };
    let kept: Vec<_> = policy
        .decide(backups)
        .into_iter()
        .filter(|each| !each.reasons.is_empty())
        .map(|each| each.candidate.id)
        .collect();
    let newest: Vec<_> = nightly(4).into_iter().rev().take(2).map(|each| each.id).collect();
    assert_eq!(kept, newest);
}

#[test]
fn incomplete_backups_do_not_push_out_the_last_complete_one() {
    let mut backups = nightly(4);
    backups[2].is_complete = false;
    backups[3].is_complete = false;
    let policy = KeepPolicy { last: KeepCount::AtMost(1), ..KeepPolicy::default() };
    assert_eq!(
        shown(&policy.decide(backups)),
        [
            "2026-01-04T02:00:00Z last",
            "2026-01-03T02:00:00Z -",
            "2026-01-02T02:00:00Z newest complete",
            "2026-01-01T02:00:00Z -"
        ]
    );
}
