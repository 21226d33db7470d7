//! `we serve`: what its status page, and what that is drawn from, say to whom. What the page makes of it: serve_status_page.rs.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use common::interrupt;
use common::peer::Peer;
use common::serve::{PATIENCE, Serve, fixture, until};
use serde_json::Value;
use we_net::protocol::{CloseCode, CloseFrame};

const PAGE: [&str; 5] = [
    "/",
    "/status/page.css",
    "/status/page.js",
    "/status/icon.svg",
    "/status/events",
];

/// The head and the body of an answer, which ends the connection unless it is of events.
fn ask(serve: &Serve, method: &str, path: &str, headers: &str) -> (String, String) {
    let mut peer = Peer::connect(serve);
    let end = "Connection: close\r\n\r\n";
    peer.send(&format!("{method} {path} HTTP/1.1\r\n{headers}{end}"));
    let head = peer.take("\r\n\r\n");
    let is_endless = head.contains("text/event-stream") && method != "HEAD";
    let body = if is_endless {
        peer.take("\n\n")
    } else {
        peer.rest()
    };
    (head, body)
}

fn status(serve: &Serve, method: &str, path: &str, headers: &str) -> u16 {
    let (head, _) = ask(serve, method, path, headers);
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

const LOCAL: &str = "Host: localhost\r\n";
const EVIL: &str = "Host: evil.example\r\n";

/// One who looks, and has been told once.
struct Viewer(Peer);

impl Viewer {
    fn new(serve: &Serve) -> Self {
        let mut peer = Peer::connect(serve);
        peer.send(&format!("GET /status/events HTTP/1.1\r\n{LOCAL}\r\n"));
        let head = peer.take("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream\r\n"));
        assert!(head.contains("cache-control: no-store\r\n"));
        peer.take("retry: 1000\n");
        Self(peer)
    }

    fn next(&mut self) -> Value {
        self.0.take("data: ");
        let data = self.0.take("\n\n");
        serde_json::from_str(&data).unwrap()
    }

    /// The next one of which something is true.
    #[track_caller]
    fn until(&mut self, condition: impl Fn(&Value) -> bool) -> Value {
        let start = std::time::Instant::now();
        loop {
            let next = self.next();
            if condition(&next) {
                return next;
            }
            assert!(start.elapsed() < PATIENCE, "{next}");
        }
    }
}

#[test]
fn health_is_for_everyone() {
    for policy in ["local", "off", "on"] {
        let serve = Serve::start(&["--spare", "0", "--status-page", policy]);
        for headers in [LOCAL, EVIL, "Host: h\r\nX-Forwarded-For: 192.0.2.1\r\n"] {
            let (head, body) = ask(&serve, "GET", "/status", headers);
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("content-type: text/plain; charset=utf-8\r\n"));
            assert_eq!(body, "ok\n");
        }
        let (head, body) = ask(&serve, "HEAD", "/status?x", EVIL);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body, "");
        let (head, _) = ask(&serve, "POST", "/status", LOCAL);
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert!(head.contains("allow: GET, HEAD\r\n"), "{head}");
    }
}

#[test]
fn the_page_is_whole_and_trusts_nothing() {
    let serve = Serve::start(&["--spare", "0"]);
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/?x=/y", "text/html; charset=utf-8", "status/page.js"),
        (
            "/status/page.css",
            "text/css; charset=utf-8",
            "prefers-color-scheme: dark",
        ),
        (
            "/status/page.js",
            "text/javascript; charset=utf-8",
            "'use strict'",
        ),
        ("/status/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let (head, body) = ask(&serve, "GET", path, LOCAL);
        for line in [
            "HTTP/1.1 200 OK\r\n",
            &format!("content-type: {kind}\r\n"),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; ",
            "frame-ancestors 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
            "cross-origin-resource-policy: same-origin\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(head.contains(line), "{path}: no {line:?} in {head}");
        }
        assert!(body.contains(part), "{path}: {body}");
        // Nothing from elsewhere, and nothing that the policy would not run or that would run what it is told.
        for bad in [
            "https:",
            "url(",
            "@import",
            "innerHTML",
            " style=",
            " onload=",
            "eval(",
        ] {
            assert!(!body.contains(bad), "{path}: {bad}");
        }
        let (head, rest) = ask(&serve, "HEAD", path, LOCAL);
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        assert_eq!(rest, "", "{path}");
        assert_eq!(status(&serve, "POST", path, LOCAL), 405, "{path}");
    }
    assert_eq!(status(&serve, "HEAD", "/status/events", LOCAL), 200);
    assert_eq!(status(&serve, "DELETE", "/status/events", LOCAL), 405);
    for path in ["/status/", "/status/other", "//", "/index.html"] {
        assert_eq!(status(&serve, "GET", path, LOCAL), 426, "{path}");
    }
}

