//! What happens when whoever started a stack is gone.

use std::fs;

use stack::{Options, RedisOptions, RedisServer, Stack};

use crate::support::{self, Holder, ask_redis, query, settled};

#[test]
fn a_server_survives_the_thread_that_started_it() {
    let start = std::thread::spawn(|| RedisServer::start(RedisOptions::default()).expect("a Redis"));
    let mut redis = start.join().expect("the thread ended");
    // The kernel's signal would have been sent before join returned.
    assert_eq!(ask_redis(&redis, "PING"), "PONG");
    assert!(redis.is_running());
}

#[test]
fn kill_9_of_the_owner_ends_servers_and_removes_the_directory() {
    let base = support::passable_dir();
    let mut holder = Holder::start(base.path(), None);
    let pids = [holder.redis_pid, holder.postgres_pid];
    let children = support::children(holder.postgres_pid);
    assert!(!children.is_empty(), "Postgres has children");
    holder.kill();
    let gone = settled(|| pids.iter().chain(&children).all(|&pid| !support::alive(pid)));
    assert!(gone, "the servers of a killed owner still run");
    assert!(
        settled(|| !holder.dir.exists()),
        "the directory of a killed owner is still there"
    );
}

#[test]
fn a_data_directory_opens_again_right_after_kill_9() {
    let base = support::passable_dir();
    let data_dir = base.path().join("data");
    let mut holder = Holder::start(base.path(), Some(&data_dir));
    holder.kill();
    let stack = Stack::start(Options::throwaway().with_data_dir(&data_dir)).expect("the same stack");
    assert_eq!(query(stack.postgres().expect("asked for"), "select 1"), "1");
}

#[test]
fn a_hanging_postgres_of_a_killed_owner_is_ended_by_the_next_start() {
    let base = support::passable_dir();
    let data_dir = base.path().join("data");
    let mut holder = Holder::start(base.path(), Some(&data_dir));
    // Its shutdown waits for its children.
    let children = support::children(holder.postgres_pid);
    children
        .iter()
        .for_each(|&child| support::signal(stack::Signal::STOP, child));
    holder.kill();
    assert!(support::alive(holder.postgres_pid), "it cannot end by itself");
    let _stack = Stack::start(Options::throwaway().with_data_dir(&data_dir)).expect("the same stack");
    assert!(!support::alive(holder.postgres_pid));
}

#[test]
fn stale_directories_are_swept_and_only_those() {
    let base = std::env::temp_dir();
    let make = |name: &str| {
        let dir = base.join(format!("tollgate-dev.{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("redis")).expect("a directory");
        dir
    };
    let (stale, owned, young) = (make("stale"), make("owned"), make("young"));
    fs::write(stale.join("tollgate.lock"), "1").expect("a file");
    let lock = fs::File::create(owned.join("tollgate.lock")).expect("a file");
    lock.lock().expect("locked");

    drop(RedisServer::start(RedisOptions::default()).expect("a Redis"));
    assert!(settled(|| !stale.exists()), "nobody owns it");
    assert!(owned.exists(), "its owner lives");
    assert!(young.exists(), "its owner may be about to lock it");
    for dir in [owned, young] {
        fs::remove_dir_all(dir).expect("removed");
    }
}

/// Not a test: what the others start and kill.
#[test]
#[ignore = "run by other tests"]
fn hold_a_stack_until_killed() {
    support::hold();
}
