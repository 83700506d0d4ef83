//! What must never be part of the process that faces strangers.

use std::process::Command;

#[test]
fn no_database_no_job_runner_no_stripe_client() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            "ingest",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(tree.contains("hyper v"), "not a dependency tree: {tree}");
    for banned in [
        "sqlx",
        "apalis",
        "async-stripe",
        "tokio-postgres",
        "rustls",
        "openssl",
        "domain v",
        "store v",
    ] {
        let found = tree.lines().find(|line| line.starts_with(banned));
        assert_eq!(found, None);
    }
}
