//! What the operator decides about the network, and what he gets to see of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use common::{Scheme, Server, we, we_with_input, we_with_variable};

/// Sends a text, prints the answer, closes.
const HELLO: &str = "const ws = new WebSocket(scriptArgs[0]); ws.onopen = () => ws.send('hello'); \
                     ws.onmessage = e => { console.log(e.data); ws.close(1000, 'bye') }; \
                     ws.onclose = e => console.log(e.code)";

/// A path that nothing is at, removed with its guard.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("we-net-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A server that takes the head of one request and hangs up.
fn one_request() -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let head = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
        String::from_utf8(head).unwrap()
    });
    (port, head)
}

#[test]
fn the_log_of_frames_is_json_and_a_table_can_be_made_of_it() {
    let server = Server::start(Scheme::Ws);
    let log = Scratch::new("frames.jsonl");
    let url = server.url("/echo");
    let output = we(&["eval", "--net-log", log.path(), HELLO, &url]);
    assert_eq!(output.stdout, "hello\n1000\n", "{output:?}");
    let text = std::fs::read_to_string(log.path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    for (line, expected) in lines.iter().zip([
        r#""event":"open""#,
        r#""event":"frame","dir":"out","opcode":"text","fin":true,"compressed":false,"size":5,"text":"hello"}"#,
        r#""dir":"in","opcode":"text""#,
        r#""dir":"out","opcode":"close","fin":true,"compressed":false,"size":5,"code":1000,"reason":"bye"}"#,
        r#""dir":"in","opcode":"close""#,
        r#""event":"close","clean":true,"code":1000,"reason":"bye","error":null}"#,
    ]) {
        assert!(line.starts_with(r#"{"time":"#) && line.contains(expected), "{line}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(log.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let table = we(&["net-log", log.path()]);
    assert_eq!(table.code, Some(0), "{table:?}");
    let rows = table.lines();
    assert_eq!(rows.len(), 7, "{table:?}");
    assert!(
        rows[2].contains("-->  text                  5  hello"),
        "{table:?}"
    );
    assert!(
        rows[5].contains("<--  close                 5  1000 bye"),
        "{table:?}"
    );
    assert_eq!(we_with_input(&["net-log", "-"], &text).stdout, table.stdout);
    let missing = we(&["net-log", "/does/not/exist"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    let unwritable = we(&["eval", "--net-log", "/does/not/exist", "1"]);
    assert!(
        unwritable.stderr.contains("cannot write --net-log"),
        "{unwritable:?}"
    );
}

#[test]
fn trace_net_tells_of_connections_and_frames_but_not_of_payloads() {
    let server = Server::start(Scheme::Ws);
    let url = server
        .url("/echo?token=secret")
        .replace("ws://", "ws://user:secret@");
    // The option counts, whatever the environment asks for besides.
    let output = we_with_variable(&["eval", "--trace-net", HELLO, &url], "WE_LOG", "error");
    let trace = &output.stderr;
    for expected in [
        "[debug] connecting",
        "[debug] opened",
        "[trace] frame",
        "direction=Out opcode=text fin=true size=5",
        "direction=In opcode=Close",
        "[debug] closed",
    ] {
        assert!(trace.contains(expected), "{expected}: {trace}");
    }
    assert!(
        !trace.contains("hello") && !trace.contains("secret"),
        "{trace}"
    );
    assert_eq!(we(&["eval", HELLO, &url]).stderr, "");
}

#[test]
fn headers_and_credentials_are_the_operators_to_give() {
    let file = Scratch::new("headers");
    std::fs::write(file.path(), "X-From-File: yes\n\n").unwrap();
    let (port, head) = one_request();
    let url = format!("ws://127.0.0.1:{port}/");
    let from_file = format!("@{}", file.path());
    we(&[
        "eval",
        "--header",
        "X-Token: a:b",
        "--header",
        &from_file,
        "--header-for",
        &url,
        "X-Here: 1",
        "--header-for",
        "ws://other.example/",
        "X-There: 1",
        HELLO,
        &url,
    ]);
    let head = head.join().unwrap();
    for expected in ["X-Token: a:b\r\n", "X-From-File: yes\r\n", "X-Here: 1\r\n"] {
        assert!(head.contains(expected), "{expected}: {head}");
    }
    assert!(!head.contains("X-There"), "{head}");
    for (header, problem) in [("nonsense", "'Name: value'"), ("Host: x", "Host")] {
        let output = we(&["eval", "--header", header, "1"]);
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains(problem), "{output:?}");
    }
}

#[test]
fn a_proxy_is_taken_from_the_command_line_or_from_the_environment() {
    let (port, head) = one_request();
    let proxy = format!("http://user:secret@127.0.0.1:{port}");
    let output = we(&["eval", "--proxy", &proxy, HELLO, "ws://inside.test/"]);
    assert!(
        head.join()
            .unwrap()
            .starts_with("CONNECT inside.test:80 HTTP/1.1\r\n")
    );
    assert!(
        output
            .stderr
            .contains(&format!("the proxy http://127.0.0.1:{port}"))
            && output.stderr.contains("status 403")
            && !output.stderr.contains("secret"),
        "{output:?}"
    );

    let with_env = |args: &[&str], variable: &str, proxy: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_we"))
            .args(args)
            .env(variable, proxy)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let (port, head) = one_request();
    let proxy = format!("127.0.0.1:{port}");
    with_env(
        &["eval", "--proxy", "env", HELLO, "ws://inside.test/"],
        "all_proxy",
        &proxy,
    );
    assert!(head.join().unwrap().starts_with("CONNECT inside.test:80 "));
    // Without being told so, the shell does not ask the environment; nor for this machine.
    let server = Server::start(Scheme::Ws);
    let url = server.url("/echo");
    for args in [
        &["eval", HELLO, &url][..],
        &["eval", "--proxy", "env", HELLO, &url],
    ] {
        let said = with_env(args, "http_proxy", "127.0.0.1:1");
        assert_eq!(said, "hello\n1000\n", "{args:?}");
    }
    let said = with_env(
        &["eval", "--proxy", "env", "1"],
        "https_proxy",
        "gopher://x",
    );
    assert!(said.contains("https_proxy cannot be used"), "{said}");
}

/// `we echo` at a Unix socket.
struct Echo(Child);

impl Drop for Echo {
    fn drop(&mut self) {
        common::interrupt(&self.0);
        common::wait(&mut self.0);
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_connects_run_and_echo() {
    let socket = Scratch::new("echo.sock");
    let mut child = Command::new(env!("CARGO_BIN_EXE_we"))
        .args(["echo", "--unix-socket", socket.path()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let echo = Echo(child);
    assert_eq!(line, format!("listening on {}\n", socket.path()));
    let output = we(&[
        "eval",
        "--unix-socket",
        socket.path(),
        HELLO,
        "ws://any.name/",
    ]);
    assert_eq!(output.stdout, "hello\n1000\n", "{output:?}");
    drop(echo);
    assert!(!socket.0.exists());
}
