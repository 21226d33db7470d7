//! The examples run and do what they say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

#[test]
fn the_chat_is_held() {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "chat"])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    assert!(output.status.success(), "{stdout}");
    assert_eq!(
        lines.get(..5),
        Some(
            &[
                "Ada: Good evening. Who else is awake?",
                "Grace: I am. What are we on?",
                "Ada: An interpreter that talks to sockets.",
                "Edsger: Simplicity, please 🙂",
                "Grace: It is simple: new WebSocket(url).",
            ][..]
        ),
        "{stdout}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.ends_with("left: 1000 good night)"))
            .count(),
        3,
        "{stdout}"
    );
}
