//! Workers in the shell: scripts from files and servers, sockets of their own, and how they end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Scheme, Server, expect, interrupt, script, wait, we};

/// A server of scripts at `http://127.0.0.1:port`, for as long as this process lives: path, content type, text. A content
/// type that starts with `/` is a redirect.
fn http(files: &'static [(&'static str, &'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let serve = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut head = BufReader::new(stream.try_clone()?).lines();
        let request = head.next().transpose()?.unwrap_or_default();
        // To the end of the head, or the peer would see a reset.
        for line in head {
            if line?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let answer = match files.iter().find(|(known, ..)| *known == path) {
            Some((_, location, _)) if location.starts_with('/') => {
                format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
            }
            Some((_, kind, text)) => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ),
            None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes())
    };
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that has gone is none of ours.
            let _ = stream.and_then(&serve);
        }
    });
    origin
}

#[test]
fn scripts_of_workers_are_relative_to_the_script_that_starts_them() {
    let output = we(&["run", &script("workers.js")]);
    let expected = [
        "first: imported from classic.js",
        "module: 42 from module.mjs",
    ];
    assert_eq!(output.lines(), expected, "{output:?}");
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
fn scripts_of_workers_come_from_servers() {
    let origin = http(&[
        (
            "/a/worker.js",
            "text/javascript",
            "importScripts('lib.js'); postMessage(lib + ' ' + location.pathname)",
        ),
        ("/a/lib.js", "application/javascript", "var lib = 'lib'"),
        ("/moved.js", "/a/worker.js", ""),
        (
            "/m.mjs",
            "text/javascript;charset=utf-8",
            "import { x } from './a/x.mjs'; import data from './d.json' with { type: 'json' }; postMessage(x + data.y)",
        ),
        ("/a/x.mjs", "text/javascript", "export const x = 'x'"),
        ("/d.json", "application/json", "{ \"y\": 1 }"),
        ("/plain.js", "text/plain", "postMessage('must not run')"),
        (
            "/file.js",
            "text/javascript",
            "importScripts('file:///etc/hostname')",
        ),
    ]);
    let code = "
        const [origin] = scriptArgs;
        const run = (url, options) => new Promise(resolve => {
            const worker = new Worker(url, options);
            worker.onmessage = ({ data }) => { resolve(data); worker.terminate() };
            worker.onerror = e => { e.preventDefault(); resolve(e.constructor.name + ' ' + (e.message ?? '')) };
        });
        for (const args of [['/a/worker.js'], ['/moved.js'], ['/m.mjs', { type: 'module' }], ['/plain.js'], ['/missing.js'], ['/m.mjs'],
            ['/file.js']]) {
            console.log((await run(origin + args[0], args[1])).split(': cannot')[0]);
        }
        console.log(await run(origin + '/a/worker.js').then(() => 'same origin'));";
    let location = format!("{origin}/index.html");
    let output = we(&["eval", "--module", "--location", &location, code, &origin]);
    let expected = [
        "lib /a/worker.js",
        // The URL is the one that answered.
        "lib /a/worker.js",
        "x1",
        "Event ",
        "Event ",
        "Event ",
        "ErrorEvent NetworkError",
        "same origin",
    ];
    assert_eq!(output.lines(), expected, "{output:?}");
    // A worker of another origin is refused.
    let code = "new Worker(scriptArgs[0] + '/a/worker.js').onerror = e => console.log(e.type)";
    let output = we(&["eval", "--location", "http://other.test/", code, &origin]);
    assert_eq!(output.lines(), ["error"], "{output:?}");
    // Where nobody listens, the person at the terminal is told why.
    let code = "new Worker(scriptArgs[0] + '/missing.js')";
    let output = we(&["eval", code, &origin]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output
            .stderr
            .contains("/missing.js: the server answered with status 404"),
        "{output:?}"
    );
}

/// A page must not learn from an error what a server shows to this user alone. A program that is no page has no such secrets
/// to keep from itself.
#[test]
fn errors_of_scripts_of_other_origins_are_muted() {
    const WORKER: &str = "onmessage = ({ data }) => { try { importScripts(data) } catch (e) { postMessage(e.name) } }";
    let own = http(&[("/worker.js", "text/javascript", WORKER)]);
    let other = http(&[
        ("/throws.js", "text/javascript", "throw new RangeError('x')"),
        ("/syntax.js", "text/javascript", "let ="),
    ]);
    let code = "
        const [own, other] = scriptArgs;
        for (const path of ['/throws.js', '/syntax.js']) {
            const worker = new Worker(own + '/worker.js');
            worker.postMessage(other + path);
            const { data } = await new Promise(resolve => { worker.onmessage = resolve });
            console.log(data);
            worker.terminate();
        }";
    let output = we(&["eval", "--module", "--location", &own, code, &own, &other]);
    assert_eq!(
        output.lines(),
        ["NetworkError", "NetworkError"],
        "{output:?}"
    );
    // The worker of a program that has no origin is of its server's.
    let output = we(&["eval", "--module", code, &own, &other]);
    assert_eq!(
        output.lines(),
        ["NetworkError", "NetworkError"],
        "{output:?}"
    );
    let of_data = format!("data:text/javascript,{WORKER}");
    let code = code.replace("own + '/worker.js'", "own");
    let output = we(&["eval", "--module", &code, &of_data, &other]);
    assert_eq!(output.lines(), ["RangeError", "SyntaxError"], "{output:?}");
}

/// The parser's stack must not be smaller in a worker: what it cannot hold ends the process.
#[test]
fn code_may_be_nested_as_deeply_in_a_worker_as_outside() {
    let code = "
        const nested = '`(`.repeat(5000) + 1 + `)`.repeat(5000)';
        console.log(eval(eval(nested)));
        new Worker(`data:text/javascript,postMessage(eval(${nested}))`).onmessage = e => console.log(e.data);";
    let output = we(&["eval", code]);
    assert_eq!(output.lines(), ["1", "1"], "{output:?}");
}

#[test]
fn no_message_of_a_socket_comes_after_close() {
    let server = Server::start(Scheme::Ws);
    // While the worker is busy all echoes arrive, to be delivered in one turn.
    let code = "
        const body = `
            const ws = new WebSocket(${JSON.stringify(scriptArgs[0])});
            const busy = () => { const end = Date.now() + 100; while (Date.now() < end); };
            ws.onopen = () => { for (let i = 0; i < 20; i++) ws.send(i); busy() };
            ws.onmessage = e => { postMessage(e.data); close(); };`;
        new Worker('data:text/javascript,' + encodeURIComponent(body)).onmessage = e => console.log(e.data);";
    let output = we(&["eval", code, &server.url("/echo")]);
    assert_eq!(output.lines(), ["0"], "{output:?}");
}

#[test]
fn sockets_work_in_workers() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        let server = Server::start(scheme);
        let lines = [
            "50 1000 true",
            "100 1000 true",
            "150 1000 true",
            "200 1000 true",
        ];
        expect(&server, "worker_socket.js", "/echo", &lines);
    }
}

