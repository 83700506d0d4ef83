//! A connection for short commands that never stays with a server it can do nothing with.
//!
//! The library's own manager reconnects when the connection is lost. That is not enough: after a failover the old
//! master may live on and answer `READONLY` to every write, and a peer whose packets get lost answers nothing at all;
//! to both, the connection looks healthy. So an answer that says "not here", or none in time, replaces it, which
//! also asks the name service again.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
};

use super::{CONNECT_TIMEOUT, QueueError};

/// Least time between two replacements: a server that stays read-only is not stormed.
const REPLACE_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between the manager's own attempts to reconnect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Bytes a busy connection gathers before a write. Without it every command is a write of its own.
const WRITE_BYTES: usize = 64 * 1024;

/// Answers or fails in time. Cheap to clone; all clones share one pipelined connection.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    /// Of its connection, among those to this server.
    place: usize,
}

struct Shared {
    client: Client,
    /// Longest wait for an answer, that for a reconnect included.
    limit: Duration,
    current: RwLock<Current>,
}

struct Current {
    managers: Vec<ConnectionManager>,
    /// Which ones they are: of many commands that fail together, one replaces the connections.
    number: u64,
    since: Instant,
}

impl Link {
    /// Prepares a lazy connection whose answers may take `limit`; nothing is sent yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`QueueError::BadUrl`].
    pub fn new(url: &str, limit: Duration) -> Result<Self, QueueError> {
        let shared = Arc::new(Shared::new(url, limit, 1)?);
        Ok(Self { shared, place: 0 })
    }

    /// The same with `count` connections to one server. What one of them finds out about it holds for all: they are
    /// replaced together.
    pub(super) fn several(url: &str, limit: Duration, count: usize) -> Result<Vec<Self>, QueueError> {
        let shared = Arc::new(Shared::new(url, limit, count)?);
        let link = |place| Self {
            shared: Arc::clone(&shared),
            place,
        };
        Ok((0..count).map(link).collect())
    }

    /// Connects anew: the server is of no use, although its answers do not show it.
    pub(crate) fn renew(&self) {
        self.replace(self.current().1);
    }

    fn current(&self) -> (ConnectionManager, u64) {
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.managers[self.place].clone(), current.number)
    }

    /// The answer in time; whatever shows that the connection is of no use replaces it.
    async fn bounded<T>(
        &self,
        number: u64,
        answer: impl Future<Output = RedisResult<T>>,
        values: impl FnOnce(&T) -> &[Value],
    ) -> RedisResult<T> {
        let result = tokio::time::timeout(self.shared.limit, answer)
            .await
            .unwrap_or_else(|_| Err(silent()));
        let is_useless = match &result {
            Ok(answer) => values(answer).iter().any(is_refusal_to_write),
            Err(error) => error.is_timeout(),
        };
        if is_useless {
            self.replace(number);
        }
        result
    }

    fn replace(&self, number: u64) {
        let shared = &self.shared;
        let mut current = shared.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != number || current.since.elapsed() < REPLACE_PAUSE {
            return;
        }
        // It fails for a bad URL only, and this one was good.
        if let Ok(managers) = managers(&shared.client, shared.limit, current.managers.len()) {
            *current = Current {
                managers,
                number: number + 1,
                since: Instant::now(),
            };
        }
    }
}

impl Shared {
    fn new(url: &str, limit: Duration, count: usize) -> Result<Self, QueueError> {
        let client = client(url)?;
        let current = RwLock::new(Current {
            managers: managers(&client, limit, count).map_err(QueueError::BadUrl)?,
            number: 0,
            since: Instant::now(),
        });
        Ok(Self {
            client,
            limit,
            current,
        })
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let (mut manager, number) = self.current();
        Box::pin(async move {
            let answer = manager.req_packed_command(command);
            self.bounded(number, answer, std::slice::from_ref).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let (mut manager, number) = self.current();
        Box::pin(async move {
            let answer = manager.req_packed_commands(pipeline, offset, count);
            self.bounded(number, answer, Vec::as_slice).await
        })
    }

    fn get_db(&self) -> i64 {
        self.shared.client.get_connection_info().redis_settings().db()
    }
}

/// A client whose connections send at once: what is small would otherwise wait for the answer to what was before.
pub(super) fn client(url: &str) -> Result<Client, QueueError> {
    let info = url.into_connection_info().map_err(QueueError::BadUrl)?;
    let tcp = TcpSettings::default().set_nodelay(true);
    Client::open(info.set_tcp_settings(tcp)).map_err(QueueError::BadUrl)
}

fn managers(client: &Client, limit: Duration, count: usize) -> RedisResult<Vec<ConnectionManager>> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT.min(limit)))
        // The link's own bound includes waiting for a reconnect.
        .set_response_timeout(None)
        .set_max_delay(RECONNECT_PAUSE_MAX)
        .set_write_backpressure_boundary(WRITE_BYTES);
    let manager = |_| ConnectionManager::new_lazy_with_config(client.clone(), config.clone());
    (0..count).map(manager).collect()
}

fn silent() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// The server is no master any more, or has lost its own: here nothing can be written.
fn is_refusal_to_write(value: &Value) -> bool {
    let Value::ServerError(error) = value else {
        return false;
    };
    matches!(
        error.kind(),
        Some(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    )
}