#[test]
fn the_page_is_for_this_machine() {
    let serve = Serve::start(&["--spare", "0"]);
    for path in PAGE {
        for (headers, expected) in [
            (LOCAL, 200),
            ("Host: 127.0.0.1:1\r\n", 200),
            ("Host: [::1]\r\n", 200),
            (EVIL, 403),
            ("Host: localhost.evil.example\r\n", 403),
            ("", 403),
            ("Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n", 426),
            ("Host: localhost\r\nForwarded: for=192.0.2.1\r\n", 426),
        ] {
            assert_eq!(
                status(&serve, "GET", path, headers),
                expected,
                "{path} {headers}"
            );
        }
    }
    for (site, expected) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 200),
        ("none", 200),
    ] {
        let headers = format!("{LOCAL}Sec-Fetch-Site: {site}\r\n");
        assert_eq!(
            status(&serve, "GET", "/status/events", &headers),
            expected,
            "{site}"
        );
    }
    // An own name of its own.
    let serve = Serve::start_at(
        ["--listen", "127.0.0.9:0"],
        &fixture("app.mjs"),
        &["--spare", "0"],
    );
    assert_eq!(status(&serve, "GET", "/", "Host: 127.0.0.9\r\n"), 200);
    assert_eq!(status(&serve, "GET", "/", "Host: 127.0.0.8\r\n"), 403);
}

#[test]
fn the_page_is_for_nobody_or_everyone_if_the_operator_says_so() {
    let open = ["--listen", "0.0.0.0:0"];
    let app = fixture("app.mjs");
    for (place, policy, local, evil) in [
        (open, "local", 426, 426),
        (open, "on", 200, 200),
        (["--listen", "127.0.0.1:0"], "on", 200, 200),
        (["--listen", "127.0.0.1:0"], "off", 426, 426),
    ] {
        let serve = Serve::start_at(place, &app, &["--spare", "0", "--status-page", policy]);
        for path in PAGE {
            assert_eq!(
                status(&serve, "GET", path, LOCAL),
                local,
                "{place:?} {policy} {path}"
            );
            assert_eq!(
                status(&serve, "GET", path, EVIL),
                evil,
                "{place:?} {policy} {path}"
            );
        }
    }
}

