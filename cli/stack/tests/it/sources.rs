//! Where the programs come from.

use std::fs;

use stack::{Options, Sources, Stack};

use crate::support::{self, ask_redis, query};

#[test]
fn nothing_found_says_how_to_install_it() {
    let empty = support::passable_dir();
    let sources = Sources {
        machine: false,
        cache_dir: Some(empty.path().to_owned()),
        fetch: false,
    };
    let start = |options: Options| {
        Stack::start(Options {
            sources: sources.clone(),
            ..options
        })
    };
    let redis = start(Options::throwaway().without_postgres())
        .expect_err("no Redis")
        .to_string();
    for part in [
        "apt-get install redis-server",
        "brew install redis",
        "dnf install",
        "REDIS_URL",
        "switched off",
    ] {
        assert!(redis.contains(part), "{part} is missing in:\n{redis}");
    }
    let postgres = start(Options::throwaway().without_redis())
        .expect_err("no Postgres")
        .to_string();
    assert!(
        postgres.contains("apt-get install postgresql") && postgres.contains("DATABASE_URL"),
        "{postgres}"
    );
}

#[test]
fn data_of_another_postgres_version_is_left_alone_and_named() {
    let parent = support::passable_dir();
    let data = parent.path().join("postgres/data");
    fs::create_dir_all(&data).expect("a directory");
    fs::write(data.join("PG_VERSION"), "9\n").expect("a file");
    let mut options = Options::throwaway().without_redis().with_data_dir(parent.path());
    options.sources.fetch = false;
    let error = Stack::start(options).expect_err("no such Postgres").to_string();
    assert!(error.contains("version 9 wrote"), "{error}");
    assert!(data.join("PG_VERSION").exists());
}

/// Takes seconds and some 20 MB: `cargo test -p stack -- --ignored fetch`.
#[test]
#[ignore = "downloads packages"]
fn fetch_brings_both_servers_without_installing_them() {
    let cache = support::passable_dir();
    let sources = Sources {
        machine: false,
        cache_dir: Some(cache.path().to_owned()),
        fetch: true,
    };
    let start = || {
        Stack::start(Options {
            sources: sources.clone(),
            ..Options::throwaway()
        })
    };
    std::thread::scope(|scope| {
        // Both want the same packages in the same cache.
        let (one, two) = (scope.spawn(start), scope.spawn(start));
        for stack in [one, two] {
            let stack = stack.join().expect("no panic").expect("a stack");
            assert_eq!(query(stack.postgres().expect("asked for"), "select 1"), "1");
            assert_eq!(ask_redis(stack.redis().expect("asked for"), "PING"), "PONG");
        }
    });
    let mut left = fs::read_dir(cache.path()).expect("the cache").flatten();
    assert!(left.all(|entry| !entry.file_name().to_string_lossy().starts_with("fetch-")));
    let offline = Stack::start(Options {
        sources: Sources {
            fetch: false,
            ..sources
        },
        ..Options::throwaway()
    });
    drop(offline.expect("from the cache alone"));
}
