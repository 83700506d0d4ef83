//! A few words with a Redis, for those who look after it: no client, and no pool.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// For a connection, and for each answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Sends commands one after another over one connection, and returns what each was answered: its texts and numbers,
/// those inside of lists one after another.
pub(crate) fn talk(port: u16, password: &str, commands: &[&[&str]]) -> io::Result<Vec<Vec<String>>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let auth: &[&str] = &["AUTH", password];
    for command in [auth].iter().chain(commands) {
        stream.write_all(&encode(command))?;
    }
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::new();
    for _ in 0..=commands.len() {
        let mut words = Vec::new();
        read(&mut reader, &mut words)?;
        answers.push(words);
    }
    answers.remove(0);
    Ok(answers)
}

fn encode(command: &[&str]) -> Vec<u8> {
    let words = command
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", command.len(), words.collect::<String>()).into_bytes()
}

/// One answer; an error of Redis's is one of ours.
fn read(reader: &mut impl BufRead, words: &mut Vec<String>) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    let number = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        "-" => return Err(io::Error::other(rest.to_owned())),
        "*" => {
            for _ in 0..number()? {
                read(reader, words)?;
            }
        }
        "$" => {
            // Nothing at all has the length -1.
            if let Ok(length) = usize::try_from(number()?) {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                words.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        _ => words.push(rest.to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_flattened_and_errors_are_errors() {
        let mut words = Vec::new();
        let mut answer = &b"*3\r\n$2\r\nab\r\n*2\r\n:7\r\n$-1\r\n+OK\r\n"[..];
        read(&mut answer, &mut words).expect("an answer");
        assert_eq!(words, ["ab", "7", "OK"]);
        assert!(read(&mut &b"-NOAUTH no\r\n"[..], &mut words).is_err());
        assert!(read(&mut &b""[..], &mut words).is_err(), "nobody there");
    }

    #[test]
    fn commands_are_counted_words() {
        assert_eq!(encode(&["GET", "k\r\n"]), b"*2\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\n");
    }
}
