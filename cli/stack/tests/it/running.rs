//! What a running stack does.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stack::{Options, PostgresOptions, RedisOptions, RedisServer, Stack, StackError};

use crate::support::{self, ask_redis, query};

#[test]
fn both_servers_answer_and_disappear_with_the_stack() {
    let stack = Stack::start(Options::throwaway()).expect("a stack");
    let dir = stack.dir().to_owned();
    let redis = stack.redis().expect("asked for");
    let postgres = stack.postgres().expect("asked for");
    let pids = [redis.pid(), postgres.pid()];

    assert_eq!(
        ask_redis(redis, "CONFIG GET maxmemory-policy"),
        "maxmemory-policy noeviction"
    );
    assert_eq!(ask_redis(redis, "CONFIG GET appendonly"), "appendonly yes");
    assert_eq!(
        query(postgres, "select current_user, current_database()"),
        "tollgate|tollgate"
    );
    assert_eq!(query(postgres, "show server_encoding"), "UTF8");
    assert!(stack.admin_url().is_some_and(|url| url.ends_with("/postgres")));

    drop(stack);
    assert!(
        pids.into_iter().all(|pid| !support::alive(pid)),
        "the servers are gone"
    );
    assert!(!dir.exists(), "so is their directory");
}

#[test]
fn what_the_user_brings_is_not_started() {
    let stack = Stack::start(Options::throwaway().without_postgres()).expect("a stack");
    assert!(stack.redis_url().is_some());
    assert_eq!(stack.database_url(), None);
}

#[test]
fn two_stacks_live_side_by_side() {
    let one = Stack::start(Options::throwaway()).expect("a stack");
    let two = Stack::start(Options::throwaway()).expect("another");
    assert_ne!(one.redis_url(), two.redis_url());
    assert_ne!(one.database_url(), two.database_url());
    assert_ne!(one.dir(), two.dir());
    query(one.postgres().expect("asked for"), "create table only_here()");
    let found = query(
        two.postgres().expect("asked for"),
        "select count(*) from pg_class where relname = 'only_here'",
    );
    assert_eq!(found, "0");
}

#[test]
fn a_stranger_on_the_machine_gets_in_nowhere() {
    let stack = Stack::start(Options::throwaway()).expect("a stack");
    let redis = stack.redis().expect("asked for");
    assert!(support::redis_without_password(redis, "PING").contains("NOAUTH"));
    let url = stack.database_url().expect("asked for");
    let (before, after) = url.split_once('@').expect("a password in it");
    let stranger = format!(
        "{}:guess@{after}",
        before.rsplit_once(':').expect("a password in it").0
    );
    let output = stack
        .postgres()
        .expect("asked for")
        .tool("psql")
        .args([&stranger, "-c", "select 1"])
        .output();
    assert!(!output.expect("psql").status.success());
}

#[test]
fn passwords_are_not_printed() {
    let stack = Stack::start(Options::throwaway()).expect("a stack");
    let printed = format!("{stack:?}");
    assert!(!printed.contains(stack.redis().expect("asked for").password()));
    let url = stack.database_url().expect("asked for");
    let password = url.split([':', '@']).nth(2).expect("a password in it");
    assert!(!printed.contains(password));
}

#[test]
fn durable_means_that_every_write_is_synced() {
    let stack = Stack::start(Options::durable()).expect("a stack");
    let settings = "select current_setting('fsync'), current_setting('synchronous_commit')";
    assert_eq!(query(stack.postgres().expect("asked for"), settings), "on|on");
    assert_eq!(
        ask_redis(stack.redis().expect("asked for"), "CONFIG GET appendfsync"),
        "appendfsync always"
    );
}

#[test]
fn a_data_directory_keeps_its_data_and_lets_in_one_at_a_time() {
    let parent = support::passable_dir();
    let options = || Options::throwaway().with_data_dir(parent.path().join("data"));
    let first = Stack::start(options()).expect("a stack");
    query(
        first.postgres().expect("asked for"),
        "create table kept as select 42 as answer",
    );
    assert_eq!(ask_redis(first.redis().expect("asked for"), "SET kept 42"), "OK");

    let second = Stack::start(options()).expect_err("the directory is in use");
    assert!(matches!(second, StackError::DataDirInUse { pid: Some(pid), .. } if pid == std::process::id()));
    drop(first);

    let again = Stack::start(options()).expect("the same stack");
    assert_eq!(
        query(again.postgres().expect("asked for"), "select answer from kept"),
        "42"
    );
    assert_eq!(ask_redis(again.redis().expect("asked for"), "GET kept"), "42");
}

#[test]
fn root_is_told_when_its_servers_cannot_enter() {
    let private = Permissions::from_mode(0o700);
    let closed = tempfile::Builder::new()
        .permissions(private)
        .tempdir()
        .expect("a directory");
    let start = Stack::start(Options::throwaway().with_data_dir(closed.path().join("data")));
    // An ordinary user's servers run as that user, who can.
    assert_eq!(
        matches!(start, Err(StackError::Unreachable { .. })),
        support::is_root(),
        "{start:?}"
    );
}

