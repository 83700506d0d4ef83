//! `tollgate idle`: wait until everything that came in has had its effect.
//!
//! A worker commits an event's marks before it acknowledges the event, and a reckoner takes marks in the transaction
//! that writes what follows from them. So whoever finds Redis empty, and then Postgres with nothing waiting, has
//! missed nothing that was accepted before. What Stripe was asked may come back through Redis: so twice in a row.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::clock::Clock;
use shared::config::{Common, Reader};
use shared::queue::Probe;
use store::{SchemaError, Store, Waiting};

use crate::{answer, fail, tool};

/// Exit status when time ran out before everything was done.
pub(crate) const EXIT_NOT_IDLE: u8 = 1;
/// How many looks in a row must find nothing.
const QUIET_LOOKS: u32 = 2;
/// Pause between looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Connections it takes.
const CONNECTIONS_MAX: u32 = 1;

/// The part of the help that options cannot say.
pub(crate) const HELP: &str = "\
Needs REDIS_URL and DATABASE_URL, and workers that run elsewhere. Idle means, twice in a row: no event is queued or
in a worker's hands, nothing is marked to be reckoned, nothing is due to be asked of Stripe. What is set aside for
a person (parked events, marks with trouble, refetches given up) or due later is not waited for.

Examples:
  tollgate idle && tollgate state --json
  tollgate idle --timeout 2m --json

Exit status: 0 idle; 1 not idle in time, with what is left, or not to be found out; 78 for unusable settings.";

/// What `tollgate idle` takes. Redis is `REDIS_URL`, the database `DATABASE_URL`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Longest to wait: 500ms, 30s, 2m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
}

struct Settings {
    redis: Common,
    database_url: String,
}

/// What is left to do.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Left {
    /// Events in Redis, those in flight included.
    queued: u64,
    /// Of those, how many a worker holds.
    in_flight: u64,
    /// Events in Redis that only a newer build can read.
    newer: u64,
    marks: u64,
    refetches_due: u64,
}

#[derive(Serialize)]
struct Answer {
    idle: bool,
    waited_ms: u128,
    /// As last seen; absent when nobody could be asked.
    left: Option<Left>,
    /// Why nobody could be asked.
    trouble: Option<String>,
}

/// Runs the command.
pub(crate) fn main(options: &Options) -> ExitCode {
    tool::run(read, |settings| run(options, settings))
}

fn read(reader: &mut Reader<'_>) -> Settings {
    Settings {
        redis: Common::read(reader),
        database_url: worker::config::database_url(reader),
    }
}

async fn run(options: &Options, settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    let began = Instant::now();
    let mut eye = Eye::new(
        &settings.redis.redis_url,
        &settings.redis.redis_prefix,
        &settings.database_url,
    )?;
    let last = watch(async || eye.look().await, began + options.timeout).await?;
    let (left, trouble) = match last {
        Ok(left) => (Some(left), None),
        Err(trouble) => (None, Some(trouble)),
    };
    let result = Answer {
        idle: left == Some(Left::default()),
        waited_ms: began.elapsed().as_millis(),
        left,
        trouble,
    };
    report(options, &result);
    Ok(ExitCode::from(if result.idle { 0 } else { EXIT_NOT_IDLE }))
}

/// What a look finds: what is left, or why that cannot be said now.
pub(crate) type Seen = Result<Left, String>;

