//! Pictures for `docs/ops-page.md`: `cargo test -p cli --test it ops::screenshots -- --ignored`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use shared::clock::Clock;
use simulator::traffic::Plan;

use super::browser::sign_in;
use super::reconcile::TROUBLE;
use super::{fingerprint, set_aside, start};
use crate::api::Service;
use crate::support::Rig;
use crate::support::browser::Browser;

/// Events of the simulator's that are shown.
const EVENTS: usize = 300;
/// The window.
const SIZE: (u32, u32) = (1280, 860);
/// Its height where there is more to see.
const TALL: u32 = 1_060;
/// Time for the charts to look.
const BETWEEN: Duration = Duration::from_secs(6);
/// How long they reach back, seconds.
const DAYS: i64 = 30 * 86_400;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes pictures; run by name"]
async fn pictures() {
    let rig = Rig::new().await;
    set_aside(&rig).await;
    let plan = Plan::new(7, EVENTS, Clock::system().unix_seconds() - DAYS);
    let traffic = plan.traffic();
    let bodies: Vec<Bytes> = traffic.distinct().map(|event| event.body.clone()).collect();
    let api = start(&rig).await;
    // Some pile up before a worker comes.
    let (before, after) = bodies.split_at(EVENTS / 2);
    for some in before.chunks(EVENTS / 6) {
        rig.enqueue(some).await;
        tokio::time::sleep(BETWEEN).await;
    }
    let worker = rig.worker();
    for some in after.chunks(EVENTS / 8) {
        rig.enqueue(some).await;
        tokio::time::sleep(BETWEEN).await;
    }
    rig.wait_until_drained().await;
    let Some(mut browser) = sign_in(&api, "admin").await else {
        return;
    };
    browser.resize(SIZE.0, SIZE.1).await;
    let user = "SELECT id FROM users ORDER BY (SELECT count(*) FROM customer_users m WHERE m.user_id = users.id) DESC, id LIMIT 1";
    let user = rig.text(user).await.expect("somebody");
    let told =
        "SELECT id FROM events WHERE type = 'customer.subscription.updated' AND status = 'applied' LIMIT 1";
    let event = rig.text(told).await.expect("one");
    let cause = fingerprint(&rig).await;
    for (name, scheme, path) in [
        ("overview", "light", "/ops".to_owned()),
        ("overview-dark", "dark", "/ops".to_owned()),
        ("events", "light", "/ops/events?q=type:invoice.*".to_owned()),
        ("event", "light", format!("/ops/event?id={event}")),
        (
            "dead-letters",
            "light",
            format!("/ops/dead-letters?fingerprint={cause}"),
        ),
        ("customer", "dark", format!("/ops/customer?user={user}")),
        ("queue", "light", "/ops/queue".to_owned()),
    ] {
        browser.prefer(scheme).await;
        show(&mut browser, &format!("{}{path}", api.admin_url)).await;
        save(&mut browser, name).await;
    }
    look_again(&rig, &api, &user, &mut browser).await;
    worker.stop().await.expect("a clean end");
}

/// What takes more than an address: the second look before a correction, and an account whose endpoint is off.
async fn look_again(rig: &Rig, api: &Service, user: &str, browser: &mut Browser) {
    browser.prefer("light").await;
    show(browser, &format!("{}/ops/customer?user={user}", api.admin_url)).await;
    browser.fill("#credits", "500").await;
    browser.fill("#correct-why", "an apology for Tuesday").await;
    browser
        .press("form[action='/ops/corrections/confirm'] button")
        .await;
    save(browser, "correction").await;
    rig.execute(TROUBLE).await;
    browser.resize(SIZE.0, TALL).await;
    show(
        browser,
        &format!("{}/ops/reconcile?account=acct_9", api.admin_url),
    )
    .await;
    save(browser, "reconcile").await;
}

async fn show(browser: &mut Browser, url: &str) {
    browser.value("window.old = true").await;
    browser.go(url).await;
    browser
        .wait_until("window.old === undefined && document.querySelector('main')")
        .await;
}

/// The window, into `docs/ops-page/`.
async fn save(browser: &mut Browser, name: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ops-page");
    std::fs::create_dir_all(&dir).expect("a directory");
    let to: PathBuf = dir.join(format!("{name}.png"));
    let picture = browser.screenshot().await;
    let mut decoder = Command::new("base64")
        .arg("--decode")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(to).expect("a file"))
        .spawn()
        .expect("base64, of coreutils");
    let mut input = decoder.stdin.take().expect("a pipe");
    input.write_all(picture.as_bytes()).expect("it reads");
    drop(input);
    assert!(decoder.wait().expect("it ends").success());
}
