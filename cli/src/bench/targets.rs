//! What follows from the figures, and where they should get. Written for two cores with the generator on them.

use super::report::Derived::{Cpu, Ratio};
use super::report::Goal::{AtLeast, AtMost};
use super::report::{Derived, Goal, Report};
use super::{api, end_to_end, growth, ingest, queue, worker};

/// Everybody who works for an event, but for who sends it.
const ALL: &[&str] = &["ingest", "worker", "redis", "postgres"];

const DERIVED: &[(&str, &str, Derived)] = &[
    (
        ingest::PART,
        "tollgate, everysec / HMAC only",
        Ratio("saturated: tollgate, everysec", "saturated: HMAC only"),
    ),
    (
        ingest::PART,
        "tollgate, everysec / raw XADD",
        Ratio("saturated: tollgate, everysec", "raw XADD, everysec"),
    ),
    (
        ingest::PART,
        "tollgate, always / everysec",
        Ratio("saturated: tollgate, always", "saturated: tollgate, everysec"),
    ),
    (
        ingest::PART,
        "tollgate, always / raw XADD",
        Ratio("saturated: tollgate, always", "raw XADD, always"),
    ),
    (
        ingest::PART,
        "saturated, everysec: CPU of ingest",
        Cpu("saturated: tollgate, everysec", &["ingest"]),
    ),
    (
        ingest::PART,
        "saturated, everysec: CPU of Redis",
        Cpu("saturated: tollgate, everysec", &["redis"]),
    ),
    (
        ingest::PART,
        "at 1000/s, always: p99 / one fsync",
        Ratio("at 1000/s: tollgate, always, p99", "one fsync"),
    ),
    (
        queue::PART,
        "tollgate / raw, everysec",
        Ratio(
            "tollgate, no-op, everysec",
            "raw XREADGROUP + XACK + XDEL, everysec",
        ),
    ),
    (
        queue::PART,
        "tollgate / raw, always",
        Ratio("tollgate, no-op, always", "raw XREADGROUP + XACK + XDEL, always"),
    ),
    (
        worker::PART,
        "simple projections: tollgate / raw",
        Ratio(
            "simple projections: tollgate, everysec",
            "simple projections: raw Postgres batches",
        ),
    ),
    (
        worker::PART,
        "simple projections: CPU of all",
        Cpu("simple projections: tollgate, everysec", ALL),
    ),
    (
        worker::PART,
        "full money effects: tollgate / raw",
        Ratio(
            "full money effects: tollgate, everysec",
            "full money effects: raw Postgres batches",
        ),
    ),
    (
        worker::PART,
        "full money effects: CPU of all",
        Cpu("full money effects: tollgate, everysec", ALL),
    ),
    (
        api::PART,
        "state, not kept / raw SELECT 1",
        Ratio("state, not kept, p50", "raw: SELECT 1, p50"),
    ),
    (
        api::PART,
        "spend / raw spend_credits()",
        Ratio(
            "spend, 10000 users, p50",
            "raw: spend_credits(), 10000 users, p50",
        ),
    ),
    (
        api::PART,
        "spend: CPU of all",
        Cpu("spend, 10000 users, p50", &["api", "redis", "postgres"]),
    ),
    (
        api::PART,
        "state, kept: CPU of all",
        Cpu("state, kept, p50", &["api", "redis", "postgres"]),
    ),
];

const GOALS: &[(&str, &str, Goal)] = &[
    (ingest::PART, "tollgate, everysec / HMAC only", AtLeast(0.5)),
    (ingest::PART, "saturated, everysec: CPU of ingest", AtMost(0.021)),
    (ingest::PART, "saturated, everysec: CPU of Redis", AtMost(0.012)),
    (ingest::PART, "tollgate, always / everysec", AtLeast(0.5)),
    (ingest::PART, "at 1000/s, always: p99 / one fsync", AtMost(10.0)),
    (ingest::PART, "at 5000/s: tollgate, everysec, p50", AtMost(0.5)),
    (ingest::PART, "at 5000/s: tollgate, everysec, p99", AtMost(5.0)),
    (queue::PART, "tollgate / raw, everysec", AtLeast(0.75)),
    (
        worker::PART,
        "simple projections: tollgate, everysec",
        AtLeast(15_000.0),
    ),
    (worker::PART, "simple projections: CPU of all", AtMost(0.065)),
    (
        worker::PART,
        "full money effects: tollgate, everysec",
        AtLeast(6_000.0),
    ),
    (end_to_end::PART, "500/s, everysec, p50", AtMost(3.0)),
    (end_to_end::PART, "500/s, everysec, p99", AtMost(8.0)),
    (end_to_end::PART, "1000/s, everysec, p99", AtMost(15.0)),
    (end_to_end::PART, "5000/s, everysec, p99", AtMost(60.0)),
    (end_to_end::PART, "idle pick-up, p99", AtMost(5.0)),
    (api::PART, "state, kept, p99", AtMost(5.0)),
    (api::PART, "state, not kept, p99", AtMost(20.0)),
    (api::PART, "spend, 10000 users, p99", AtMost(15.0)),
    (api::PART, "spend, one user, p99", AtMost(50.0)),
    (api::PART, "checkout beyond Stripe, p99", AtMost(20.0)),
    (growth::PART, growth::RATIO, AtMost(1.25)),
];

/// Adds what follows from what was measured, and says where it should get.
pub(super) fn judge(report: &mut Report) {
    for (part, figure, derived) in DERIVED {
        report.derive(part, figure, derived);
    }
    for (part, figure, goal) in GOALS {
        report.aim(part, figure, *goal);
    }
    // What was derived comes after everything measured; each part's rows belong together.
    let parts: Vec<&str> = report.rows.iter().map(|row| row.part).collect();
    let place = |part: &str| parts.iter().position(|it| *it == part);
    report.rows.sort_by_key(|row| place(row.part));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::report::Unit;
    use super::*;

    #[test]
    fn parts_stay_together_when_ratios_are_added() {
        let mut report = Report::default();
        for level in ["everysec", "always"] {
            report.add(
                queue::PART,
                &format!("tollgate, no-op, {level}"),
                Unit::PerSecond,
                8.0,
            );
            report.add(
                queue::PART,
                &format!("raw XREADGROUP + XACK + XDEL, {level}"),
                Unit::PerSecond,
                10.0,
            );
        }
        report.add(end_to_end::PART, "500/s, everysec, p99", Unit::Ms, 9.0);
        judge(&mut report);
        let parts: Vec<&str> = report.rows.iter().map(|row| row.part).collect();
        assert_eq!(
            parts,
            ["queue"; 6]
                .iter()
                .chain(&["end-to-end"])
                .copied()
                .collect::<Vec<_>>()
        );
        let verdicts: Vec<Option<bool>> = report
            .rows
            .iter()
            .map(super::super::report::Row::is_met)
            .collect();
        assert_eq!(verdicts, [None, None, None, None, Some(true), None, Some(false)]);
    }

    #[test]
    fn goals_for_derived_figures_name_them_right() {
        let derived: BTreeSet<&str> = DERIVED.iter().map(|(_, figure, _)| *figure).collect();
        let named = GOALS
            .iter()
            .filter(|(_, figure, _)| figure.contains('/') && figure.contains(" / "));
        for (_, figure, _) in named {
            assert!(derived.contains(figure) || *figure == growth::RATIO, "{figure}");
        }
    }
}
