//! WebSockets over HTTP/2 against an implementation that nobody here wrote: Node.js' http2 module (nghttp2), with the frames of the
//! `ws` package of npm on top, as server and as client.
//!
//! `WE_PEERS` names a folder in which `npm install ws` has run; CI sets it. Without it these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::peers::{Guard, peer};
use common::{Output, script, wait, we};

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

/// An echo server by TLS, its URL, and the file with its certificate.
struct Echo {
    _process: Guard,
    url: String,
    certificate: String,
}

impl Echo {
    fn start(name: &str) -> Self {
        let file = format!("we-http2-{name}-{}.pem", std::process::id());
        let certificate = std::env::temp_dir().join(file);
        let certificate = certificate.to_str().unwrap().to_owned();
        let mut echo = Command::new(env!("CARGO_BIN_EXE_we"))
            .args(["echo", "--http2", "--tls", "--listen", "127.0.0.1:0"])
            .args(["--save-cert", &certificate])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(echo.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let _process = Guard(echo);
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        Self {
            _process,
            url,
            certificate,
        }
    }

    /// What a script makes of it.
    fn eval(&self, code: &str) -> Output {
        let ca = &self.certificate;
        we(&[
            "eval",
            "--http2",
            "--trace-net",
            "--ca",
            ca,
            code,
            &self.url,
        ])
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.certificate);
    }
}

#[test]
fn a_script_and_our_server_share_a_connection_by_tls() {
    let echo = Echo::start("own");
    let code = "for (let i = 0; i < 3; i++) {
        const ws = new WebSocket(scriptArgs[0]);
        ws.onopen = () => ws.send('x');
        ws.onmessage = ({ data }) => { console.log(data, ws.extensions); ws.close(); };
        ws.onclose = ({ wasClean, code }) => console.log(wasClean, code);
    }";
    let output = echo.eval(code);
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

#[test]
fn a_worker_has_connections_of_its_own() {
    let echo = Echo::start("worker");
    let output = echo.eval(
        "const echo = url => new Promise((done, failed) => {
            const ws = new WebSocket(url);
            ws.onopen = () => ws.send('x');
            ws.onmessage = ({ data }) => done([ws, data]);
            ws.onclose = ({ code }) => failed(code);
        });
        const source = `const echo = ${echo}; onmessage = ({ data }) => echo(data).then(([, text]) => postMessage(text))`;
        const worker = new Worker(URL.createObjectURL(new Blob([source])));
        (async () => {
            const [url] = scriptArgs;
            const [ours, first] = await echo(url);
            worker.postMessage(url);
            const second = await new Promise((done, failed) => {
                worker.onmessage = ({ data }) => done(data);
                worker.onerror = failed;
            });
            // The worker's connection goes with it, and ours does not.
            worker.terminate();
            ours.send('y');
            const third = await new Promise(done => ours.onmessage = ({ data }) => done(data));
            const [another, fourth] = await echo(url);
            console.log(first, second, third, fourth);
            for (const ws of [ours, another]) {
                ws.onclose = ({ wasClean }) => console.log(wasClean);
                ws.close();
            }
        })();",
    );
    assert_eq!(output.lines(), ["x x y x", "true", "true"], "{output:?}");
    assert_eq!(output.code, Some(0));
    let opened = output.stderr.matches("HTTP/2 connection opened").count();
    assert_eq!(opened, 2, "{output:?}");
}
