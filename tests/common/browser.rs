//! Chromium without a window, driven by its DevTools protocol over our own WebSocket client.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use we_net::protocol::Message;
use we_net::{Client, WebSocket};

use super::serve::PATIENCE;

/// One browser at a time: each of them is a dozen processes.
static ONE: Mutex<()> = Mutex::new(());

/// A browser with one page.
pub struct Browser {
    child: Child,
    profile: PathBuf,
    runtime: Runtime,
    socket: WebSocket,
    session: Value,
    next_id: u64,
    complaints: Vec<String>,
    _one: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts Chromium; `None` if there is none, unless this is CI.
    pub fn start() -> Option<Self> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("we-test-chromium-{}-{number}", std::process::id());
        let profile = std::env::temp_dir().join(name);
        fs::create_dir(&profile).unwrap();
        let program = std::env::var_os("WE_CHROMIUM").unwrap_or_else(|| "chromium".into());
        let child = Command::new(&program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-breakpad",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--no-proxy-server",
                "--force-device-scale-factor=1",
                "--window-size=1000,800",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            // What it keeps elsewhere goes away with the profile, too.
            .env("HOME", &profile)
            .env("TMPDIR", &profile)
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // So that all of its processes can be ended at once.
            .process_group(0)
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                fs::remove_dir(&profile).unwrap();
                assert!(
                    std::env::var_os("CI").is_none(),
                    "CI must have Chromium (the Debian package chromium, or WE_CHROMIUM): {error}"
                );
                eprintln!("skipped: there is no {program:?}: {error}");
                return None;
            }
        };
        let stderr = child.stderr.take().unwrap();
        let guard = Guard(Some(child), profile);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            // To its end, so that the browser never writes to a pipe that is full.
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut said = Vec::new();
        let start = Instant::now();
        let url = loop {
            let rest = PATIENCE.saturating_sub(start.elapsed());
            let Ok(line) = told.recv_timeout(rest) else {
                panic!("Chromium does not listen: {said:?}");
            };
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.trim().to_owned();
            }
            said.push(line);
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let connecting = async { Client::default().request(&*url).unwrap().connect().await };
        let socket = runtime.block_on(connecting).unwrap();
        let (child, profile) = guard.take();
        let mut browser = Self {
            child,
            profile,
            runtime,
            socket,
            session: Value::Null,
            next_id: 0,
            complaints: Vec::new(),
            _one: one,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({ "targetId": target["targetId"], "flatten": true }),
        );
        browser.session = attached["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method, of the page if there is one, and returns its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        let socket = &mut self.socket;
        let sent = self.runtime.block_on(socket.send(call.to_string()));
        sent.unwrap();
        loop {
            let next = async { tokio::time::timeout(PATIENCE, self.socket.next()).await };
            let next = self.runtime.block_on(next);
            let next = next.unwrap_or_else(|_| panic!("{method} is not answered"));
            let Some(Message::Text(text)) = next.unwrap() else {
                panic!("the browser has gone before it answered {method}");
            };
            let mut message: Value = serde_json::from_str(&text).unwrap();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    /// Keeps what the page has done wrong.
    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(params["exceptionDetails"].to_string());
            }
            Some("Log.entryAdded") => self.complaints.push(params["entry"].to_string()),
            Some("Runtime.consoleAPICalled") => self.complaints.push(params["args"].to_string()),
            Some("Page.javascriptDialogOpening") => self.complaints.push(params.to_string()),
            _ => {}
        }
    }

    /// What the page has done wrong since this was last asked: exceptions, and what is in the console, such as what its policy of
    /// contents has not let it do.
    pub fn complaints(&mut self) -> Vec<String> {
        // What has been told before this is answered has been noted.
        self.eval("0");
        std::mem::take(&mut self.complaints)
    }

    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.until("document.readyState === 'complete'");
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let mut result = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }),
        );
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].take()
    }

    /// Waits until an expression is true in the page, not for ever.
    #[track_caller]
    pub fn until(&mut self, condition: &str) {
        let start = Instant::now();
        while self.eval(condition) != json!(true) {
            if start.elapsed() > PATIENCE {
                let page = self.eval("document.body.innerText");
                panic!("not {condition} in {page}; {:?}", self.complaints());
            }
            // How often to look, and not how long something takes.
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Has the page believe that its reader prefers `light` or `dark`.
    pub fn dress(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        end(&mut self.child, &self.profile);
    }
}

/// A browser that nobody can talk to yet.
struct Guard(Option<Child>, PathBuf);

impl Guard {
    fn take(mut self) -> (Child, PathBuf) {
        (self.0.take().unwrap(), self.1.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child, &self.1);
        }
    }
}

/// Ends all processes of a browser, and removes what they have written.
fn end(child: &mut Child, profile: &Path) {
    let group = child.id();
    let _ = Command::new("kill")
        .args(["-KILL", "--", &format!("-{group}")])
        .status();
    let _ = child.wait();
    // The others are not ours to wait for, and may still be about to write.
    let start = Instant::now();
    while lives(group) && start.elapsed() < PATIENCE {
        thread::park_timeout(Duration::from_millis(5));
    }
    if let Err(error) = fs::remove_dir_all(profile) {
        eprintln!("{} is left behind: {error}", profile.display());
    }
}

/// Whether a process group has processes that run.
fn lives(group: u32) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut stats = processes.filter_map(|it| fs::read_to_string(it.path().join("stat")).ok());
    stats.any(|stat| {
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let mut fields = fields.split_whitespace();
        let state = fields.next();
        // The state, the parent, the group.
        let is_member = fields.nth(1).and_then(|it| it.parse().ok()) == Some(group);
        is_member && !matches!(state, Some("Z" | "X"))
    })
}
