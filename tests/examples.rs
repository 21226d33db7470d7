//! The examples run and do what they say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[cfg(target_os = "linux")]
mod common;

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

/// Serves an example of examples/serve and runs a script against it, which finds the URL as its argument. Returns what that prints.
#[cfg(target_os = "linux")]
fn served(name: &str, script: &str) -> String {
    let app = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/serve")
        .join(name);
    let serve = common::serve::Serve::start_app(&app.to_string_lossy(), &["--spare", "1"]);
    let output = common::we(&["eval", script, &serve.url]);
    assert_eq!(output.code, Some(0), "{output:?} {}", serve.printed());
    output.stdout
}

#[test]
#[cfg(target_os = "linux")]
fn echo_and_counter_are_served() {
    let talk = |messages: &str| {
        format!(
            "const messages = {messages}; const socket = new WebSocket(scriptArgs[0]);
            socket.onmessage = ({{ data }}) => {{
                console.log(data);
                messages.length ? socket.send(messages.shift()) : socket.close();
            }};
            if ({messages}[0] === 'hello') socket.onopen = () => socket.send(messages.shift());"
        )
    };
    assert_eq!(
        served("echo.mjs", &talk("['hello', 'again']")),
        "hello\nagain\n"
    );
    assert_eq!(
        served("counter.mjs", &talk("['+', '+', '-', 'what?']")),
        "send + or -\n1\n2\n1\n1\n"
    );
}

/// Both ends of server-sent events: a client that reconnects says where it was.
#[test]
#[cfg(target_os = "linux")]
fn the_ticker_ticks_and_goes_on_where_it_was() {
    let script = "
        const source = new EventSource(new URL('/ticks', scriptArgs[0].replace('ws:', 'http:')));
        let ticks = 0;
        source.addEventListener('tick', ({ lastEventId, data, origin }) => {
            console.log(lastEventId, isNaN(Date.parse(data)), origin === new URL(source.url).origin);
            if (++ticks === 3) {
                source.close();
                fetch(source.url, { headers: { 'Last-Event-ID': '41' } }).then(async response => {
                    const { value } = await response.body.getReader().read();
                    console.log(new TextDecoder().decode(value).split('\\n')[1]);
                    console.log(response.headers.get('content-type'));
                    queueMicrotask(() => response.body.cancel?.().catch(() => {}));
                });
            }
        });";
    assert_eq!(
        served("ticker.mjs", script),
        "1 false true\n2 false true\n3 false true\nid: 42\ntext/event-stream\n"
    );
}