#[test]
fn the_end_of_a_worker_ends_its_connections_with_1001() {
    let server = Server::start(Scheme::Ws);
    expect(&server, "worker_ends.js", "/hold", &["ended"]);
    assert_eq!(server.closes(), ["1001 "; 4]);
}

#[test]
fn ctrl_c_closes_the_sockets_of_workers_too() {
    let server = Server::start(Scheme::Ws);
    let code = "
        const body = `new WebSocket(${JSON.stringify(scriptArgs[0])}).onopen = () => { postMessage(0); if (BUSY) for (;;); }`;
        for (const busy of ['0', '1']) {
            new Worker('data:text/javascript,' + encodeURIComponent(body.replace('BUSY', busy))).onmessage = () => console.log('open');
        }";
    let mut client = Command::new(env!("CARGO_BIN_EXE_we"))
        .args(["eval", code, &server.url("/hold")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        assert_eq!(lines.next().unwrap().unwrap(), "open");
    }
    interrupt(&client);
    assert_eq!(wait(&mut client).unwrap().code(), Some(130));
    assert_eq!(server.closes(), ["1001 "; 2]);
}

#[test]
fn a_worker_that_is_stuck_in_the_engine_holds_up_nobody() {
    let server = Server::start(Scheme::Ws);
    // Within one call: a search that takes this engine some hours, and a sleep that nobody ends.
    for stuck in [
        "/^(a+)+b$/.test('a'.repeat(40))",
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    ] {
        is_left_alone(&server, stuck);
    }
    // Their standby threads have closed their connections.
    assert_eq!(server.closes(), ["1001 "; 2]);
}

fn is_left_alone(server: &Server, stuck: &str) {
    let code = "
        const body = `
            const ws = new WebSocket(${JSON.stringify(scriptArgs[0])});
            ws.onopen = () => { postMessage('stuck'); ${scriptArgs[1]} };`;
        const worker = new Worker('data:text/javascript,' + encodeURIComponent(body));
        worker.onmessage = () => { worker.terminate(); console.log('terminated') };";
    let started = Instant::now();
    let output = we(&["eval", code, &server.url("/hold"), stuck]);
    assert_eq!(output.lines(), ["terminated"], "{output:?}");
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn errors_of_workers_are_the_programs() {
    let output = we(&["eval", "new Worker('data:text/javascript,null.x')"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("TypeError"), "{output:?}");
    let output = we(&[
        "eval",
        "new Worker('data:text/javascript,Promise.reject(new RangeError(5))')",
    ]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.contains("(in promise) RangeError: 5"),
        "{output:?}"
    );
    let output = we(&[
        "eval",
        "new Worker('data:text/javascript,null.x').onerror = e => e.preventDefault()",
    ]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (Some(0), ""),
        "{output:?}"
    );
}

#[test]
fn streams_go_to_workers_and_come_back() {
    let code = "
        const run = code => new Worker(URL.createObjectURL(new Blob([code])));
        const worker = run(`onmessage = ({ data }) => {
            const add = new TransformStream({ transform(chunk, c) { c.enqueue(chunk + 1) } });
            const out = data.pipeThrough(add);
            postMessage(out, [out]);
        }`);
        let next = 0;
        const source = new ReadableStream({ pull(c) { next < 1000 ? c.enqueue(next++) : c.close() } });
        worker.postMessage(source, [source]);
        worker.onmessage = async ({ data }) => {
            let sum = 0;
            for await (const chunk of data) sum += chunk;
            console.log(sum);
            worker.terminate();
            const endless = run(`const s = new ReadableStream({ start(c) { c.enqueue('first') } }); postMessage(s, [s])`);
            endless.onmessage = async ({ data }) => {
                const reader = data.getReader();
                console.log((await reader.read()).value);
                endless.terminate();
                // Nothing more comes, and that holds nothing up.
                reader.read().finally(() => console.log('and then?'));
            };
        };";
    let output = we(&["eval", code]);
    assert_eq!(output.lines(), ["500500", "first"], "{output:?}");
    assert_eq!(output.code, Some(0), "{output:?}");
}
