//! The way between two processes, for those who want to break it: a TCP proxy whose connections can be cut, stalled,
//! left half open, led elsewhere, or ended at an exact message.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a silent or stalled connection looks whether it still may.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Bytes moved at once.
const PIECE_BYTES: usize = 16 * 1024;

/// What becomes of a connection when some bytes are on their way from the client to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They go on.
    Pass,
    /// They get lost, and the connection with them.
    CutBefore,
    /// They arrive, and the connection ends before the answer does.
    CutAfter,
}

/// Looks at the bytes of one connection from the client to the server, piece by piece.
pub type Tap = Box<dyn FnMut(&[u8]) -> Verdict + Send>;

/// A proxy on a port of its own of 127.0.0.1. It ends when it is dropped, and its connections with it.
pub struct Proxy {
    address: SocketAddr,
    control: Arc<Control>,
}

struct Control {
    target: Mutex<SocketAddr>,
    new_tap: Box<dyn Fn() -> Tap + Send + Sync>,
    /// Connections that began before this number was reached end.
    cut_below: AtomicU64,
    /// Of these, only the server's side ends.
    half_open_below: AtomicU64,
    connections: AtomicU64,
    /// The client's and the server's side of those that live, by number.
    live: Mutex<BTreeMap<u64, (TcpStream, TcpStream)>>,
    is_stalled: AtomicBool,
    is_refusing: AtomicBool,
    is_over: AtomicBool,
}

impl Proxy {
    /// Passes everything on to `target`.
    ///
    /// # Errors
    /// No port to listen on.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::tapped(target, || Box::new(|_| Verdict::Pass))
    }

    /// The same, with a look at what clients send: `new_tap` is called for each connection.
    ///
    /// # Errors
    /// No port to listen on.
    pub fn tapped(target: SocketAddr, new_tap: impl Fn() -> Tap + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let control = Arc::new(Control {
            target: Mutex::new(target),
            new_tap: Box::new(new_tap),
            cut_below: AtomicU64::new(0),
            half_open_below: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            live: Mutex::default(),
            is_stalled: AtomicBool::new(false),
            is_refusing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&control);
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { address, control })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections elsewhere; those there are stay.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.control.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Ends all connections, on both sides.
    pub fn cut(&self) {
        self.control.mark(&self.control.cut_below);
        for (client, server) in self.control.live().values() {
            end(client, server);
        }
    }

    /// Ends all connections for the server; clients hear nothing at all any more.
    pub fn half_open(&self) {
        self.control.mark(&self.control.half_open_below);
        for (_, server) in self.control.live().values() {
            drop(server.shutdown(Shutdown::Both));
        }
    }

    /// Whether bytes stay where they are, in both directions.
    pub fn stall(&self, stalled: bool) {
        self.control.is_stalled.store(stalled, Ordering::SeqCst);
    }

    /// Whether new connections end at once.
    pub fn refuse(&self, refused: bool) {
        self.control.is_refusing.store(refused, Ordering::SeqCst);
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.control.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control.is_over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Control {
    fn mark(&self, below: &AtomicU64) {
        below.store(self.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, (TcpStream, TcpStream)>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cut(&self, number: u64) -> bool {
        self.is_over.load(Ordering::SeqCst) || number < self.cut_below.load(Ordering::SeqCst)
    }

    fn is_half_open(&self, number: u64) -> bool {
        number < self.half_open_below.load(Ordering::SeqCst)
    }
}

fn accept(listener: &TcpListener, control: &Arc<Control>) {
    for client in listener.incoming() {
        if control.is_over.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(client), false) = (client, control.is_refusing.load(Ordering::SeqCst)) else {
            continue;
        };
        let target = *control.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(server) = TcpStream::connect(target) {
            let number = control.connections.fetch_add(1, Ordering::SeqCst);
            // A connection that cannot be set up is one that is cut.
            drop(join(client, server, number, control));
        }
    }
}

fn join(client: TcpStream, server: TcpStream, number: u64, control: &Arc<Control>) -> io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
    }
    control
        .live()
        .insert(number, (client.try_clone()?, server.try_clone()?));
    let downward = Way {
        from: server.try_clone()?,
        to: client.try_clone()?,
        number,
        control: Arc::clone(control),
    };
    let upward = Way {
        from: client,
        to: server,
        number,
        control: Arc::clone(control),
    };
    let tap = (control.new_tap)();
    thread::spawn(move || upward.run_up(tap));
    thread::spawn(move || downward.run_down());
    Ok(())
}

/// One direction of one connection.
struct Way {
    from: TcpStream,
    to: TcpStream,
    number: u64,
    control: Arc<Control>,
}

impl Way {
    /// From the client to the server.
    fn run_up(mut self, mut tap: Tap) {
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(n) = self.next(&mut piece) {
            if self.control.is_half_open(self.number) {
                return self.swallow();
            }
            match tap(&piece[..n]) {
                Verdict::CutBefore => break,
                Verdict::CutAfter => {
                    // First, so that no answer gets through.
                    drop(self.from.shutdown(Shutdown::Both));
                    drop(self.to.write_all(&piece[..n]));
                    // What arrived has to be worked on before the server sees the end.
                    thread::sleep(LOOK_EVERY);
                    break;
                }
                Verdict::Pass if self.to.write_all(&piece[..n]).is_ok() => {}
                Verdict::Pass => break,
            }
        }
        if self.control.is_half_open(self.number) {
            return self.swallow();
        }
        self.end();
    }

    /// From the server to the client.
    fn run_down(mut self) {
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(n) = self.next(&mut piece) {
            if self.control.is_half_open(self.number) || self.to.write_all(&piece[..n]).is_err() {
                break;
            }
        }
        // A client that is left half open hears no end.
        if !self.control.is_half_open(self.number) {
            self.end();
        }
    }

    /// How many bytes came; `None` when the connection is over.
    fn next(&mut self, piece: &mut [u8]) -> Option<usize> {
        loop {
            if self.control.is_cut(self.number) || self.control.is_half_open(self.number) {
                return None;
            }
            if self.control.is_stalled.load(Ordering::SeqCst) {
                thread::sleep(LOOK_EVERY);
                continue;
            }
            match self.from.read(piece) {
                Ok(0) => return None,
                Ok(n) => return Some(n),
                Err(error) if is_patience(&error) => {}
                Err(_) => return None,
            }
        }
    }

    /// The client may go on sending to nobody, until it gives up or is cut.
    fn swallow(mut self) {
        let mut piece = vec![0; PIECE_BYTES];
        while !self.control.is_cut(self.number) {
            match self.from.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_patience(&error) => {}
                Err(_) => break,
            }
        }
        self.end();
    }

    fn end(&self) {
        end(&self.from, &self.to);
        self.control.live().remove(&self.number);
    }
}

fn end(one: &TcpStream, other: &TcpStream) {
    // What is over already needs no end.
    drop(one.shutdown(Shutdown::Both));
    drop(other.shutdown(Shutdown::Both));
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
