//! The proxy does to connections what it says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use stack::{Proxy, Verdict};

/// Time within which nothing happens when nothing happens.
const A_WHILE: Duration = Duration::from_millis(200);

/// Answers each byte with the same; tells of ended connections, and of all bytes.
fn echo() -> (SocketAddr, mpsc::Receiver<Option<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (tell, heard) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.expect("a connection"), tell.clone());
            thread::spawn(move || {
                let mut byte = [0];
                while matches!(stream.read(&mut byte), Ok(1)) {
                    // Who does not listen any more does not want to know; who hung up gets no answer.
                    tell.send(Some(byte[0])).unwrap_or_default();
                    stream.write_all(&byte).unwrap_or_default();
                }
                tell.send(None).unwrap_or_default();
            });
        }
    });
    (address, heard)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    stream
}

fn ask(stream: &mut TcpStream, byte: u8) -> Option<u8> {
    stream.write_all(&[byte]).ok()?;
    let mut answer = [0];
    matches!(stream.read(&mut answer), Ok(1)).then_some(answer[0])
}

#[test]
fn cutting_ends_both_sides_and_lets_new_ones_in() {
    let (address, heard) = echo();
    let proxy = Proxy::start(address).expect("a port");
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, 7), Some(7));
    proxy.cut();
    assert_eq!(ask(&mut stream, 8), None);
    assert_eq!(heard.recv(), Ok(Some(7)));
    assert_eq!(
        heard.recv_timeout(Duration::from_secs(5)),
        Ok(None),
        "the server knows"
    );
    assert_eq!(ask(&mut connect(&proxy), 9), Some(9));
}

#[test]
fn half_open_is_silence_for_the_client_only() {
    let (address, heard) = echo();
    let proxy = Proxy::start(address).expect("a port");
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, 7), Some(7));
    assert_eq!(heard.recv(), Ok(Some(7)));
    proxy.half_open();
    assert_eq!(
        heard.recv_timeout(Duration::from_secs(5)),
        Ok(None),
        "the server knows"
    );
    stream.set_read_timeout(Some(A_WHILE)).expect("a timeout");
    stream.write_all(&[8]).expect("nobody says no");
    let error = stream.read(&mut [0]).expect_err("silence");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn stalled_bytes_arrive_later() {
    let (address, _heard) = echo();
    let proxy = Proxy::start(address).expect("a port");
    let mut stream = connect(&proxy);
    assert_eq!(ask(&mut stream, 7), Some(7));
    proxy.stall(true);
    // What was about to be read before the stall may still pass.
    thread::sleep(A_WHILE);
    stream.set_read_timeout(Some(A_WHILE)).expect("a timeout");
    assert_eq!(ask(&mut stream, 8), None);
    proxy.stall(false);
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("late, but there");
    assert_eq!(answer, [8]);
}

#[test]
fn new_connections_go_elsewhere_or_nowhere() {
    let ((one, heard_one), (two, heard_two)) = (echo(), echo());
    let proxy = Proxy::start(one).expect("a port");
    let mut old = connect(&proxy);
    assert_eq!(ask(&mut old, 1), Some(1));
    proxy.lead_to(two);
    assert_eq!(ask(&mut connect(&proxy), 2), Some(2));
    assert_eq!(ask(&mut old, 3), Some(3), "those there are stay");
    assert_eq!(heard_one.try_iter().flatten().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(heard_two.recv(), Ok(Some(2)));
    proxy.refuse(true);
    assert_eq!(ask(&mut connect(&proxy), 4), None);
}

#[test]
fn a_connection_ends_before_or_after_an_exact_message() {
    for (verdict, arrives) in [(Verdict::CutBefore, false), (Verdict::CutAfter, true)] {
        let (address, heard) = echo();
        let tap = move |bytes: &[u8]| {
            if bytes.contains(&2) {
                verdict
            } else {
                Verdict::Pass
            }
        };
        let proxy = Proxy::tapped(address, move || Box::new(tap)).expect("a port");
        let mut stream = connect(&proxy);
        assert_eq!(ask(&mut stream, 1), Some(1));
        assert_eq!(ask(&mut stream, 2), None, "{verdict:?}");
        let all: Vec<u8> = heard.iter().map_while(|it| it).collect();
        assert_eq!(all.contains(&2), arrives, "{verdict:?}");
    }
}