#[test]
fn a_unix_socket_is_for_proxies() {
    let path = std::env::temp_dir().join(format!("we-test-status-{}.sock", std::process::id()));
    let place = path.to_string_lossy();
    let serve = Serve::start_at(
        ["--unix-socket", &place],
        &fixture("app.mjs"),
        &["--spare", "0"],
    );
    for (path_asked, expected) in [("/", "HTTP/1.1 426 "), ("/status", "HTTP/1.1 200 ")] {
        let mut stream = UnixStream::connect(&path).unwrap();
        let request =
            format!("GET {path_asked} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(expected), "{path_asked}: {answer}");
    }
    drop(serve);
    std::fs::remove_file(&path).unwrap();
}

/// An application that lasts as long as a test.
struct App(PathBuf);

impl App {
    /// One that answers requests at these paths.
    fn at(paths: &[&str]) -> Self {
        let name = format!("we-test-status-{}-{}.mjs", std::process::id(), paths.len());
        let path = std::env::temp_dir().join(name);
        let routes: String = paths
            .iter()
            .map(|path| format!("'{path}': () => new Response('mine'),"))
            .collect();
        let text =
            format!("import {{ routes }} from 'we:serve';\nexport default routes({{ {routes} }});");
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_application_goes_first() {
    // Routes; what of them is the application's, what is ours, and what is nowhere: without one of its parts there is no page.
    type Paths = &'static [&'static str];
    let cases: [[Paths; 4]; 4] = [
        [&["/*"], &["/", "/status", "/status/events"], &[], &[]],
        [
            &["/", "/x"],
            &["/"],
            &["/status"],
            &["/status/page.css", "/status/events"],
        ],
        [
            &["/status/*", "/x", "/y"],
            &["/status/page.js"],
            &["/status"],
            &["/"],
        ],
        [
            &["/status", "/x", "/y", "/z"],
            &["/status"],
            &["/", "/status/events"],
            &["/status/x"],
        ],
    ];
    for [routes, mine, ours, nowhere] in cases {
        let app = App::at(routes);
        let serve = Serve::start_app(&app.0.to_string_lossy(), &["--spare", "1"]);
        for path in mine {
            let (_, body) = ask(&serve, "GET", path, EVIL);
            assert!(body.contains("mine"), "{routes:?} {path}: {body}");
        }
        for path in ours {
            let (head, body) = ask(&serve, "GET", path, LOCAL);
            assert!(
                head.starts_with("HTTP/1.1 200 "),
                "{routes:?} {path}: {head}"
            );
            assert!(!body.contains("mine"), "{routes:?} {path}");
        }
        for path in nowhere {
            assert_eq!(status(&serve, "GET", path, LOCAL), 404, "{routes:?} {path}");
        }
    }
}

#[test]
fn those_who_look_are_told_what_happens() {
    let serve = Serve::start(&["--spare", "3"]);
    let mut viewer = Viewer::new(&serve);
    let first = viewer.next();
    assert_eq!(first["title"], "app.mjs");
    assert_eq!(first["connections"]["total"], 0);
    assert_eq!(first["rooms"], Value::Null);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut sockets: Vec<_> = (0..3)
        .map(|_| runtime.block_on(we_net::connect(&serve.url)).unwrap())
        .collect();
    for socket in &mut sockets {
        runtime.block_on(async {
            socket.send("four").await.unwrap();
            assert_eq!(socket.next().await.unwrap(), Some("four".into()));
        });
    }
    let told = viewer.until(|told| told["messages"]["out"] == 3);
    assert_eq!(told["connections"]["open"], 3);
    assert_eq!(told["connections"]["total"], 3);
    assert_eq!(told["messages"]["in"], 3);
    assert_eq!(told["bytes"]["in"], 12);
    assert_eq!(told["bytes"]["out"], 12);
    assert_eq!(told["requests"], 0);
    assert_eq!(told["failures"], 0);
    assert_eq!(told["instances"]["running"], 3);
    assert_eq!(told["instances"]["spare"], 3);
    assert!(told["uptime"].as_f64() > first["uptime"].as_f64());
    assert_eq!(told["started"], first["started"]);

    // A client that says what a failure would say has not made one.
    let frame = |code| CloseFrame::from(CloseCode::new(code).unwrap());
    let closure = runtime.block_on(sockets.remove(0).close(frame(1011)));
    assert_eq!(closure.code, 1011);
    let told = viewer.until(|told| told["instances"]["running"] == 2);
    assert_eq!(told["connections"]["open"], 2);
    assert_eq!(told["failures"], 0);
    // What the application throws is one, and so is an instance that crashes.
    for (count, offence) in [(1, "do throw"), (2, "do stack")] {
        let mut socket = sockets.remove(0);
        runtime.block_on(async {
            socket.send(offence).await.unwrap();
            while socket.next_event().await.is_some() {}
        });
        let told = viewer.until(|told| told["instances"]["running"] == 2 - count);
        assert_eq!(told["failures"], count, "{offence}");
    }
}

#[test]
fn requests_and_their_failures_are_counted() {
    let serve = Serve::start_app(&fixture("http.mjs"), &["--spare", "0"]);
    let mut viewer = Viewer::new(&serve);
    for (count, failures, path) in [
        (1, 0, "/empty"),
        (2, 0, "/below/x"),
        (3, 1, "/throw"),
        (4, 2, "/nothing"),
        (5, 3, "/cut"),
    ] {
        let mut peer = Peer::get(&serve, path);
        peer.send("GET /status HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        peer.rest();
        let told =
            viewer.until(|told| told["requests"] == count && told["instances"]["running"] == 0);
        assert_eq!(told["failures"], failures, "{path}");
    }
}

#[test]
fn only_so_many_look_at_a_time() {
    let serve = Serve::start(&["--spare", "0"]);
    let mut viewers: Vec<_> = (0..32).map(|_| Viewer::new(&serve)).collect();
    let (head, _) = ask(&serve, "GET", "/status/events", LOCAL);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("retry-after: 5\r\n"), "{head}");
    // The page itself is still there, and those who look are told on.
    assert_eq!(status(&serve, "GET", "/", LOCAL), 200);
    viewers[31].next();
    // Who goes makes room.
    viewers.pop();
    until(
        || status(&serve, "GET", "/status/events", LOCAL) == 200,
        || "the place of one who has gone is not free".to_owned(),
    );
}

#[test]
fn who_looks_does_not_hold_up_the_end() {
    let mut serve = Serve::start(&["--spare", "0"]);
    let mut viewer = Viewer::new(&serve);
    interrupt(&serve.child);
    // To the end of the answer, and not only of the connection.
    assert!(viewer.0.rest().ends_with("\r\n0\r\n\r\n"));
    assert!(common::wait(&mut serve.child).unwrap().success());
}

#[test]
fn rooms_are_shown() {
    let serve = Serve::start_app(&fixture("rooms.mjs"), &["--rooms", "--spare", "0"]);
    let mut viewer = Viewer::new(&serve);
    assert_eq!(viewer.next()["rooms"], serde_json::json!([]));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Kept open.
    let _sockets = runtime.block_on(async {
        let mut sockets = Vec::new();
        for name in ["garden", "garden", "%3Cb%3E"] {
            let url = format!("{}ws/{name}", serve.url);
            sockets.push(we_net::connect(&url).await.unwrap());
            // It is told of its own coming.
            sockets.last_mut().unwrap().next().await.unwrap();
        }
        sockets[0].send("do throw").await.unwrap();
        sockets[1].next().await.unwrap();
        sockets
    });
    let report = viewer.until(|report| report["failures"] == 1);
    let rooms = report["rooms"].as_array().unwrap();
    let [room] = &rooms[..] else {
        panic!("{report}");
    };
    assert_eq!(room["name"], "<b>");
    assert_eq!((&room["clients"], &room["sent"]), (&1.into(), &1.into()));
}
