//! `we serve` as a child process, and the processes that it starts.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `we serve`, its URL and what it prints.
pub struct Serve {
    pub child: Child,
    pub url: String,
    printed: Arc<Mutex<String>>,
}

impl Serve {
    pub fn start(args: &[&str]) -> Self {
        Self::start_app(&fixture("app.mjs"), args)
    }

    pub fn start_app(app: &str, args: &[&str]) -> Self {
        Self::start_at(["--listen", "127.0.0.1:0"], app, args)
    }

    /// The same at another place.
    pub fn start_at(place: [&str; 2], app: &str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_we"))
            .arg("serve")
            .args(place)
            .args(args)
            .arg(app)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let printed = Arc::<Mutex<String>>::default();
        let (tell, told) = mpsc::channel();
        thread::spawn({
            let printed = printed.clone();
            move || {
                let mut line = String::new();
                while stdout.read_line(&mut line).is_ok_and(|count| count > 0) {
                    printed.lock().unwrap().push_str(&line);
                    if let Some(url) = line.trim().strip_prefix("listening on ") {
                        // Only the first is waited for.
                        let _ = tell.send(url.to_owned());
                    }
                    line.clear();
                }
            }
        });
        thread::spawn({
            let printed = printed.clone();
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..count]);
                    printed.lock().unwrap().push_str(&text);
                }
            }
        });
        let url = told.recv_timeout(PATIENCE);
        let url = url.unwrap_or_else(|_| panic!("it does not listen: {}", printed.lock().unwrap()));
        Self {
            child,
            url,
            printed,
        }
    }

    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Waits until `text` has been printed.
    pub fn expect(&self, text: &str) {
        until(
            || self.printed().contains(text),
            || format!("no \"{text}\" in: {}", self.printed()),
        );
    }

    /// The processes that the server has started, and those that they have started.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            at += 1;
            let children = format!("/proc/{parent}/task");
            for thread in fs::read_dir(children).into_iter().flatten().flatten() {
                let children = fs::read_to_string(thread.path().join("children"));
                let children = children.unwrap_or_default();
                found.extend(
                    children
                        .split_whitespace()
                        .map(|id| id.parse::<u32>().unwrap()),
                );
            }
        }
        found.remove(0);
        found
    }

    /// Waits until there are so many processes beside the server: the template and its instances.
    pub fn expect_processes(&self, count: usize) {
        until(
            || self.processes().len() == count,
            || format!("{:?} instead of {count} processes", self.processes()),
        );
    }

    /// The resident memory of the server itself, in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let size = line.unwrap().split_whitespace().nth(1).unwrap();
        size.parse().unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of an application in fixtures/serve.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/serve");
    path.join(name).to_string_lossy().into_owned()
}

/// Waits for a condition, not for ever.
pub fn until(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{}", otherwise());
        thread::park_timeout(Duration::from_millis(5));
    }
}
