//! The report as a table for people, and as JSON for machines. Pure.

use serde_json::{Value, json};

use super::report::{Goal, Report, Row, Unit};

/// Processes with a column of their own, where they have worked for one of a part's figures, and its heading.
const PROCESSES: [(&str, &str); 6] = [
    ("ingest", "ingest"),
    ("worker", "worker"),
    ("api", "api"),
    ("redis", "redis"),
    ("postgres", "postgr."),
    ("load", "load"),
];
/// Width of the columns for CPU time.
const CPU_WIDTH: usize = 8;

/// All rows, by part.
pub(super) fn table(report: &Report) -> String {
    let width = report
        .rows
        .iter()
        .map(|row| row.figure.chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for part in report.rows.chunk_by(|row, next| row.part == next.part) {
        let columns = columns(part);
        lines.push(String::new());
        lines.push(heading(part[0].part, width, &columns));
        lines.extend(part.iter().map(|row| line(row, width, &columns)));
    }
    lines.join("\n")
}

type Columns = Vec<(&'static str, &'static str)>;

fn columns(part: &[Row]) -> Columns {
    let has = |process| part.iter().any(|row| row.cpu_of(process).is_some());
    PROCESSES
        .into_iter()
        .filter(|(process, _)| has(process))
        .collect()
}

fn heading(part: &str, width: usize, columns: &Columns) -> String {
    let cpu: String = columns
        .iter()
        .map(|(_, heading)| format!("{heading:>CPU_WIDTH$}"))
        .collect();
    format!(
        "{:<width$}  {:>12} {:<10}  {:>21} {cpu}  goal",
        part.to_uppercase(),
        "median",
        "",
        "min .. max"
    )
}

fn line(row: &Row, width: usize, columns: &Columns) -> String {
    let (median, range) = row.spread().map_or(("-".to_owned(), String::new()), |it| {
        let range = format!("{} .. {}", number(row.unit, it.min), number(row.unit, it.max));
        (number(row.unit, it.median), range)
    });
    let cpu = |(process, _): &(&str, &str)| match row.cpu_of(process) {
        Some(seconds) => format!("{seconds:>CPU_WIDTH$.4}"),
        None => " ".repeat(CPU_WIDTH),
    };
    let verdict = match (row.goal, row.is_met()) {
        (Some(goal), Some(is_met)) => {
            let (sign, bound) = parts(goal);
            let met = if is_met { "met" } else { "MISSED" };
            format!("  {sign} {}  {met}", number(row.unit, bound))
        }
        _ => String::new(),
    };
    let line = format!(
        "{:<width$}  {median:>12} {:<10}  {range:>21} {}{verdict}",
        row.figure,
        name(row.unit),
        columns.iter().map(cpu).collect::<String>(),
    );
    line.trim_end().to_owned()
}

fn parts(goal: Goal) -> (&'static str, f64) {
    match goal {
        Goal::AtLeast(bound) => ("≥", bound),
        Goal::AtMost(bound) => ("≤", bound),
    }
}

fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "events/s",
        Unit::Ms => "ms",
        Unit::Ratio => "",
        Unit::CpuSeconds => "cpu-s/1000",
        Unit::Bytes => "bytes",
        Unit::Seconds => "s",
    }
}

/// As many digits as mean anything.
fn number(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond | Unit::Bytes => format!("{value:.0}"),
        Unit::Ms | Unit::Ratio | Unit::Seconds => format!("{value:.2}"),
        Unit::CpuSeconds => format!("{value:.4}"),
    }
}

/// One object for each row.
pub(super) fn rows(report: &Report) -> Value {
    let row = |row: &Row| {
        let spread = row.spread();
        let cpu = PROCESSES.map(|(process, _)| (process, row.cpu_of(process)));
        let cpu: serde_json::Map<String, Value> = cpu
            .into_iter()
            .filter_map(|(process, seconds)| Some((process.to_owned(), json!(seconds?))))
            .collect();
        json!({
            "part": row.part, "figure": row.figure, "unit": row.unit,
            "median": spread.map(|it| it.median), "min": spread.map(|it| it.min), "max": spread.map(|it| it.max),
            "samples": row.samples, "cpu_s_per_1000": cpu,
            "goal": row.goal.map(|goal| json!({"is": parts(goal).0, "value": parts(goal).1})),
            "met": row.is_met(),
        })
    };
    report.rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cpu::Cpu;
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        let cpu = Cpu::from([("redis", 0.0123)]);
        report.add_with_cpu("queue", "consume", Unit::PerSecond, 1000.0, cpu);
        report.add("queue", "consume / raw", Unit::Ratio, 0.5);
        report.aim("queue", "consume / raw", Goal::AtLeast(0.75));
        report
    }

    #[test]
    fn rows_line_up_and_say_whether_the_goal_is_met() {
        let table = table(&report());
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("QUEUE"), "{table}");
        assert!(
            lines[2].contains("1000 events/s") && lines[2].contains("0.0123"),
            "{table}"
        );
        assert!(lines[3].ends_with("≥ 0.75  MISSED"), "{table}");
    }

    #[test]
    fn json_carries_samples_goal_and_verdict() {
        let rows = rows(&report());
        assert_eq!(rows[0]["cpu_s_per_1000"], json!({"redis": 0.0123}));
        assert_eq!(rows[0]["unit"], "events/s");
        assert_eq!(rows[0]["met"], Value::Null);
        assert_eq!(rows[1]["goal"], json!({"is": "≥", "value": 0.75}));
        assert_eq!(rows[1]["met"], false);
        assert_eq!(rows[1]["samples"], json!([0.5]));
    }
}
