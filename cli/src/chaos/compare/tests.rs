use serde_json::json;

use super::*;

fn outcome(ids: &[&str]) -> Outcome {
    let kept = |id: &&str| Kept {
        account: String::new(),
        id: (*id).to_owned(),
        status: "applied".to_owned(),
        entry_id: String::new(),
        settled_at_ms: 0,
    };
    Outcome {
        kept: ids.iter().map(kept).collect(),
        ..Outcome::default()
    }
}

fn found(trial: &Outcome, reference: &Outcome, gap: &BTreeMap<String, usize>) -> Findings {
    let said = Said {
        sent: BTreeSet::from(["a", "b", "c"]),
        acknowledged: BTreeMap::from([("a", 1), ("b", 2)]),
        gap,
    };
    compare(&said, trial, reference)
}

fn first(found: &Found) -> Vec<&str> {
    found.first.iter().map(String::as_str).collect()
}

#[test]
fn everything_there_once_with_its_repetitions_is_fine() {
    let mut trial = outcome(&["a", "b", "c"]);
    trial.redeliveries.insert("b".into(), 1);
    assert_eq!(
        found(&trial, &outcome(&["a", "b", "c"]), &BTreeMap::new()),
        Findings::default()
    );
}

#[test]
fn what_is_missing_is_lost_unless_redis_was_emptied_with_it() {
    let findings = found(
        &outcome(&[]),
        &outcome(&[]),
        &BTreeMap::from([("b".to_owned(), 1)]),
    );
    assert_eq!(
        (first(&findings.lost), first(&findings.gap)),
        (vec!["a"], vec!["b"])
    );
}

#[test]
fn a_delivery_that_was_acknowledged_is_kept_too() {
    let findings = found(&outcome(&["a", "b"]), &outcome(&["a", "b"]), &BTreeMap::new());
    assert_eq!(first(&findings.wrong), ["b: 2 deliveries acknowledged, 1 kept"]);
    let wiped = BTreeMap::from([("b".to_owned(), 1)]);
    assert_eq!(
        found(&outcome(&["a", "b"]), &outcome(&["a", "b"]), &wiped),
        Findings::default()
    );
}

#[test]
fn what_is_there_twice_or_was_never_sent_is_named() {
    let mut trial = outcome(&["a", "a", "b", "x"]);
    trial.redeliveries.insert("b".into(), 1);
    let findings = found(&trial, &outcome(&["a", "b", "x"]), &BTreeMap::new());
    assert_eq!(first(&findings.doubled), ["a: 2 rows"]);
    assert_eq!(first(&findings.wrong), ["x: never sent"]);
}

#[test]
fn states_credits_and_notices_are_compared_by_id() {
    let mut trial = outcome(&["a"]);
    let mut reference = outcome(&["a"]);
    let state = |account: &str, state: Value| BTreeMap::from([(account.to_owned(), state)]);
    let mut states = state(
        "",
        json!({"subs": {"s1": {"state": "active", "user": "u"}, "s2": {}}, "events": {"deliveries": 3}}),
    );
    states.extend(state("acct_1", json!({"subs": {"s1": {"state": "active"}}})));
    trial.states = states;
    reference.states = state(
        "",
        json!({"subs": {"s1": {"state": "canceled", "user": "u"}}, "events": {"deliveries": 1}}),
    );
    reference.notices = vec![" payment.failed:in_1".to_owned()];
    let moved = |credits| Moved {
        account: String::new(),
        key: "grant:in_1".into(),
        owner: "user u".into(),
        credits,
    };
    trial.moved = vec![moved(200)];
    reference.moved = vec![moved(100)];
    let mut wrong = found(&trial, &reference, &BTreeMap::from([("b".to_owned(), 2)])).wrong;
    wrong.first.sort();
    assert_eq!(
        first(&wrong),
        [
            "credits grant:in_1 of user u: is 200, should be 100",
            "notice payment.failed:in_1: is not there, should be true",
            r#"subs acct_1 s1: is {"state":"active"}, should not be there"#,
            r#"subs s1: state is "active", should be "canceled""#,
            "subs s2: is {}, should not be there",
        ]
    );
}

#[test]
fn only_the_first_are_named() {
    let mut found = Found::default();
    (0..50).for_each(|n| found.note(n.to_string()));
    assert_eq!((found.count, found.first.len()), (50, SHOWN));
}
