//! The examples run and do what they say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[cfg(target_os = "linux")]
mod common;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use we_net::{Message, WebSocket};

/// A Rust example, which `cargo test` has built beside the shell.
fn example(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_we"))
        .with_file_name("examples")
        .join(name);
    assert!(path.exists(), "build it first: cargo build --examples");
    path
}

#[test]
fn the_chat_is_held() {
    let output = Command::new(example("chat")).output().unwrap();
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

/// A server that a Rust example is; it ends with this.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(name: &str) -> Self {
        let mut child = Command::new(example(name))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap();
        let url = url.to_owned();
        Self { child, url }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a conversation with a server of rooms.
fn hold(conversation: impl AsyncFnOnce(&str), url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = std::time::Duration::from_secs(60);
    let conversation = async { tokio::time::timeout(limit, conversation(url)).await };
    runtime.block_on(conversation).expect("it takes for ever");
}

async fn enter(url: &str, room: &str) -> WebSocket {
    we_net::connect(&format!("{url}ws/{room}")).await.unwrap()
}

async fn hears(socket: &mut WebSocket, expected: &str) {
    assert_eq!(socket.next().await.unwrap(), Some(Message::from(expected)));
}

async fn chat(url: &str) {
    let mut ada = enter(url, "garden").await;
    hears(&mut ada, "welcome to garden, guest 1").await;
    let mut grace = enter(url, "garden").await;
    hears(&mut grace, "welcome to garden, guest 2").await;
    hears(&mut ada, "guest 2 has come").await;
    let mut other = enter(url, "kitchen").await;
    hears(&mut other, "welcome to kitchen, guest 1").await;
    ada.send("/name ada").await.unwrap();
    ada.send(vec![1, 2, 3]).await.unwrap();
    ada.send("good evening").await.unwrap();
    hears(&mut ada, "guest 1 is now ada").await;
    hears(&mut grace, "guest 1 is now ada").await;
    hears(&mut grace, "ada: good evening").await;
    grace.send("/name ").await.unwrap();
    hears(&mut ada, "guest 2: /name ").await;
    ada.close(None).await;
    hears(&mut grace, "ada has left").await;
}

async fn count(url: &str) {
    let mut ada = enter(url, "a").await;
    hears(&mut ada, "0").await;
    ada.send("+").await.unwrap();
    hears(&mut ada, "1").await;
    let mut grace = enter(url, "a").await;
    hears(&mut grace, "1").await;
    grace.send("+").await.unwrap();
    hears(&mut grace, "2").await;
    hears(&mut ada, "2").await;
    ada.send("what?").await.unwrap();
    hears(&mut ada, "send + or -").await;
    ada.send("-").await.unwrap();
    hears(&mut grace, "1").await;
    let mut other = enter(url, "b").await;
    hears(&mut other, "0").await;
}

async fn echo(url: &str) {
    let mut socket = we_net::connect(url).await.unwrap();
    socket.send("hello").await.unwrap();
    hears(&mut socket, "hello").await;
    socket.send(vec![0, 255]).await.unwrap();
    let bytes = Message::binary(vec![0, 255]);
    assert_eq!(socket.next().await.unwrap(), Some(bytes));
    assert!(socket.close(None).await.clean);
}

#[test]
fn echo_in_rust_echoes() {
    hold(echo, &Serving::start("echo").url);
}

#[test]
fn rooms_in_rust_chat_and_count() {
    hold(chat, &Serving::start("rooms_chat").url);
    hold(count, &Serving::start("rooms_counter").url);
}

#[test]
#[cfg(target_os = "linux")]
fn rooms_in_javascript_chat_and_count() {
    hold(chat, &served_rooms("examples/rooms/chat.mjs").url);
    hold(count, &served_rooms("examples/rooms/counter.mjs").url);
}

/// Their sources are in examples/rooms/guests.
#[test]
#[cfg(target_os = "linux")]
fn rooms_in_webassembly_chat_count_and_echo() {
    hold(chat, &served_rooms("fixtures/wasm/chat.wasm").url);
    hold(count, &served_rooms("fixtures/wasm/counter.wasm").url);
    let serve = served_rooms("fixtures/wasm/echo.wasm");
    hold(echo, &format!("{}ws", serve.url));
}

#[cfg(target_os = "linux")]
fn served_rooms(file: &str) -> common::serve::Serve {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let app = app.to_string_lossy();
    common::serve::Serve::start_app(&app, &["--rooms", "--spare", "0"])
}
