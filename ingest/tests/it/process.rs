//! The binary itself: how it starts, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use shared::config::Env;

use crate::client::{Client, get, head, send, signature, signed};
use crate::harness::{DEFAULT, SECRET, env, event, redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_ingest");

/// The process. Killed when a test fails before its end.
struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    fn start(env: &Env) -> Self {
        Self::spawn(command(env))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).expect("readable"), 0, "it ended");
        }
        let log: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let address = |member: &str| {
            log[member]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("an address")
        };
        let (address, admin) = (address("address"), address("admin_address"));
        let process = Self {
            child,
            stderr,
            address,
            admin,
        };
        wait_until("ready", || get(admin, "/readyz").status == 200);
        process
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("signalled");
    }

    /// Exit status and the rest of the log.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("ends");
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).expect("readable");
        (status.code(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone, unless the test failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(env: &Env) -> Command {
    with(env, Command::new(BINARY))
}

fn with(env: &Env, mut command: Command) -> Command {
    command.env_clear();
    command.envs(env.names("").filter_map(|name| Some((name, env.get(name)?))));
    command
}

/// Exit status and what it says.
fn fails(env: &Env) -> (Option<i32>, String) {
    let output = command(env).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

/// Signed now: the process has the machine's clock.
fn now() -> i64 {
    shared::clock::Clock::system().unix_seconds()
}

#[test]
fn sigterm_finishes_what_is_in_flight() {
    let process = Process::start(&env(redis()));
    let (address, admin) = (process.address, process.admin);
    let body = event("evt_1", "");
    let signature = signature(SECRET, now(), &body);
    let length = body.len().to_string();
    let headers: [(&str, &[u8]); 3] = [
        ("stripe-signature", signature.as_bytes()),
        ("content-length", length.as_bytes()),
        ("expect", b"100-continue"),
    ];
    let mut client = Client::connect(address);
    // The 100 says that the request is being read: it is in flight.
    assert_eq!(client.send(&head(DEFAULT, &headers)).answer().status, 100);
    client.send(&body[..1]);

    process.terminate();
    wait_until("new connections are refused", || {
        TcpStream::connect(address).is_err()
    });
    assert!(get(admin, "/readyz").text().contains("stopping"));
    assert_eq!(get(admin, "/livez").status, 200);

    let answer = client.send(&body[1..]).answer();
    assert_eq!(answer.status, 200);
    assert!(answer.has("connection: close"));
    assert_eq!(client.end(), b"");
    drop(client);
    assert_eq!(process.end().0, Some(0));
}

#[test]
fn sigterm_at_rest_ends_it_at_once() {
    let process = Process::start(&env(redis()));
    process.terminate();
    let (code, log) = process.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn the_log_of_good_and_bad_requests_has_neither_bodies_nor_secrets() {
    let process = Process::start(&env(redis()).with("TOLLGATE_LOG", "trace"));
    let secret_words = [SECRET, "canary-in-body", "canary-in-header", redis().password()];
    let good = event("evt_1", r#""email":"canary-in-body","#);
    assert_eq!(
        send(process.address, &signed(DEFAULT, SECRET, now(), &good)).status,
        200
    );
    let forged = crate::client::post(DEFAULT, &[("stripe-signature", b"canary-in-header")], &good);
    assert_eq!(send(process.address, &forged).status, 400);
    process.terminate();
    let (_, log) = process.end();
    assert!(
        log.contains("malformed_header"),
        "refusals are logged at debug: {log}"
    );
    for word in secret_words {
        assert!(!log.contains(word), "{word} is in the log");
    }
}

#[test]
fn every_configuration_problem_is_told_at_once() {
    let env: Env = [
        ("TOLLGATE_INGEST_ADMIN_ADDR", "nowhere"),
        ("TOLLGATE_INGEST_ADR", "x"),
    ]
    .into_iter()
    .collect();
    let (code, text) = fails(&env);
    assert_eq!(code, Some(78), "{text}");
    let problems = [
        "REDIS_URL is not set",
        "STRIPE_WEBHOOK_SECRET is not set",
        "TOLLGATE_INGEST_ADMIN_ADDR: ",
        "did you mean TOLLGATE_INGEST_ADDR?",
    ];
    for problem in problems {
        assert!(text.contains(problem), "{problem}: {text}");
    }
}

#[test]
fn an_unusable_redis_url_is_named_and_not_shown() {
    let (code, text) = fails(&env(redis()).with("REDIS_URL", "http://user:canary@localhost"));
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("REDIS_URL") && !text.contains("canary"), "{text}");
}

#[test]
fn a_taken_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, text) = fails(&env(redis()).with("TOLLGATE_INGEST_ADDR", &address));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&address) && text.contains("TOLLGATE_INGEST_ADDR"),
        "{text}"
    );
}

