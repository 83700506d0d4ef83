//! Several connections over which commands go out in batches.
//!
//! Redis does its work in turns. In each it takes some [`TURN_BYTES`] from a connection, does all that it took from all
//! of them, writes it to its file, syncs that when it has to (`appendfsync always`), and only then answers. So commands
//! on one connection wait for a turn, and a sync, for each so many bytes; those on several share them.
//!
//! A lane is a connection with one batch under way. A batch is what waits when a lane is free. It never waits to become
//! larger: while Redis is busy it does all the same. Where Redis syncs in each turn, a batch is what it takes in one, and
//! as many lanes as it needs carry the rest; elsewhere turns cost little, and few large batches cost least.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use super::gate::Syncs;
use super::{Link, QueueError, RESPONSE_TIMEOUT};

/// Bytes Redis takes from a connection in a turn (its `PROTO_IOBUF_LEN`).
const TURN_BYTES: usize = 16 * 1024;
/// Most bytes of a batch where a turn costs little.
const BATCH_BYTES: usize = 64 * 1024;
/// Connections. So many times [`TURN_BYTES`] share a sync: with bodies of 3 KiB, some 64 requests.
const LANES: usize = 16;
/// What a command takes beside its arguments, about, in bytes.
const COMMAND_BYTES: usize = 64;

/// Cheap to clone. The connections end with the last clone.
#[derive(Clone)]
pub(super) struct Lanes {
    queue: Arc<Queue>,
    _tasks: Arc<JoinSet<()>>,
}

struct Queue {
    state: Mutex<State>,
    news: Notify,
    syncs: Syncs,
}

/// What waits for a lane. Bounded by who waits: each of ingest's connections has one request at a time.
#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Of all that waits.
    bytes: usize,
    /// A lane was called and has not come yet. One is enough: it calls the next when it leaves something.
    is_called: bool,
}

struct Waiting {
    command: Cmd,
    bytes: usize,
    since: Instant,
    answer: oneshot::Sender<RedisResult<Value>>,
}

impl Lanes {
    /// Prepares lazy connections; nothing is sent yet. `after` goes out behind each batch, and its answer is that of
    /// each command of the batch that was not refused.
    pub(super) fn new(url: &str, after: Option<Cmd>, syncs: Syncs) -> Result<Self, QueueError> {
        let queue = Arc::new(Queue::new(syncs));
        let mut tasks = JoinSet::new();
        for link in Link::several(url, RESPONSE_TIMEOUT, LANES)? {
            tasks.spawn(run(Arc::clone(&queue), link, after.clone()));
        }
        Ok(Self {
            queue,
            _tasks: Arc::new(tasks),
        })
    }

    /// Sends a command with `bytes` of arguments, and answers within [`super::ENQUEUE_TIMEOUT`].
    pub(super) async fn ask(&self, command: Cmd, bytes: usize) -> RedisResult<Value> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Waiting {
            command,
            bytes: bytes + COMMAND_BYTES,
            since: Instant::now(),
            answer,
        });
        answered.await.unwrap_or_else(|_| Err(given_up()))
    }
}

impl Queue {
    fn new(syncs: Syncs) -> Self {
        Self {
            state: Mutex::default(),
            news: Notify::new(),
            syncs,
        }
    }

    fn push(&self, waiting: Waiting) {
        let mut state = self.state();
        state.bytes += waiting.bytes;
        state.waiting.push_back(waiting);
        self.call(&mut state);
    }

    /// What waits, as much as a batch holds. Who has waited too long, or left, is not sent any more.
    fn take(&self) -> Vec<Waiting> {
        let mut room = self.batch_bytes();
        let mut batch = Vec::new();
        let mut state = self.state();
        while let Some(next) = state
            .waiting
            .pop_front_if(|next| batch.is_empty() || next.bytes <= room)
        {
            state.bytes -= next.bytes;
            if next.answer.is_closed() {
                continue;
            }
            if next.since.elapsed() > RESPONSE_TIMEOUT {
                next.answer.send(Err(given_up())).ok();
                continue;
            }
            room = room.saturating_sub(next.bytes);
            batch.push(next);
        }
        state.is_called = false;
        self.call(&mut state);
        batch
    }

    /// A lane, if anything waits. The one that was busy last: when there is little to do, the others may sleep.
    fn call(&self, state: &mut State) {
        if !state.waiting.is_empty() && !state.is_called {
            state.is_called = true;
            self.news.notify_last();
        }
    }

    fn has_a_batch(&self) -> bool {
        self.state().bytes >= self.batch_bytes()
    }

