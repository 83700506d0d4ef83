//! A plain blocking HTTP client, which can also misbehave: everything it sends is spelt out.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use shared::signature::{Secret, sign};

/// For anything that ought to happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn has(&self, header_line: &str) -> bool {
        self.head.lines().any(|line| line == header_line)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Received and not yet asked for.
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("sets a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("sets a timeout");
        stream.set_nodelay(true).expect("sets nodelay");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.write_all(bytes).expect("the server takes it");
        self
    }

    /// Reads one answer, and leaves what follows it.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_lowercase();
        let status = head[9..12].parse().expect("a status");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        while self.buffer.len() < head_end + length {
            self.more()?;
        }
        let rest = self.buffer.split_off(head_end + length);
        let body = std::mem::replace(&mut self.buffer, rest).split_off(head_end);
        Ok(Answer { status, head, body })
    }

    /// Waits until the server closes; whatever it still sends comes back.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        self.stream
            .read_to_end(&mut self.buffer)
            .expect("closed without a reset");
        std::mem::take(&mut self.buffer)
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> Answer {
    Client::connect(address).send(request).answer()
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    send(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
    )
}

/// A POST with these header lines, `content-length` added.
pub(crate) fn post(path: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let mut request = head(path, headers);
    request.truncate(request.len() - 2);
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

/// A POST's head with exactly these header lines beside `host`.
pub(crate) fn head(path: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n").into_bytes();
    for (name, value) in headers {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A POST as Stripe makes it.
pub(crate) fn signed(path: &str, secret: &str, now: i64, body: &[u8]) -> Vec<u8> {
    post(
        path,
        &[("stripe-signature", signature(secret, now, body).as_bytes())],
        body,
    )
}

pub(crate) fn signature(secret: &str, now: i64, body: &[u8]) -> String {
    sign(&Secret::new(secret).expect("a secret"), now, body)
}
