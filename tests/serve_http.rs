//! `we serve`: requests and event streams, each answered by an instance of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::peer::{Peer, ask, unchunk};
use common::serve::{Serve, until};

fn start(args: &[&str]) -> Serve {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/serve/http.mjs");
    Serve::start_app(&app.to_string_lossy(), args)
}

#[test]
fn requests_are_answered_with_responses() {
    let serve = start(&["--spare", "2"]);
    let (head, body) = ask(
        &serve,
        "POST /request?x=1 HTTP/1.1\r\nCookie: a=b\r\nContent-Length: 6\r\n\r\ngr\u{fc}\u{df}e"
            .replace("Content-Length: 6", "Content-Length: 7")
            .as_str(),
    );
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
    assert!(head.contains("\r\nx-served: yes\r\n"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: application/json\r\n"),
        "{head}"
    );
    assert_eq!(
        unchunk(&body),
        "{\"method\":\"POST\",\"url\":\"http://h:1/request?x=1\",\"cookie\":\"a=b\",\"text\":\"gr\u{fc}\u{df}e\",\"aborted\":false}"
    );
    let (_, body) = ask(&serve, "GET /stream HTTP/1.1");
    assert_eq!(unchunk(&body), "one two three");
    let (_, body) = ask(&serve, "GET /below/a/b?c HTTP/1.1");
    assert_eq!(unchunk(&body), "/below/a/b");
    for (request, status) in [("GET /empty HTTP/1.1", 204), ("HEAD /stream HTTP/1.1", 200)] {
        let (head, body) = ask(&serve, request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(body, "", "{request}");
    }
    for (request, status) in [
        ("GET /nowhere HTTP/1.1", 404),
        ("GET /below HTTP/1.1", 404),
        ("GET /socket HTTP/1.1", 426),
        ("POST /request HTTP/1.1\r\nContent-Length: 1048577", 413),
        ("GET /throw HTTP/1.1", 500),
        ("GET /reject HTTP/1.1", 500),
        ("GET /nothing HTTP/1.1", 500),
    ] {
        let body = "x".repeat(if status == 413 { (1 << 20) + 1 } else { 0 });
        let (head, _) = ask(&serve, &format!("{request}\r\n\r\n{body}"));
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {head}"
        );
    }
    serve.expect("Uncaught Error: boom\n");
    serve.expect("boom later");
    serve.expect("must return a Response");
    // What is broken off does not look complete; perhaps nothing of it has left.
    let answer = Peer::get(&serve, "/cut").rest();
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 200 OK\r\n"),
        "{answer}"
    );
    serve.expect("the body of the response failed: Error: boom in the body");
    serve.expect_processes(3);
}

#[test]
fn a_path_is_a_websockets_or_not() {
    let serve = start(&["--spare", "0"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = |path: &str| format!("{}{path}", serve.url);
        let mut socket = we_net::connect(&url("socket")).await.unwrap();
        socket.send("x").await.unwrap();
        assert_eq!(socket.next().await.unwrap(), Some("x".into()));
        for path in ["stream", "nowhere"] {
            let error = we_net::connect(&url(path)).await.unwrap_err();
            assert!(error.to_string().contains("404"), "{error}");
        }
    });
}

#[test]
fn event_streams_are_as_the_standard_has_them() {
    let serve = start(&["--spare", "1"]);
    let (head, body) = ask(&serve, "GET /ticker HTTP/1.1");
    assert!(
        head.contains("\r\ncontent-type: text/event-stream\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\ncache-control: no-store\r\n"), "{head}");
    assert_eq!(
        unchunk(&body),
        "event: tick\nid: 1\u{e9}\nretry: 50\ndata: a\ndata: b\ndata: c\ndata: d\n\n\
         : a comment\n\n\
         data: by hand\n\n\
         data: bytes\n\n\
         data: TypeError,TypeError,RangeError,RangeError\n\n"
    );
    let (_, body) = ask(&serve, "GET /timers HTTP/1.1");
    assert_eq!(unchunk(&body), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
}

#[test]
fn a_client_that_goes_ends_an_endless_feed() {
    let serve = start(&["--spare", "0"]);
    serve.expect_processes(1);
    let mut peers: Vec<_> = (0..5).map(|_| Peer::get(&serve, "/endless")).collect();
    for peer in &mut peers {
        peer.take("data: 3\n\n");
    }
    serve.expect_processes(6);
    drop(peers);
    // The functions come to their end by themselves, and the processes with them.
    until(
        || {
            serve
                .printed()
                .matches("endless ended false true\n")
                .count()
                == 5
        },
        || serve.printed(),
    );
    serve.expect_processes(1);
    assert!(!serve.printed().contains("went on"), "{}", serve.printed());
}

/// The processor's time that a process has taken, in ticks.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_slow_client_paces_its_feed() {
    let serve = start(&["--spare", "0"]);
    let mut peer = Peer::get(&serve, "/fast");
    peer.take("id: 0\n");
    serve.expect("waits at ");
    // When it waits, it waits: nothing is produced, and nothing computes.
    let instance = serve.processes()[1];
    let quiet = std::cell::Cell::new((0, ticks(instance)));
    until(
        || {
            let (rounds, before) = quiet.get();
            let now = ticks(instance);
            quiet.set(if now == before {
                (rounds + 1, now)
            } else {
                (0, now)
            });
            rounds > 50
        },
        || "it computes while it waits".to_owned(),
    );
    let produced = || {
        let printed = serve.printed();
        let last = printed
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("waits at "));
        last.unwrap().parse::<u64>().unwrap()
    };
    let before = produced();
    // What the buffers of the system take, and no more: of events with 64 KiB.
    assert!(before < 1024, "{before}");
    // All of it is there, in order, as far as one reads.
    for id in 1..before + 200 {
        assert!(peer.take("id: ").ends_with("id: "));
        assert_eq!(peer.take("\n"), format!("{id}\n"));
    }
    assert!(produced() > before);
    drop(peer);
    serve.expect("fast ended");
    serve.expect_processes(1);
}

#[test]
fn a_heartbeat_keeps_an_idle_feed_alive() {
    let serve = start(&["--spare", "0"]);
    let mut peer = Peer::get(&serve, "/idle");
    for _ in 0..10 {
        peer.take(": \n\n");
    }
    drop(peer);
    serve.expect("idle ended");
    serve.expect_processes(1);
}

#[test]
fn a_feed_that_goes_wrong_loses_its_own_client_and_nothing_else() {
    let serve = start(&[
        "--spare",
        "1",
        "--max-busy-ms",
        "300",
        "--max-memory-mb",
        "48",
    ]);
    let mut other = Peer::get(&serve, "/endless");
    let mut count = 0;
    for (path, cause) in [
        ("/loop", "it computed for more than 300 ms"),
        ("/memory", "it needed more than 48 MiB"),
        ("/careless", "wait for what data() and event() return"),
    ] {
        let mut peer = Peer::connect(&serve);
        peer.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ));
        // It ends, and not as an answer that is complete.
        let answer = peer.rest();
        assert!(!answer.ends_with("\r\n0\r\n\r\n"), "{path}: {answer:.200}");
        serve.expect(cause);
        for _ in 0..5 {
            other.take(&format!("data: {count}\n\n"));
            count += 1;
        }
    }
    drop(other);
    serve.expect_processes(2);
}
