//! The examples run and do what they say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, process::Command};

#[test]
fn the_chat_is_held() {
    // `cargo test` has built it, beside the shell.
    let example = Path::new(env!("CARGO_BIN_EXE_we"))
        .with_file_name("examples")
        .join("chat");
    assert!(example.exists(), "build it first: cargo build --examples");
    let output = Command::new(example).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    // Who leaves is told by each guest's own connection, which may be ahead of Ada's; what is said, by Ada's alone.
    let (left, said): (Vec<_>, Vec<_>) = stdout.lines().partition(|line| line.starts_with('('));
    assert_eq!(
        said,
        [
            "Ada: Good evening. Who else is awake?",
            "Grace: I am. What are we on?",
            "Ada: An interpreter that talks to sockets.",
            "Edsger: Simplicity, please 🙂",
            "Grace: It is simple: new WebSocket(url).",
        ],
        "{stdout}"
    );
    assert_eq!(left.len(), 3, "{stdout}");
    assert!(
        left.iter()
            .all(|line| line.ends_with("left: 1000 good night)")),
        "{stdout}"
    );
}
