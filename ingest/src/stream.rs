//! The TCP stream under HTTP, with the two things hyper leaves to us: limits for slow headers and for idle
//! connections that are not the same, and closing so that the client gets to read our last answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep};

use crate::config::Limits;
use crate::crowd::Crowd;

/// Most bytes read and thrown away after our last answer.
const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many at a time.
const LINGER_CHUNK: usize = 16 * 1024;

const HEAD: u8 = 0;
const REQUEST: u8 = 1;
const IDLE: u8 = 2;

/// Where a connection is, told by the service to the stream: bytes alone do not show where headers end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<AtomicU8>);

impl Pace {
    /// The headers are complete. The body has a limit of its own.
    pub(crate) fn request(&self) {
        self.0.store(REQUEST, Ordering::Relaxed);
    }

    /// The request is answered; what comes next is another one's headers.
    pub(crate) fn idle(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }

    fn now(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn head(&self) {
        self.0.store(HEAD, Ordering::Relaxed);
    }
}

/// A client's connection.
pub(crate) struct ClientStream {
    tcp: TcpStream,
    pace: Pace,
    head_limit: Duration,
    idle_limit: Duration,
    linger_limit: Duration,
    /// When the headers, the idling or the lingering has to be over.
    deadline: Instant,
    /// Rings at the deadline or before it: most deadlines are put off long before they come, and that costs nothing.
    timer: Pin<Box<Sleep>>,
    is_idle: bool,
    idle_since: Instant,
    crowd: Crowd,
    asked: Pin<Box<OwnedNotified>>,
    /// Bytes that may still be thrown away; `None` before the end.
    lingering: Option<usize>,
}

impl ClientStream {
    /// The first headers' time starts now: whoever connects has something to say.
    pub(crate) fn new(tcp: TcpStream, pace: Pace, crowd: Crowd, limits: &Limits) -> Self {
        let now = Instant::now();
        let deadline = now + limits.head;
        Self {
            tcp,
            pace,
            head_limit: limits.head,
            idle_limit: limits.idle,
            linger_limit: limits.linger,
            deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            is_idle: false,
            idle_since: now,
            asked: Box::pin(crowd.asked()),
            crowd,
            lingering: None,
        }
    }

    /// Whether idling is over because somebody waits for a connection to end.
    fn gives_way(&mut self, cx: &mut Context<'_>) -> bool {
        while self.asked.as_mut().poll(cx).is_ready() {
            let next = self.crowd.asked();
            self.asked.set(next);
        }
        self.crowd.takes(self.idle_since.elapsed())
    }

    /// Whether nothing was begun for so long that nothing will be.
    fn is_done_idling(&mut self, cx: &mut Context<'_>) -> bool {
        self.gives_way(cx) || self.is_over(cx)
    }

    fn restart(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
        if self.deadline < self.timer.deadline() {
            self.timer.as_mut().reset(self.deadline);
        }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return true;
            }
            self.timer.as_mut().reset(self.deadline);
        }
        false
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let pace = this.pace.now();
        if pace == IDLE && !this.is_idle {
            this.is_idle = true;
            this.idle_since = Instant::now();
            this.restart(this.idle_limit);
        }
        if pace == HEAD && this.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let read = Pin::new(&mut this.tcp).poll_read(cx, buf);
        // Only then: whoever has sent something meanwhile is owed an answer. To hyper, an idle client hangs up.
        if pace == IDLE && read.is_pending() && this.is_done_idling(cx) {
            return Poll::Ready(Ok(()));
        }
        ready!(read)?;
        if pace == IDLE {
            this.is_idle = false;
            this.pace.head();
            this.restart(this.head_limit);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    /// Says that nothing more comes from us, then reads and throws away what the client still sends.
    ///
    /// Closing with unread bytes makes the kernel send a reset, and a reset makes the client's kernel
    /// drop what it has not read yet: our answer. So a client still busy sending 6 MiB would see a broken
    /// connection and not the 413. (nginx calls this a lingering close.)
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut left = match this.lingering {
            Some(left) => left,
            None => {
                ready!(Pin::new(&mut this.tcp).poll_shutdown(cx))?;
                this.restart(this.linger_limit);
                LINGER_BYTES_MAX
            }
        };
        let mut waste = [0; LINGER_CHUNK];
        loop {
            this.lingering = Some(left);
            if left == 0 || this.is_over(cx) {
                return Poll::Ready(Ok(()));
            }
            let mut waste = ReadBuf::new(&mut waste);
            let read = ready!(Pin::new(&mut this.tcp).poll_read(cx, &mut waste));
            // An end or an error: the client is gone, and with it the reason to wait.
            if read.is_err() || waste.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            left = left.saturating_sub(waste.filled().len());
        }
    }
}
