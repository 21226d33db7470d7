//! WebSockets over HTTP/2 against an implementation that nobody here wrote: Node.js' http2 module (nghttp2), with the frames of the
//! `ws` package of npm on top, as server and as client.
//!
//! `WE_PEERS` names a folder in which `npm install ws` has run; CI sets it. Without it these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::peers::{Guard, peer};
use common::{script, wait, we};

#[test]
fn a_script_talks_to_a_server_of_node() {
    let Some(mut server) = peer("http2_server.cjs", &[]) else {
        return;
    };
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let _server = Guard(server);
    let port = lines.next().unwrap().unwrap();
    let output = we(&[
        "run",
        "--http2-prior-knowledge",
        "--no-throttle",
        &script("http2_peer.js"),
        &format!("ws://127.0.0.1:{port}"),
    ]);
    assert_eq!(
        output.lines(),
        [
            "/a open:chat:  ü€😀 126 65536 1048576 true 3000 enough",
            "/b open:chat:  ü€😀 126 65536 1048576 true 3000 enough",
            "/c open:chat:  ü€😀 126 65536 1048576 true 3000 enough",
            "/none error false 1006 ",
            "/reset open:: error false 1006 ",
            "/destroy open:: error false 1006 ",
        ],
        "{output:?}"
    );
    let mut seen: Vec<String> = lines.by_ref().map(Result::unwrap).take(10).collect();
    // Which of the three ends first is open.
    seen.sort();
    let request = |path: &str, protocol: &str| {
        format!("session 1 CONNECT websocket http {path} 13 {protocol}")
    };
    assert_eq!(
        seen,
        [
            "close 3000 enough".to_owned(),
            "close 3000 enough".to_owned(),
            "close 3000 enough".to_owned(),
            request("/a", "chat"),
            request("/b", "chat"),
            request("/c", "chat"),
            request("/destroy", "-"),
            request("/none", "-"),
            request("/reset", "-"),
            "stream ERR_HTTP2_STREAM_ERROR".to_owned(),
        ]
    );
}

#[test]
fn a_client_of_node_talks_to_our_server() {
    let certificate = std::env::temp_dir().join(format!("we-http2-{}.pem", std::process::id()));
    let certificate = certificate.to_str().unwrap();
    for tls in [false, true] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_we"));
        command.args(["echo", "--http2", "--listen", "127.0.0.1:0"]);
        command.args(["--subprotocol", "chat"]);
        if tls {
            command.args(["--tls", "--save-cert", certificate]);
        }
        let mut echo = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(echo.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let _echo = Guard(echo);
        let url = line.trim().strip_prefix("listening on ws").unwrap();
        let url = format!("http{url}");
        let args = if tls {
            vec![&*url, certificate]
        } else {
            vec![&*url]
        };
        let Some(mut client) = peer("http2_client.cjs", &args) else {
            return;
        };
        let lines = BufReader::new(client.stdout.take().unwrap()).lines();
        let mut client = Guard(client);
        let lines: Vec<String> = lines.map(Result::unwrap).collect();
        let alpn = if tls { "h2" } else { "h2c" };
        assert_eq!(
            lines,
            [
                &*format!("settings true {alpn}"),
                "first 200 chat",
                "first pong ping",
                "first close 7 3001 read all",
                "second 200 chat",
                "second pong ping",
                "second close 7 3001 read all",
                "400 13",
                "closed",
            ]
        );
        assert!(wait(&mut client.0).unwrap().success());
    }
    let _ = std::fs::remove_file(certificate);
}

#[test]
fn a_script_and_our_server_share_a_connection_by_tls() {
    let certificate = std::env::temp_dir().join(format!("we-http2-own-{}.pem", std::process::id()));
    let certificate = certificate.to_str().unwrap();
    let mut echo = Command::new(env!("CARGO_BIN_EXE_we"))
        .args(["echo", "--http2", "--tls", "--listen", "127.0.0.1:0"])
        .args(["--save-cert", certificate])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(echo.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _echo = Guard(echo);
    let url = line.trim().strip_prefix("listening on ").unwrap();
    let code = "let left = 3; for (let i = 0; i < 3; i++) {
        const ws = new WebSocket(scriptArgs[0]);
        ws.onopen = () => ws.send('x');
        ws.onmessage = ({ data }) => { console.log(data, ws.extensions); ws.close(); };
        ws.onclose = ({ wasClean, code }) => console.log(wasClean, code);
    }";
    let output = we(&[
        "eval",
        "--http2",
        "--trace-net",
        "--ca",
        certificate,
        code,
        url,
    ]);
    let _ = std::fs::remove_file(certificate);
    let mut lines = output.lines();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "true 1005",
            "true 1005",
            "true 1005",
            "x permessage-deflate",
            "x permessage-deflate",
            "x permessage-deflate"
        ],
        "{output:?}"
    );
    assert_eq!(
        output.stderr.matches("HTTP/2 connection opened").count(),
        1,
        "{output:?}"
    );
}
