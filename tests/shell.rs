//! The command line: what it prints and how it exits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use common::{Echo, Scheme, Server, interrupt, script, wait, we, we_with_input};

/// A file that is removed with its guard.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "we-shell-{}-{}",
            std::process::id(),
            name.replace('.', "-")
        ));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
        Self(folder.join(name))
    }

    fn beside(&self, name: &str, content: &str) {
        std::fs::write(self.0.with_file_name(name), content).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn eval_runs_code_with_its_arguments() {
    let output = we(&[
        "eval",
        "console.log(scriptArgs.length, scriptArgs.join())",
        "a",
        "--b",
        "c d",
    ]);
    assert_eq!(
        (output.stdout.as_str(), output.code),
        ("3 a,--b,c d\n", Some(0)),
        "{output:?}"
    );
}

#[test]
fn a_script_may_come_from_standard_input() {
    let output = we_with_input(
        &["run", "-", "x"],
        "console.log('from stdin', scriptArgs[0])",
    );
    assert_eq!(
        (output.stdout.as_str(), output.code),
        ("from stdin x\n", Some(0)),
        "{output:?}"
    );
}

#[test]
fn the_globals_that_a_script_expects_are_there() {
    let names = "console setTimeout setInterval clearTimeout clearInterval queueMicrotask reportError URL URLSearchParams \
                 TextEncoder TextDecoder structuredClone performance atob btoa AbortController AbortSignal self globalThis \
                 Event EventTarget MessageEvent CloseEvent ErrorEvent DOMException Blob WebSocket scriptArgs";
    let code = "console.log(scriptArgs[0].split(/ +/).filter(name => !(name in globalThis)).join() || 'all')";
    let output = we(&["eval", code, names]);
    assert_eq!(output.stdout, "all\n", "{output:?}");
    let output = we(&[
        "eval",
        "console.log(self === globalThis, typeof performance.now(), atob(btoa('x')), typeof gc)",
    ]);
    assert_eq!(output.stdout, "true number x undefined\n", "{output:?}");
}

#[test]
fn an_uncaught_error_is_printed_with_its_position_and_the_exit_code_is_1() {
    let file = Scratch::new(
        "thrower.js",
        "function f() {\n  throw new TypeError('broken');\n}\nf();\n",
    );
    let output = we(&["run", file.path()]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.contains("Uncaught TypeError: broken"),
        "{output:?}"
    );
    assert!(output.stderr.contains("thrower.js:2:"), "{output:?}");
}

#[test]
fn an_error_in_a_callback_does_not_end_the_script_but_shows_in_the_exit_code() {
    let code = "setTimeout(() => { throw new Error('first') }); setTimeout(() => console.log('still here'), 5)";
    let output = we(&["eval", code]);
    assert_eq!(
        (output.stdout.as_str(), output.code),
        ("still here\n", Some(1)),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("Uncaught Error: first"),
        "{output:?}"
    );
    let output = we(&["eval", "Promise.reject(new Error('nobody cares'))"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output
            .stderr
            .contains("Uncaught (in promise) Error: nobody cares"),
        "{output:?}"
    );
    let output = we(&[
        "eval",
        "onerror = () => true; onunhandledrejection = e => e.preventDefault(); \
                               setTimeout(() => { throw 1 }); Promise.reject(2)",
    ]);
    assert_eq!(
        (output.stderr.as_str(), output.code),
        ("", Some(0)),
        "{output:?}"
    );
}

#[test]
fn a_missing_file_and_a_syntax_error_are_one_clear_line() {
    let output = we(&["run", "no-such-file.js"]);
    assert_eq!(
        (output.stderr.lines().count(), output.code),
        (1, Some(1)),
        "{output:?}"
    );
    assert!(output.stderr.contains("no-such-file.js"), "{output:?}");
    let file = Scratch::new("wrong.js", "let x = 1;\nlet y = = 2;\n");
    let output = we(&["run", file.path()]);
    assert_eq!(
        (output.stderr.lines().count(), output.code),
        (1, Some(1)),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("wrong.js:2:") && output.stderr.contains("SyntaxError"),
        "{output:?}"
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &["run"][..],
        &["fly"],
        &["run", "--no-such-option", "x.js"],
        &["eval"],
        &["echo", "--listen", "nowhere"],
        &[],
    ] {
        let output = we(args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn modules_import_each_other_and_know_their_url() {
    let main = Scratch::new(
        "main.mjs",
        "import { word } from './part.mjs'; import data from './data.json' with { type: 'json' };\n\
         const late = await import('./late.mjs');\n\
         console.log(word, data.n, late.default, import.meta.url.startsWith('file:///'), this === undefined, scriptArgs[0]);",
    );
    main.beside("part.mjs", "export const word = 'part';");
    main.beside("late.mjs", "export default 'late';");
    main.beside("data.json", "{ \"n\": 7 }");
    let output = we(&["run", main.path(), "arg"]);
    assert_eq!(
        (output.stdout.as_str(), output.code),
        ("part 7 late true true arg\n", Some(0)),
        "{output:?}"
    );

    let broken = Scratch::new("broken.mjs", "import './missing.mjs';");
    let output = we(&["run", broken.path()]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("missing.mjs"), "{output:?}");
}

#[test]
fn a_location_gives_relative_urls_and_an_origin() {
    let server = Server::start(Scheme::Ws);
    let location = server.url("/page/index.html").replacen("ws", "http", 1);
    let origin = server.url("").replacen("ws", "http", 1);
    // `/origin` sends the Origin that the request had.
    let code = "const ws = new WebSocket('../origin'); console.log(ws.url === scriptArgs[0]); \
                ws.onmessage = ({ data }) => { console.log(data); ws.close() }";
    let output = we(&[
        "eval",
        "--location",
        &location,
        code,
        &server.url("/origin"),
    ]);
    assert_eq!(output.lines(), ["true", &origin], "{output:?}");
    let code = "new WebSocket(scriptArgs[0]).onmessage = ({ data, target }) => { console.log(data); target.close() }";
    let output = we(&["eval", code, &server.url("/origin")]);
    assert_eq!(output.lines(), ["none"], "{output:?}");
}

#[test]
fn tls_is_verified_unless_the_operator_says_otherwise() {
    let server = Server::start(Scheme::Wss);
    let url = server.url("/echo");
    let code = "const ws = new WebSocket(scriptArgs[0]); ws.onopen = () => { console.log('open'); ws.close() }; \
                ws.onerror = () => console.log('error')";
    let output = we(&["eval", code, &url]);
    assert_eq!(output.stdout, "error\n", "{output:?}");
    assert!(
        output.stderr.contains("certificate") && output.stderr.contains(&url),
        "{output:?}"
    );
    let output = we(&[
        "eval",
        "--ca",
        server.ca.as_ref().unwrap().to_str().unwrap(),
        code,
        &url,
    ]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("open\n", ""),
        "{output:?}"
    );
    let output = we(&["eval", "--insecure", code, &url]);
    assert_eq!(output.stdout, "open\n", "{output:?}");
    let output = we(&["eval", "--ca", "no-such.pem", code, &url]);
    assert_eq!(
        (output.stderr.lines().count(), output.code),
        (1, Some(1)),
        "{output:?}"
    );
}

#[test]
fn echo_serves_and_ends_open_connections_with_1001() {
    let mut echo = Echo::start(&["--subprotocol", "chat"]);
    let code = "const ws = new WebSocket(scriptArgs[0], ['x', 'chat']); ws.onopen = () => ws.send('hi'); \
                ws.onmessage = e => console.log(e.data, ws.protocol); ws.onclose = e => console.log(e.code, e.wasClean)";
    let mut client = Command::new(env!("CARGO_BIN_EXE_we"))
        .args(["eval", code, &echo.url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "hi chat");
    assert_eq!(echo.interrupt(), Some(0));
    assert_eq!(lines.next().unwrap().unwrap(), "1001 true");
    assert_eq!(wait(&mut client).unwrap().code(), Some(0));
    let mut rest = String::new();
    echo.stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn messages_are_compressed_unless_the_operator_says_otherwise() {
    let code = "const ws = new WebSocket(scriptArgs[0]); const text = 'over and '.repeat(10000); \
                ws.onopen = () => ws.send(text); \
                ws.onmessage = e => { console.log(e.data === text, JSON.stringify(ws.extensions)); ws.close() }";
    let echo = Echo::start(&[]);
    let plain_echo = Echo::start(&["--no-compression"]);
    let output = we(&["eval", code, &echo.url]);
    assert_eq!(output.stdout, "true \"permessage-deflate\"\n", "{output:?}");
    let output = we(&["eval", "--no-compression", code, &echo.url]);
    assert_eq!(output.stdout, "true \"\"\n", "{output:?}");
    let output = we(&["eval", code, &plain_echo.url]);
    assert_eq!(output.stdout, "true \"\"\n", "{output:?}");

    let code = "const wss = new WebSocketStream(scriptArgs[0]); \
                wss.opened.then(o => { console.log(JSON.stringify(o.extensions)); wss.close() })";
    let output = we(&["eval", code, &echo.url]);
    assert_eq!(output.stdout, "\"permessage-deflate\"\n", "{output:?}");
}

#[test]
fn echo_serves_on_as_many_threads_as_it_is_told() {
    for threads in ["1", "3", "0"] {
        let mut echo = Echo::start(&["--threads", threads]);
        let code = "const all = Array.from({ length: 9 }, (_, i) => new Promise((done, failed) => {
              const ws = new WebSocket(scriptArgs[0]);
              ws.onopen = () => ws.send(`${i}`);
              ws.onmessage = (event) => { done(event.data); ws.close(); };
              ws.onerror = failed;
            }));
            Promise.all(all).then((data) => console.log(data.join('')));";
        let output = we(&["eval", code, &echo.url]);
        assert_eq!(output.stdout, "012345678\n", "{threads}: {output:?}");
        assert_eq!(echo.interrupt(), Some(0), "{threads}");
    }
}

#[test]
fn echo_makes_a_certificate_that_run_can_trust() {
    let cert = Scratch::new("echo.pem", "");
    let echo = Echo::start(&["--tls", "--save-cert", cert.path()]);
    assert!(echo.url.starts_with("wss://"), "{}", echo.url);
    let output = we(&[
        "run",
        "--ca",
        cert.path(),
        &script("close_without_arguments.js"),
        &echo.url,
    ]);
    assert_eq!(output.stdout, "true 1005 \"\"\n", "{output:?}");
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let echo = Echo::start(&[]);
    let address = echo
        .url
        .trim_start_matches("ws://")
        .trim_end_matches('/')
        .to_owned();
    let output = we(&["echo", "--listen", &address]);
    assert_eq!(
        (output.stderr.lines().count(), output.code),
        (1, Some(1)),
        "{output:?}"
    );
    assert!(
        output.stderr.contains(&address) && output.stderr.contains("--listen"),
        "{output:?}"
    );
}

#[test]
fn ctrl_c_closes_open_sockets_with_1001() {
    let server = Server::start(Scheme::Ws);
    let code = "const ws = new WebSocket(scriptArgs[0]); ws.onopen = () => console.log('open')";
    let mut client = Command::new(env!("CARGO_BIN_EXE_we"))
        .args(["eval", code, &server.url("/hold")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "open");
    interrupt(&client);
    assert_eq!(wait(&mut client).unwrap().code(), Some(130));
    assert_eq!(server.closes(), ["1001 "]);
}

#[test]
fn an_open_socket_keeps_the_shell_and_nothing_else_does() {
    let server = Server::start(Scheme::Ws);
    // Nothing in the script waits for the server, which ends the connection after its 300 messages.
    let code = "new WebSocket(scriptArgs[0]).onclose = ({ code }) => console.log('closed', code); console.log('started')";
    let output = we(&["eval", code, &server.url("/deliver/300")]);
    assert_eq!(output.lines(), ["started", "closed 1000"], "{output:?}");
    assert_eq!(output.code, Some(0), "{output:?}");
    let output = we(&[
        "eval",
        "new EventTarget; new Promise(() => {}); console.log('nothing pending')",
    ]);
    assert_eq!(
        (output.stdout.as_str(), output.code),
        ("nothing pending\n", Some(0)),
        "{output:?}"
    );
}

#[test]
fn values_that_cannot_be_shown_are_reported_all_the_same() {
    let deep =
        "let a = {}; for (let i = 0; i < 20000; i++) a = { a }; a.toString = () => { throw 1 }; ";
    for code in [
        "throw a",
        "reportError(a)",
        "Promise.reject(a)",
        "let o = Object.create(null); o.a = a; throw o",
    ] {
        let output = we(&[
            "eval",
            &format!("setTimeout(() => console.log('goes on')); {deep}{code}"),
        ]);
        assert_eq!(output.code, Some(1), "{code}: {output:?}");
        assert!(
            output.stdout == "goes on\n" && output.stderr.contains("cannot be made a string"),
            "{code}: {output:?}"
        );
    }
    let file = Scratch::new("number.js", "function f() {\n  throw 1;\n}\nf();\n");
    let output = we(&["run", file.path()]);
    assert!(
        output.stderr.starts_with("Uncaught 1\n") && output.stderr.contains("number.js:2:"),
        "{output:?}"
    );
}

#[test]
fn stderr_that_cannot_be_written_to_changes_no_exit_code() {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for (args, code) in [
        (&["eval", "throw new Error('x')"][..], 1),
        (&["run", "no-such-file.js"], 1),
    ] {
        let status = Command::new(env!("CARGO_BIN_EXE_we"))
            .args(args)
            .stderr(full())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}