/// Looks until nothing is left [`QUIET_LOOKS`] times in a row, or until the deadline. Returns what was seen last.
pub(crate) async fn watch(
    mut look: impl AsyncFnMut() -> Result<Seen, SchemaError>,
    deadline: Instant,
) -> Result<Seen, SchemaError> {
    let mut quiet = 0;
    loop {
        let seen = look().await?;
        quiet = if seen == Ok(Left::default()) { quiet + 1 } else { 0 };
        // Who has seen nothing once may look again, whatever the time.
        if quiet == QUIET_LOOKS || (quiet == 0 && Instant::now() >= deadline) {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Who looks.
pub(crate) struct Eye {
    probe: Probe,
    store: Store,
    clock: Clock,
    /// Whether the schema has been found to suit.
    suits: bool,
}

impl Eye {
    /// Prepares lazy connections.
    pub(crate) fn new(redis_url: &str, prefix: &str, database_url: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            probe: Probe::new(redis_url, prefix)?,
            store: Store::new(database_url, "tollgate-idle", CONNECTIONS_MAX)?,
            clock: Clock::system(),
            suits: false,
        })
    }

    /// Redis first: see the module's words.
    pub(crate) async fn look(&mut self) -> Result<Seen, SchemaError> {
        if !self.suits {
            match self.store.check_schema().await {
                Ok(()) => self.suits = true,
                Err(SchemaError::Store(error)) => return Ok(Err(error.to_string())),
                Err(error) => return Err(error),
            }
        }
        let depth = match self.probe.depth(self.clock.unix_ms()).await {
            Ok(depth) => depth,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let seen = self.store.waiting().await.map(|waiting| {
            let Waiting { marks, refetches_due } = waiting;
            Left {
                queued: depth.entries,
                in_flight: depth.in_flight,
                newer: depth.newer,
                marks,
                refetches_due,
            }
        });
        Ok(seen.map_err(|error| error.to_string()))
    }
}

fn report(options: &Options, result: &Answer) {
    if options.json {
        answer(&tool::json(result));
    } else if result.idle {
        answer(&format!("idle after {} ms", result.waited_ms));
    }
    if result.idle {
        return;
    }
    let reason = match (&result.left, &result.trouble) {
        (Some(left), _) => format!("left: {}", in_words(left)),
        (None, trouble) => trouble.clone().unwrap_or_default(),
    };
    fail(&format!("not idle after {} ms; {reason}", result.waited_ms));
}

/// What is left, and who should be doing it.
fn in_words(left: &Left) -> String {
    let parts = [
        (left.queued, "events queued"),
        (left.in_flight, "of them in a worker's hands"),
        (left.newer, "events for a newer build"),
        (left.marks, "marks to be reckoned"),
        (left.refetches_due, "objects to be asked of Stripe"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    let hint = if left.in_flight == 0 {
        "; does a worker run?"
    } else {
        ""
    };
    parts.join(", ") + hint
}

/// A whole number and its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is no duration; write it as 500ms, 30s, 2m or 1h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(ms)
        .filter(|ms| *ms <= TIMEOUT_MAX_MS)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is longer than a day"))
}

/// Longest timeout: a day.
const TIMEOUT_MAX_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SOMETHING: Left = Left {
        queued: 1,
        in_flight: 0,
        newer: 0,
        marks: 0,
        refetches_due: 0,
    };

    /// How many looks it took, and what was seen last. After the given ones, it sees the last of them for ever.
    async fn looks(seen: &[Seen], limit: Duration) -> (usize, Seen) {
        let mut count = 0;
        let look = async || {
            count += 1;
            Ok(seen[(count - 1).min(seen.len() - 1)].clone())
        };
        let last = watch(look, Instant::now() + limit).await.expect("no schema here");
        (count, last)
    }

    #[tokio::test]
    async fn nothing_must_be_left_twice_in_a_row() {
        let nothing = Ok(Left::default());
        let long = Duration::from_secs(60);
        let cases: [(&[Seen], usize); 3] = [
            (std::slice::from_ref(&nothing), 2),
            (&[nothing.clone(), Ok(SOMETHING), nothing.clone()], 4),
            (
                &[
                    Err("away".into()),
                    nothing.clone(),
                    Err("away".into()),
                    nothing.clone(),
                ],
                5,
            ),
        ];
        for (seen, wanted) in cases {
            assert_eq!(looks(seen, long).await, (wanted, nothing.clone()), "{seen:?}");
        }
        assert_eq!(
            looks(std::slice::from_ref(&nothing), Duration::ZERO).await,
            (2, nothing)
        );
        assert_eq!(looks(&[Ok(SOMETHING)], Duration::ZERO).await, (1, Ok(SOMETHING)));
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("0s", 0),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        for text in [
            "",
            "30",
            "s",
            "1.5s",
            "-1s",
            "3 s",
            "25h",
            "99999999999999999999s",
            "30sec",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
