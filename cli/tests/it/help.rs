//! The help of every command: examples that make sense, and `--json` where something is answered.

use std::collections::BTreeMap;

use shared::config::Env;

use crate::support::process::{Ended, Tollgate};

/// Commands that run until they are stopped, or answer with a status, a script or a line to keep alone.
const WITHOUT_JSON: [&str; 6] = [
    "ingest",
    "worker",
    "api",
    "healthcheck",
    "completions",
    "ops user",
];

async fn help(path: &[&str]) -> String {
    let ended: Ended = Tollgate::run(&[path, &["--help"]].concat(), &Env::default()).await;
    assert_eq!(ended.code, Some(0), "{path:?}: {ended:?}");
    ended.stdout
}

/// The names under `Commands:`.
fn commands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command by its words, with its help.
async fn all() -> BTreeMap<Vec<String>, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![Vec::<String>::new()];
    while let Some(path) = left.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let text = help(&words).await;
        let below = |name: String| path.iter().cloned().chain([name]).collect();
        left.extend(commands(&text).into_iter().map(below));
        found.insert(path, text);
    }
    found
}

/// The examples: lines that begin with `tollgate`, up to what a shell or a reader takes for something else.
fn examples(help: &str) -> Vec<Vec<String>> {
    let Some((_, rest)) = help.split_once("\nExamples:\n") else {
        return Vec::new();
    };
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    let ends = ["  ", " | ", " < ", " > ", " && ", " #"];
    let lines = lines.filter_map(|line| {
        let line = line.trim_start();
        let end = ends.iter().filter_map(|end| line.find(end)).min();
        line[..end.unwrap_or(line.len())].strip_prefix("tollgate")
    });
    lines.map(words).collect()
}

/// Words as a shell splits them, as far as examples go.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.trim().chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut().expect("begun").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_examples_that_it_takes_and_answers_in_json() {
    let all = all().await;
    assert!(all.len() >= 40, "{:?}", all.keys());
    for (path, text) in &all {
        let name = path.join(" ");
        let examples = examples(text);
        let has_one = examples.iter().any(|it| it.starts_with(path));
        assert!(has_one, "`{name}` has no example: {examples:?}");
        for example in &examples {
            // Asked for help at the end, a command looks at what stands before it, and does nothing.
            let words: Vec<&str> = example.iter().map(String::as_str).chain(["--help"]).collect();
            let ended = Tollgate::run(&words, &Env::default()).await;
            assert_eq!(ended.code, Some(0), "{example:?}: {ended:?}");
        }
        let is_leaf = commands(text).is_empty();
        let is_silent = WITHOUT_JSON.contains(&name.as_str());
        assert_eq!(
            is_leaf && !text.contains("--json"),
            is_silent,
            "`{name}` and --json"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Tollgate::run(&["completions", shell], &Env::default()).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for name in commands(&help(&[]).await) {
            assert!(ended.stdout.contains(&name), "{shell}: {name}");
        }
    }
}