#[test]
fn killed_servers_come_back_with_their_data_on_their_port() {
    let mut stack = Stack::start(Options::throwaway()).expect("a stack");
    let urls = (stack.redis_url(), stack.database_url());

    let redis = stack.redis_mut().expect("asked for");
    assert_eq!(ask_redis(redis, "SET survives kill"), "OK");
    redis.kill().expect("killed");
    assert!(!redis.is_running());
    redis.restart().expect("restarted");
    assert_eq!(ask_redis(redis, "GET survives"), "kill");

    let postgres = stack.postgres_mut().expect("asked for");
    query(postgres, "create table survives()");
    query(postgres, "checkpoint");
    // Paused children do not notice that the postmaster is gone.
    let children = support::children(postgres.pid());
    postgres.pause().expect("paused");
    postgres.kill().expect("killed");
    assert!(!postgres.is_running());
    assert!(
        !children.into_iter().any(support::alive),
        "its children are gone too"
    );
    postgres.restart().expect("restarted after a crash");
    postgres.restart().expect("restarted while it runs");
    assert_eq!(query(postgres, "select count(*) from survives"), "0");

    assert_eq!(urls, (stack.redis_url(), stack.database_url()));
}

#[test]
fn a_killed_postgres_leaves_no_shared_memory_behind() {
    let mut stack = Stack::start(Options::throwaway().without_redis()).expect("a stack");
    let pid_file = fs::read_to_string(stack.dir().join("postgres/data/postmaster.pid")).expect("running");
    let segment = pid_file
        .lines()
        .nth(6)
        .and_then(|line| line.split_whitespace().nth(1))
        .expect("its id")
        .to_owned();
    let exists = || {
        let table = fs::read_to_string("/proc/sysvipc/shm").expect("Linux");
        table
            .lines()
            .any(|row| row.split_whitespace().nth(1) == Some(&segment))
    };
    assert!(exists());
    stack.postgres_mut().expect("asked for").kill().expect("killed");
    assert!(exists(), "that is what is to be cleaned up");
    drop(stack);
    assert!(!exists());
}

#[test]
fn a_taken_port_is_told_from_other_trouble() {
    let mut stack = Stack::start(Options::throwaway()).expect("a stack");
    let listen = |port| TcpListener::bind(("127.0.0.1", port)).expect("free since the stop");

    let redis = stack.redis_mut().expect("asked for");
    redis.stop().expect("stopped");
    let _other = listen(redis.port());
    assert!(matches!(redis.restart(), Err(StackError::PortsTaken { .. })));

    let postgres = stack.postgres_mut().expect("asked for");
    postgres.stop().expect("stopped");
    let _other = listen(postgres.port());
    assert!(matches!(postgres.restart(), Err(StackError::PortsTaken { .. })));
}

#[test]
fn a_paused_server_keeps_silent_until_it_is_resumed() {
    let mut redis = RedisServer::start(RedisOptions::default()).expect("a Redis");
    redis.pause().expect("paused");
    assert!(redis.is_running());
    assert_eq!(support::try_redis(&redis, "PING"), None);
    redis.resume().expect("resumed");
    assert_eq!(ask_redis(&redis, "PING"), "PONG");
    redis.pause().expect("paused again");
    redis.stop().expect("a paused one stops too");
}

#[test]
fn extra_settings_win() {
    let mut options = Options::throwaway();
    options.redis = Some(RedisOptions {
        extra_args: ["--maxmemory", "8mb"].map(str::to_owned).to_vec(),
        ..RedisOptions::default()
    });
    options.postgres = Some(PostgresOptions {
        settings: vec!["work_mem=3MB".to_owned()],
        max_connections: 17,
        ..PostgresOptions::default()
    });
    let stack = Stack::start(options).expect("a stack");
    assert_eq!(
        ask_redis(stack.redis().expect("asked for"), "CONFIG GET maxmemory"),
        "maxmemory 8388608"
    );
    let settings = "select current_setting('work_mem'), current_setting('max_connections')";
    assert_eq!(query(stack.postgres().expect("asked for"), settings), "3MB|17");
}

#[test]
fn a_start_error_shows_the_end_of_the_log() {
    let extra_args = ["--no-such-option", "1"].map(str::to_owned).to_vec();
    let options = RedisOptions {
        extra_args,
        ..RedisOptions::default()
    };
    let error = RedisServer::start(options).expect_err("a bad option").to_string();
    assert!(
        error.contains("no-such-option") && error.contains("redis.log"),
        "{error}"
    );
}

#[test]
fn the_shared_stack_is_one() {
    let one = stack::shared().expect("a stack");
    let other = std::thread::spawn(|| stack::shared().expect("a stack").dir().to_owned())
        .join()
        .expect("it ended");
    assert_eq!(one.dir(), Path::new(&other));
}