#[test]
fn help_names_every_setting_and_mistakes_are_usage_errors() {
    let run = |argument: &str| Command::new(BINARY).arg(argument).output().expect("runs");
    let help = run("--help");
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for setting in ingest::SETTINGS.iter().chain(shared::config::COMMON_SETTINGS) {
        assert!(text.contains(setting.name), "{} is missing", setting.name);
    }
    assert_eq!(run("--version").status.code(), Some(0));
    assert_eq!(run("--port=80").status.code(), Some(2));
}

/// Looks into `/proc`.
#[cfg(target_os = "linux")]
#[test]
fn running_out_of_files_is_survived() {
    let mut shell = Command::new("/bin/sh");
    // Enough for ingest itself and a few connections; as a hard limit, so that it cannot ask for more.
    shell.args(["-c", "ulimit -n 32 && exec \"$0\"", BINARY]);
    let process = Process::spawn(with(&env(redis()), shell));
    let crowd: Vec<Client> = (0..64).map(|_| Client::connect(process.address)).collect();
    // Not at once, because the admin listener has no files left either.
    wait_until("a connection could not be taken", || {
        let log = std::fs::read_dir(format!("/proc/{}/fd", process.child.id())).expect("a list of files");
        log.count() >= 32
    });
    drop(crowd);
    let request = signed(DEFAULT, SECRET, now(), &event("evt_1", ""));
    assert_eq!(send(process.address, &request).status, 200);
    let metrics = get(process.admin, "/metrics").text();
    let errors = metrics
        .lines()
        .find_map(|line| line.strip_prefix("tollgate_ingest_accept_errors_total "));
    let errors: u64 = errors.expect("counted").parse().expect("a number");
    assert!(
        (1..1000).contains(&errors),
        "{errors} errors: none, or a busy loop"
    );
}

#[test]
fn every_counter_is_there_before_anything_happened() {
    let process = Process::start(&env(redis()));
    let metrics = get(process.admin, "/metrics").text();
    for series in [
        r#"tollgate_ingest_accepted_total{endpoint="default",rendering="snapshot"} 0"#,
        r#"tollgate_ingest_accepted_total{endpoint="default",rendering="thin"} 0"#,
        r#"tollgate_ingest_mismatch_total{endpoint="default",kind="account"} 0"#,
        r#"tollgate_ingest_refused_total{reason="in_future"} 0"#,
        r#"tollgate_ingest_refused_total{reason="headers_timeout"} 0"#,
        r#"tollgate_ingest_secret_used_total{endpoint="default",index="0"} 0"#,
        "tollgate_ingest_large_bodies_total 0",
        "tollgate_ingest_accepting 1",
        "tollgate_ingest_connections 0",
        "tollgate_ingest_in_flight 0",
        "tollgate_ingest_last_accepted_timestamp_seconds 0",
        "tollgate_ingest_payload_bytes_count 0",
        "tollgate_ingest_delivery_delay_seconds_bucket{le=\"5\"} 0",
        "tollgate_ingest_enqueue_duration_seconds_count 0",
        r#"tollgate_build_info{role="ingest",version="#,
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
}
