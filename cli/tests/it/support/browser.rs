//! A real Chromium, told what to do in its own protocol (CDP) over a pipe. Only the few commands that tests need:
//! a client with all of the protocol is larger than everything else that is compiled here.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use stack::{Chromium, Sources};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::wait_for;

/// Longest wait for one answer. A browser on a busy machine starts slowly.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What is between messages.
const END: u8 = 0;

/// A browser with one page.
pub struct Browser {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    _profile: TempDir,
    _process: Child,
}

impl Browser {
    /// Starts one, unless there is none to be had, which is said; who demands everything (`CI=1`) is failed.
    pub async fn start() -> Option<Self> {
        let found = tokio::task::spawn_blocking(|| Chromium::find(&Sources::default())).await;
        let chromium = match found.expect("no panic") {
            Ok(chromium) => chromium,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "{error}");
                // Not eprintln!, which the test runner keeps to itself.
                writeln!(std::io::stderr(), "NOT RUN: {error}").ok();
                return None;
            }
        };
        let profile = tempfile::tempdir().expect("a directory");
        let mut command = Command::from(chromium.controlled());
        command
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // Tests may be run by root, for whom there is no sandbox; the pages are our own.
            .args([
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--force-color-profile=srgb",
            ])
            .env("HOME", profile.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let mut browser = Self {
            to: process.stdin.take().expect("a pipe"),
            from: BufReader::new(process.stdout.take().expect("a pipe")),
            session: None,
            last: 0,
            _profile: profile,
            _process: process,
        };
        let target = browser
            .tell("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.tell("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.tell("Page.enable", json!({})).await;
        Some(browser)
    }

    /// Sends a command, and waits for its answer.
    pub async fn tell(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(END);
        self.to.write_all(&bytes).await.expect("it listens");
        let answer = tokio::time::timeout(TIMEOUT, self.answer()).await;
        answer.unwrap_or_else(|_| panic!("{method} is not answered"))
    }

    /// What happens meanwhile is not looked at.
    async fn answer(&mut self) -> Value {
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(END, &mut bytes).await.expect("it talks");
            assert_eq!(bytes.pop(), Some(END), "the browser is gone");
            let message: Value = serde_json::from_slice(&bytes).expect("JSON");
            if message["id"] == self.last {
                return message;
            }
        }
    }

    /// The value of an expression on the page; a promise is waited for.
    pub async fn value(&mut self, expression: &str) -> Value {
        let answer = self.tell("Runtime.evaluate", evaluation(expression)).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Lets something happen that may lead to another page: it is begun once the answer is on its way.
    pub async fn set_off(&mut self, statement: &str) {
        self.value(&format!("setTimeout(() => {{ {statement} }})")).await;
    }

    /// Waits until an expression is true. While a page is on its way there is nothing to ask: an answer is an error, or
    /// about a page that is not whole.
    pub async fn wait_until(&mut self, expression: &str) {
        let guarded = format!("document.readyState === 'complete' && Boolean({expression})");
        let reached = wait_for(async || {
            let answer = self.ask("Runtime.evaluate", evaluation(&guarded)).await;
            answer["result"]["result"]["value"] == true
        })
        .await;
        assert!(reached, "waited for {expression}: {}", self.text().await);
    }

    /// What the page says.
    pub async fn text(&mut self) -> String {
        let text = self.value("document.body ? document.body.innerText : ''").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub async fn go(&mut self, url: &str) {
        self.tell("Page.navigate", json!({"url": url})).await;
        self.wait_until("location.href !== 'about:blank'").await;
    }

    /// Types into a field, as a keyboard would.
    pub async fn fill(&mut self, selector: &str, text: &str) {
        let focus = format!(
            "(() => {{ const it = document.querySelector({selector:?}); it.focus(); it.select(); }})()"
        );
        self.value(&focus).await;
        self.tell("Input.insertText", json!({"text": text})).await;
    }

    /// Presses what a selector finds, and waits for the page it leads to.
    pub async fn press(&mut self, selector: &str) {
        self.value("window.old = true").await;
        self.set_off(&format!("document.querySelector({selector:?}).click()"))
            .await;
        self.wait_until("window.old === undefined").await;
    }

    /// A key, such as `Tab`.
    pub async fn key(&mut self, key: &str, text: &str) {
        let code = if key == "Tab" { 9 } else { 0 };
        let down = json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.tell("Input.dispatchKeyEvent", down).await;
        self.tell("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}))
            .await;
    }

    /// Light or dark, as somebody prefers it.
    pub async fn prefer(&mut self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", media).await;
    }

    /// A window of this size.
    pub async fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Nothing of this address is loaded any more, also where it was before.
    pub async fn block(&mut self, pattern: &str) {
        self.tell("Network.enable", json!({})).await;
        self.tell("Network.setCacheDisabled", json!({"cacheDisabled": true}))
            .await;
        self.tell("Network.setBlockedURLs", json!({"urls": [pattern]}))
            .await;
    }

    /// The window as a PNG, in base64.
    pub async fn screenshot(&mut self) -> String {
        let shot = self
            .tell("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        shot["data"].as_str().expect("a picture").to_owned()
    }
}

fn evaluation(expression: &str) -> Value {
    json!({"expression": expression, "returnByValue": true, "awaitPromise": true})
}