    fn batch_bytes(&self) -> usize {
        if self.syncs.get() { TURN_BYTES } else { BATCH_BYTES }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lane. Ends when it is dropped.
async fn run(queue: Arc<Queue>, mut link: Link, after: Option<Cmd>) {
    loop {
        queue.news.notified().await;
        if !queue.has_a_batch() {
            // Whoever can run now may add something: requests that arrived together go out together.
            tokio::task::yield_now().await;
        }
        let mut batch = queue.take();
        while !batch.is_empty() {
            exchange(&mut link, batch, after.as_ref()).await;
            batch = queue.take();
        }
    }
}

async fn exchange(link: &mut Link, batch: Vec<Waiting>, after: Option<&Cmd>) {
    let mut pipeline = Pipeline::with_capacity(batch.len() + 1);
    let mut answers = Vec::with_capacity(batch.len());
    for waiting in batch {
        pipeline.add_command(waiting.command);
        answers.push(waiting.answer);
    }
    if let Some(after) = after {
        pipeline.add_command(after.clone());
    }
    match link.req_packed_commands(&pipeline, 0, pipeline.len()).await {
        Ok(values) => {
            for (answer, value) in answers.into_iter().zip(each(values, after.is_some())) {
                answer.send(value).ok();
            }
        }
        Err(error) => {
            for answer in answers {
                answer.send(Err(error.clone())).ok();
            }
        }
    }
}

/// What each command of a batch is answered. Where something went out behind it, that answer is theirs.
fn each(mut values: Vec<Value>, has_after: bool) -> impl Iterator<Item = RedisResult<Value>> {
    let last = if has_after { values.pop() } else { None };
    values.into_iter().map(move |value| {
        match (&last, value) {
            (Some(last), value) if !matches!(value, Value::ServerError(_)) => last.clone(),
            (_, value) => value,
        }
        .extract_error()
    })
}

fn given_up() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Answered = oneshot::Receiver<RedisResult<Value>>;

    fn push(queue: &Queue, name: &str, bytes: usize, age: Duration) -> Answered {
        let (answer, answered) = oneshot::channel();
        queue.push(Waiting {
            command: redis::cmd(name),
            bytes,
            since: Instant::now().checked_sub(age).expect("an hour after the epoch"),
            answer,
        });
        answered
    }

    fn names(batch: &[Waiting]) -> Vec<String> {
        let name = |waiting: &Waiting| match waiting.command.args_iter().next() {
            Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
            _ => String::new(),
        };
        batch.iter().map(name).collect()
    }

    #[test]
    fn a_batch_is_what_waits_up_to_what_redis_takes_at_once() {
        let syncs = Syncs::default();
        let queue = Queue::new(syncs.clone());
        assert!(queue.take().is_empty());
        let part = TURN_BYTES / 2;
        let _answered: Vec<Answered> = [
            ("a", part),
            ("b", part),
            ("c", 1),
            ("d", TURN_BYTES * 9),
            ("e", 1),
        ]
        .map(|(name, bytes)| push(&queue, name, bytes, Duration::ZERO))
        .into();
        assert_eq!(names(&queue.take()), ["a", "b"]);
        assert_eq!(names(&queue.take()), ["c"]);
        assert_eq!(names(&queue.take()), ["d"], "what is larger goes alone");
        assert_eq!(names(&queue.take()), ["e"]);

        syncs.set(false);
        let _answered: Vec<Answered> = ["a", "b", "c"]
            .map(|name| push(&queue, name, TURN_BYTES, Duration::ZERO))
            .into();
        assert_eq!(
            names(&queue.take()),
            ["a", "b", "c"],
            "a sync is not the price of a turn"
        );
    }

    #[test]
    fn who_waited_too_long_or_left_is_not_sent() {
        let queue = Queue::new(Syncs::default());
        let mut late = push(&queue, "late", 1, RESPONSE_TIMEOUT * 2);
        drop(push(&queue, "left", 1, Duration::ZERO));
        let _stays = push(&queue, "stays", 1, Duration::ZERO);
        assert_eq!(names(&queue.take()), ["stays"]);
        let error = late.try_recv().expect("answered").expect_err("given up");
        assert!(error.is_timeout());
    }

    #[test]
    fn one_that_is_refused_is_refused_alone() {
        let value = |text: &[u8]| redis::parse_redis_value(text).expect("an answer");
        let batch = || vec![value(b"+1-0\r\n"), value(b"-OOM full\r\n"), value(b":2\r\n")];
        let answers = |has_after| -> Vec<Result<Value, String>> {
            each(batch(), has_after)
                .map(|answer| answer.map_err(|error| error.code().unwrap_or_default().to_owned()))
                .collect()
        };
        let refused = || Err("OOM".to_owned());
        let added = Ok(Value::SimpleString("1-0".into()));
        assert_eq!(answers(false), [added, refused(), Ok(Value::Int(2))]);
        assert_eq!(answers(true), [Ok(Value::Int(2)), refused()]);
    }
}
