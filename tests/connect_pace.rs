//! `we connect` where one end is slower than the other, or gone; and at a terminal.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{FLOOD, Scheme, Server, client::Client};

/// Waits until `count` stands still below `limit`.
#[track_caller]
fn stands_still(limit: usize, count: impl Fn() -> usize) -> usize {
    const LONG_ENOUGH: Duration = Duration::from_millis(500);
    let (mut last, mut since) = (count(), Instant::now());
    while last == 0 || since.elapsed() < LONG_ENOUGH {
        // How often to look.
        thread::park_timeout(Duration::from_millis(2));
        let now = count();
        assert!(now < limit, "nothing has stopped it");
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn a_conversation_goes_both_ways_at_once() {
    let server = Server::start(Scheme::Ws);
    let mut client = Client::start(&[&server.url("/echo")]);
    for line in ["one\n", "two\n"] {
        client.say(line);
        client.hear(line.trim_end());
    }
    // More than fits anywhere on the way: who only sends, or only receives, would wait for ever.
    let text = "0123456789abcdef".repeat(1 << 10) + "\n";
    let mut stdin = client.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        for _ in 0..2000 {
            stdin.write_all(text.as_bytes()).unwrap();
        }
    });
    for _ in 0..2000 {
        assert_eq!(client.hear("0").len(), 16 << 10);
    }
    writer.join().unwrap();
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn a_server_that_closes_before_it_has_all_is_a_failure() {
    let server = Server::start(Scheme::Ws);
    let mut client = Client::start(&[&server.url("/think")]);
    let mut stdin = client.stdin.take().unwrap();
    let line = [&[b'x'; 4095][..], b"\n"].concat();
    let endless = thread::spawn(move || while stdin.write_all(&line).is_ok() {});
    let mut said = String::new();
    let stdout = client.stdout.as_mut().unwrap();
    stdout.read_to_string(&mut said).unwrap();
    assert_eq!(said.len(), 4096);
    let (code, said) = client.end();
    endless.join().unwrap();
    let expected = "we: the connection ended before all of standard input was sent\n";
    assert_eq!((code, said.as_str()), (Some(1), expected));
}

#[test]
fn who_reads_no_more_ends_it_quietly() {
    let server = Server::start(Scheme::Ws);
    let mut client = Client::start(&[&server.url("/flood/1000000000")]);
    client.hear("0000");
    client.stdout = None;
    assert_eq!(client.end(), (Some(0), String::new()));
    assert_eq!(server.closes(), ["1000 "]);
}

#[test]
fn who_reads_slowly_is_not_sent_more() {
    let server = Server::start(Scheme::Ws);
    let count = 5000;
    let mut client = Client::start(&[&server.url(&format!("/flood/{count}"))]);
    client.hear("0000");
    stands_still(count, || server.flooded());
    for number in 1..count {
        let line = client.hear("");
        let digit = (number % 10).to_string();
        assert!(line.len() == FLOOD && line.starts_with(&digit), "{number}");
    }
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn a_server_that_reads_slowly_stops_the_input() {
    let server = Server::start(Scheme::Ws);
    let mut client = Client::start(&[&server.url("/mute")]);
    let mut stdin = client.stdin.take().unwrap();
    let written = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&written);
    let writer = thread::spawn(move || {
        let line = [&[b'x'; 4095][..], b"\n"].concat();
        while stdin.write_all(&line).is_ok() {
            counted.fetch_add(line.len(), Ordering::Relaxed);
        }
    });
    stands_still(300 << 20, || written.load(Ordering::Relaxed));
    // The reading of stdin keeps the program from nothing.
    server.stop();
    assert_eq!(client.end().0, Some(1));
    writer.join().unwrap();
}

/// The same at a terminal, which `script` plays.
#[cfg(target_os = "linux")]
mod terminal {
    use std::process::Command;

    use super::*;

    fn at_terminal(url: &str, variable: &str, value: &str) -> Client {
        Client::of(
            Command::new("script")
                .args(["-qefc", "exec \"$WE\" connect \"$URL\"", "/dev/null"])
                .env("WE", env!("CARGO_BIN_EXE_we"))
                .env("URL", url)
                .env("TERM", "xterm")
                .env(variable, value),
        )
    }

    #[test]
    fn lines_are_sent_and_messages_have_time_and_direction() {
        let server = Server::start(Scheme::Ws);
        let mut client = at_terminal(&server.url("/echo"), "NO_COLOR", "1");
        client.hear("Z * connected to ws://127.0.0.1:");
        client.hear("Z * /help lists the commands");
        client.say("hello\n");
        let line = client.hear("Z < hello");
        assert_eq!(line.len(), "00:00:00.000Z < hello".len(), "{line:?}");
        client.say("/binary 41 1b\n");
        client.hear("Z < binary, 2 bytes");
        client.hear("|A.|");
        client.say("/fly\n");
        client.hear("Z * there is no command /fly");
        client.say("/ping\n");
        client.hear("Z * pong \"1\" after ");
        client.say("/close 4000 enough\n");
        client.hear("Z * closed by this side; the server answered with 4000: enough");
        assert_eq!(client.end().0, Some(0));
    }

    #[test]
    fn the_end_of_the_input_closes_at_once() {
        let server = Server::start(Scheme::Ws);
        let mut client = at_terminal(&server.url("/hold"), "NO_COLOR", "1");
        client.hear("Ctrl-D closes");
        client.say("\u{4}");
        client.hear("Z * closed by this side; the server answered with 1000");
        assert_eq!(client.end().0, Some(0));
        assert_eq!(server.closes(), ["1000 "]);
    }

    #[test]
    fn there_are_colours_unless_somebody_wants_none() {
        let server = Server::start(Scheme::Ws);
        let url = server.url("/deliver/1");
        let mut client = at_terminal(&url, "NO_COLOR", "");
        let line = client.hear(" 0");
        assert!(
            line.contains("Z\u{1b}[0m \u{1b}[36m<\u{1b}[0m 0"),
            "{line:?}"
        );
        for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let mut client = at_terminal(&url, variable, value);
            let line = client.hear("Z < 0");
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
}
