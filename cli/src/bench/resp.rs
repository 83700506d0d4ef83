//! Raw Redis: its protocol over one blocking connection, and nothing else. What our own use of Redis is measured
//! against, so none of our own code, nor any library's, is on its way.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};

/// Read at once; a chunk of 256 events is a few hundred kilobytes.
const READ_BYTES: usize = 256 * 1024;

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Int(i64),
    /// A simple string or a bulk string.
    Text(Vec<u8>),
    List(Vec<Reply>),
    Nothing,
}

impl Reply {
    pub(super) fn int(&self) -> i64 {
        if let Self::Int(number) = self { *number } else { 0 }
    }

    pub(super) fn list(&self) -> &[Reply] {
        if let Self::List(items) = self { items } else { &[] }
    }

    pub(super) fn text(&self) -> &[u8] {
        if let Self::Text(text) = self { text } else { &[] }
    }
}

/// A connection.
pub(super) struct Raw {
    input: BufReader<TcpStream>,
    output: Vec<u8>,
}

impl Raw {
    pub(super) fn connect(port: u16, password: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let mut raw = Self {
            input: BufReader::with_capacity(READ_BYTES, stream),
            output: Vec::new(),
        };
        raw.call(&[b"AUTH", password.as_bytes()])?;
        Ok(raw)
    }

    /// One command, one answer.
    pub(super) fn call(&mut self, args: &[&[u8]]) -> io::Result<Reply> {
        self.push(args);
        self.flush()?;
        self.reply()
    }

    /// Prepares a command; [`Raw::flush`] sends it.
    pub(super) fn push(&mut self, args: &[&[u8]]) {
        encode(&mut self.output, args);
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.input.get_mut().write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// The next answer. What Redis refuses is an error.
    pub(super) fn reply(&mut self) -> io::Result<Reply> {
        read(&mut self.input)
    }

    /// A number out of `INFO`.
    pub(super) fn info(&mut self, section: &str, name: &str) -> io::Result<String> {
        let reply = self.call(&[b"INFO", section.as_bytes()])?;
        let text = String::from_utf8_lossy(reply.text()).into_owned();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().trim().to_owned())
    }
}

fn encode(output: &mut Vec<u8>, args: &[&[u8]]) {
    output.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        output.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        output.extend_from_slice(arg);
        output.extend_from_slice(b"\r\n");
    }
}

fn read(input: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    let broken = || io::Error::other(format!("not an answer of Redis: {line:?}"));
    let kind = line
        .chars()
        .next()
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let rest = line.get(1..).unwrap_or_default();
    let number = || rest.parse::<i64>().map_err(|_| broken());
    match kind {
        '+' => Ok(Reply::Text(rest.as_bytes().to_vec())),
        '-' => Err(io::Error::other(format!("redis: {rest}"))),
        ':' => Ok(Reply::Int(number()?)),
        '$' | '*' => match (usize::try_from(number()?), kind) {
            (Err(_), _) => Ok(Reply::Nothing),
            (Ok(length), '$') => {
                let mut text = vec![0; length];
                input.read_exact(&mut text)?;
                input.read_exact(&mut [0; 2])?;
                Ok(Reply::Text(text))
            }
            (Ok(length), _) => (0..length)
                .map(|_| read(input))
                .collect::<io::Result<_>>()
                .map(Reply::List),
        },
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut output = Vec::new();
        encode(&mut output, &[b"GET", b"a\r\n"]);
        assert_eq!(output, b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n");
    }

    #[test]
    fn answers_are_read_whole() {
        let mut input = &b"*3\r\n:7\r\n$2\r\n\r\n\r\n$-1\r\n+OK\r\n"[..];
        let expected = Reply::List(vec![Reply::Int(7), Reply::Text(b"\r\n".to_vec()), Reply::Nothing]);
        assert_eq!(read(&mut input).expect("whole"), expected);
        assert_eq!(read(&mut input).expect("whole"), Reply::Text(b"OK".to_vec()));
        assert!(read(&mut input).is_err(), "the end");
        assert!(read(&mut &b"-OOM no room\r\n"[..]).is_err());
        assert!(read(&mut &b"?\r\n"[..]).is_err());
    }
}
