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

use super::{CONNECT_TIMEOUT, QueueError, RESPONSE_TIMEOUT};

/// Least time between two replacements: a server that stays read-only is not stormed.
const REPLACE_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between the manager's own attempts to reconnect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Bytes a busy connection gathers before a write. Without it every command is a write of its own.
const WRITE_BYTES: usize = 64 * 1024;

/// Answers or fails within [`RESPONSE_TIMEOUT`]. Cheap to clone; all clones share one pipelined connection.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

struct Shared {
    client: Client,
    current: RwLock<Current>,
}

struct Current {
    manager: ConnectionManager,
    /// Which one it is: of many commands that fail together, one replaces the connection.
    number: u64,
    since: Instant,
}

impl Link {
    /// Prepares a lazy connection; nothing is sent yet. Needs a tokio runtime.
    pub(crate) fn new(url: &str) -> Result<Self, QueueError> {
        let client = client(url)?;
        let current = RwLock::new(Current {
            manager: manager(&client).map_err(QueueError::BadUrl)?,
            number: 0,
            since: Instant::now(),
        });
        Ok(Self(Arc::new(Shared { client, current })))
    }

    /// Connects anew: the server is of no use, although its answers do not show it.
    pub(crate) fn renew(&self) {
        self.replace(self.current().1);
    }

    fn current(&self) -> (ConnectionManager, u64) {
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.manager.clone(), current.number)
    }

    /// The answer in time; whatever shows that the connection is of no use replaces it.
    async fn bounded<T>(
        &self,
        number: u64,
        answer: impl Future<Output = RedisResult<T>>,
        values: impl FnOnce(&T) -> &[Value],
    ) -> RedisResult<T> {
        let result = tokio::time::timeout(RESPONSE_TIMEOUT, answer)
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
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != number || current.since.elapsed() < REPLACE_PAUSE {
            return;
        }
        // It fails for a bad URL only, and this one was good.
        if let Ok(manager) = manager(&self.0.client) {
            *current = Current {
                manager,
                number: number + 1,
                since: Instant::now(),
            };
        }
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
        self.current().0.get_db()
    }
}

/// A client whose connections send at once: what is small would otherwise wait for the answer to what was before.
pub(super) fn client(url: &str) -> Result<Client, QueueError> {
    let info = url.into_connection_info().map_err(QueueError::BadUrl)?;
    let tcp = TcpSettings::default().set_nodelay(true);
    Client::open(info.set_tcp_settings(tcp)).map_err(QueueError::BadUrl)
}

fn manager(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // The link's own bound includes waiting for a reconnect.
        .set_response_timeout(None)
        .set_max_delay(RECONNECT_PAUSE_MAX)
        .set_write_backpressure_boundary(WRITE_BYTES);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
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
