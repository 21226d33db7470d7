//! A server of another program, with all the processes that it starts, and what memory they take.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A server that takes longer than this to start does not start.
const TO_START: Duration = Duration::from_secs(30);

/// How long to wait until processes that have been killed are gone.
const TO_END: Duration = Duration::from_secs(5);

/// A server that runs. It and the processes that it has started are killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts it, and waits until it has printed `listening on URL`.
    ///
    /// # Errors
    /// If it cannot be run, or ends or says nothing instead.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        let stdout = child.stdout.take();
        // From here on it is killed whatever happens.
        let mut server = Self {
            child,
            url: String::new(),
        };
        let listening = stdout.map_or(Err(RecvTimeoutError::Disconnected), |stdout| {
            listening(stdout).recv_timeout(TO_START)
        });
        server.url = listening.map_err(|error| match error {
            RecvTimeoutError::Timeout => format!(
                "{program} has not said within {} s where it listens",
                TO_START.as_secs()
            ),
            RecvTimeoutError::Disconnected => {
                format!(
                    "{program} has ended, or closed its output, before it said where it listens"
                )
            }
        })?;
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its processes take in all, in KiB: memory that several of them share is counted once. `None` where the system does not
    /// tell, or not of every one.
    pub fn memory(&self) -> Option<f64> {
        tree(self.child.id()).into_iter().map(proportional).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let processes = tree(self.child.id());
        let _ = self.child.kill();
        for &process in &processes[1..] {
            // Most of them end by themselves; by number, before the number can be another's.
            let process = i32::try_from(process).ok().and_then(Pid::from_raw);
            let _ = process.map(|process| kill_process(process, Signal::KILL));
        }
        let _ = self.child.wait();
        // What they free is not to be done in the time of the next one.
        let deadline = Instant::now() + TO_END;
        while processes.iter().any(|&id| proportional(id).is_some()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The URL, once it is printed. What comes after it is read and forgotten.
fn listening(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(url) = line.trim().strip_prefix("listening on ") {
                let _ = tell.send(url.to_owned());
            }
        }
    });
    told
}

/// What the whole system could still give to programs, in KiB.
pub fn available() -> Option<f64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// What the kernel has for all processes together: page tables, stacks, and its structures, those of sockets too; in KiB.
pub fn kernel() -> Option<f64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let parts = ["PageTables:", "KernelStack:", "Slab:"];
    parts.into_iter().map(|name| field(&memory, name)).sum()
}

/// The share of a process of what it has in memory, in KiB.
fn proportional(process: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    field(&rollup.ok()?, "Pss:")
}

/// A number of KiB.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The process itself, those that it has started, and those that they have started.
fn tree(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        at += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            found.extend(children.split_whitespace().flat_map(str::parse::<u32>));
        }
    }
    found
}
