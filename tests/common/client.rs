//! `we connect` as a child process that is talked to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::wait;

/// `we connect` with its pipes, ended with its guard.
pub struct Client {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<BufReader<ChildStdout>>,
    pub stderr: BufReader<ChildStderr>,
    /// While it lives, so may the child, for a minute.
    _leave: mpsc::Sender<()>,
}

impl Client {
    pub fn start(args: &[&str]) -> Self {
        Self::of(
            Command::new(env!("CARGO_BIN_EXE_we"))
                .arg("connect")
                .args(args),
        )
    }

    pub fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that is waited for in vain is ended, which is seen where it is waited for.
        let (leave, left) = mpsc::channel();
        let id = child.id().to_string();
        thread::spawn(move || {
            if left.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
                Command::new("kill").args(["-KILL", &id]).status().unwrap();
            }
        });
        Self {
            _leave: leave,
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The next line of stdout that has `text`.
    pub fn hear(&mut self, text: &str) -> String {
        line_with(self.stdout.as_mut().unwrap(), text)
    }

    /// The next line of stderr that has `text`.
    pub fn hear_aside(&mut self, text: &str) -> String {
        line_with(&mut self.stderr, text)
    }

    /// The exit code, and what else there is on stderr.
    pub fn end(mut self) -> (Option<i32>, String) {
        let code = wait(&mut self.child).and_then(|status| status.code());
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (code, rest)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line_with(lines: &mut impl BufRead, text: &str) -> String {
    let mut heard = String::new();
    loop {
        let start = heard.len();
        let len = lines.read_line(&mut heard).unwrap();
        let line = heard.get(start..).unwrap();
        assert!(len > 0, "no line with {text:?} in {heard:?}");
        if line.contains(text) {
            return line.trim_end().to_owned();
        }
    }
}
