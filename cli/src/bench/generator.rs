//! Requests in, latencies out. One thread, requests made beforehand, and no HTTP library: on two cores every
//! microsecond of the generator is missing elsewhere.
//!
//! Closed loop: each connection sends its next request when the last one is answered. Open loop: requests have times
//! of their own, whatever the answers do, and latency counts from the intended time, so that a server that stalls
//! pays for everybody who had to wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::stats::sorted;

/// Connections in both loops.
pub(super) const CONNECTIONS: usize = 64;
/// Longest wait for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Shot {
    /// Answered with 200.
    pub accepted: u64,
    /// Answered with anything else.
    pub refused: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Of all answers, ascending.
    pub latencies_ms: Vec<f64>,
}

/// Sends `requests` over and over for `duration`, as fast as they are answered.
pub(super) fn closed(
    address: SocketAddr,
    requests: &Arc<Vec<Bytes>>,
    duration: Duration,
) -> io::Result<Shot> {
    run(async {
        let mut lanes = JoinSet::new();
        let connections = connect(address).await?;
        let began = Instant::now();
        for (lane, mut connection) in connections.into_iter().enumerate() {
            let requests = Arc::clone(requests);
            lanes.spawn(async move {
                let mut shot = Shot::default();
                let mut next = lane;
                while began.elapsed() < duration {
                    let sent = Instant::now();
                    let status = connection.exchange(&requests[next % requests.len()]).await?;
                    shot.count(status, sent.elapsed());
                    next += CONNECTIONS;
                }
                io::Result::Ok(shot)
            });
        }
        join(lanes, began).await
    })
}

/// Sends each of `requests` once, `rate` a second.
pub(super) fn open(address: SocketAddr, requests: &Arc<Vec<Bytes>>, rate: f64) -> io::Result<Shot> {
    let connect = async || {
        let lane = |connection| Http {
            connection,
            requests: Arc::clone(requests),
        };
        Ok(connect(address).await?.into_iter().map(lane).collect())
    };
    paced(connect, requests.len(), rate)
}

/// Whoever answers what is due, one thing at a time.
pub(super) trait Lane: Send + 'static {
    /// Does the thing of that number, and says with which status it ended.
    fn exchange(&mut self, number: usize) -> impl Future<Output = io::Result<u16>> + Send;
}

struct Http {
    connection: Connection,
    requests: Arc<Vec<Bytes>>,
}

impl Lane for Http {
    async fn exchange(&mut self, number: usize) -> io::Result<u16> {
        self.connection.exchange(&self.requests[number]).await
    }
}

/// The open loop: lets lanes do `count` things, `rate` a second, each with a time of its own.
pub(super) fn paced<L: Lane>(
    connect: impl AsyncFnOnce() -> io::Result<Vec<L>>,
    count: usize,
    rate: f64,
) -> io::Result<Shot> {
    run(async {
        let mut all = JoinSet::new();
        let lanes = connect().await?;
        let (pacer, due) = mpsc::unbounded_channel();
        let due = Arc::new(Mutex::new(due));
        let began = Instant::now();
        // A thread of its own: the runtime's timers count whole milliseconds.
        let pacing = std::thread::spawn(move || {
            for number in 0..count {
                let at = began + Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if pacer.send((number, at)).is_err() {
                    break;
                }
            }
        });
        for mut lane in lanes {
            let due = Arc::clone(&due);
            all.spawn(async move {
                let mut shot = Shot::default();
                loop {
                    let next = due.lock().await.recv().await;
                    let Some((number, at)) = next else { break };
                    let status = lane.exchange(number).await?;
                    shot.count(status, at.elapsed());
                }
                io::Result::Ok(shot)
            });
        }
        let shot = join(all, began).await;
        // It ends with the last request, or with the lanes.
        drop(due);
        pacing
            .join()
            .map_err(|_| io::Error::other("the pacer panicked"))?;
        shot
    })
}

fn run<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(future)
}

async fn connect(address: SocketAddr) -> io::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        connections.push(Connection {
            stream,
            answer: Vec::with_capacity(1024),
        });
    }
    Ok(connections)
}

async fn join(mut lanes: JoinSet<io::Result<Shot>>, began: Instant) -> io::Result<Shot> {
    let mut all = Shot::default();
    while let Some(lane) = lanes.join_next().await {
        let lane = lane.map_err(io::Error::other)??;
        all.accepted += lane.accepted;
        all.refused += lane.refused;
        all.latencies_ms.extend(lane.latencies_ms);
    }
    all.seconds = began.elapsed().as_secs_f64();
    all.latencies_ms = sorted(all.latencies_ms);
    Ok(all)
}

impl Shot {
    fn count(&mut self, status: u16, latency: Duration) {
        if status == 200 {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
        self.latencies_ms.push(latency.as_secs_f64() * 1000.0);
    }
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Sends one request and reads its answer to the end. Returns the status.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        let exchange = async {
            self.stream.write_all(request).await?;
            self.answer.clear();
            loop {
                if self.stream.read_buf(&mut self.answer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if let Some((status, length)) = head(&self.answer)
                    && self.answer.len() >= length
                {
                    return Ok(status);
                }
            }
        };
        tokio::time::timeout(ANSWER_LIMIT, exchange)
            .await
            .map_err(|_| io::Error::other("no answer in time"))?
    }
}

/// The status of an answer and the length of all of it, once its head is complete.
fn head(answer: &[u8]) -> Option<(u16, usize)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Some((status, end + length.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-le"), None);
        assert_eq!(
            head(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            Some((200, 38))
        );
        assert_eq!(
            head(b"HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\nab"),
            Some((503, 42))
        );
    }
}
