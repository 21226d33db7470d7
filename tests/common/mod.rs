//! The vocabulary of these tests: a server in this process whose behaviour the path of the URL chooses, and the
//! shell as a child process that must end in time.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several test binaries, each of which uses a part; a test may panic"
)]

#[cfg(target_os = "linux")]
pub mod browser;
pub mod client;
#[cfg(target_os = "linux")]
pub mod peer;
pub mod peers;
#[cfg(target_os = "linux")]
pub mod serve;

use std::{
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use we_net::{
    Acceptor, Server as NetServer, WebSocket, WebSocketReceiver,
    handshake::OriginPolicy,
    protocol::{CloseCode, CloseFrame, Config, Event, Message},
    server::ServerHandle,
    transport::TlsServerConfig,
};

/// No script of these tests runs for longer, on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long a server thinks. Nothing has to be true by then: it is what replies take.
const THOUGHT: Duration = Duration::from_millis(200);

/// The length of a message of `/flood`.
pub const FLOOD: usize = 64 << 10;

/// How a child process ended.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
}

impl Output {
    /// The lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

/// The shell with these arguments.
pub fn we(args: &[&str]) -> Output {
    we_with_input(args, "")
}

/// The same with text on standard input.
pub fn we_with_input(args: &[&str], input: &str) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_we")).args(args), input)
}

/// The same with a variable in its environment.
pub fn we_with_variable(args: &[&str], name: &str, value: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_we"));
    run(command.args(args).env(name, value), "")
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A script that does not read its input may be gone before it is written.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    let read = |mut pipe: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    let output = Output {
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        code: status.and_then(|status| status.code()),
    };
    assert!(status.is_some(), "{command:?} did not end: {output:?}");
    output
}

/// Waits for a child with a deadline; kills it when that is over.
pub fn wait(child: &mut std::process::Child) -> Option<std::process::ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        // Not a wait for something to be true by then: how often to look.
        thread::park_timeout(Duration::from_millis(2));
    }
    child.kill().unwrap();
    None
}

/// Ctrl-C for a child process.
pub fn interrupt(child: &std::process::Child) {
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The path of a script in fixtures/scripts.
pub fn script(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "scripts", name]
        .iter()
        .collect();
    path.to_string_lossy().into_owned()
}

/// Runs a script of fixtures/scripts against `server` and demands that it succeeds and prints these lines.
#[track_caller]
pub fn expect(server: &Server, name: &str, path: &str, lines: &[&str]) {
    let url = server.url(path);
    let file = script(name);
    let ca = server
        .ca
        .as_ref()
        .map(|ca| ca.to_string_lossy().into_owned());
    let mut args = vec!["run", "--expose-gc"];
    if let Some(ca) = &ca {
        args.extend(["--ca", ca]);
    }
    args.extend([file.as_str(), url.as_str()]);
    let output = we(&args);
    assert_eq!(output.lines(), lines, "{name}: {output:?}");
    assert_eq!(output.code, Some(0), "{name}: {output:?}");
}

/// Whether a server speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Ws,
    Wss,
}

/// A server on a port of its own. The path of a request says what it does:
///
/// - `/echo` sends every message back;
/// - `/close/CODE/REASON` closes at once; without a code with an empty Close frame;
/// - `/drop` ends the TCP connection at the first message;
/// - `/deliver/N` sends N numbered messages and closes with 1000;
/// - `/pings` sends ten pings, one after the answer to the other, then echoes; see [`Server::pings`];
/// - `/origin` sends the Origin that the request had, or `none`;
/// - `/header/NAME` sends that header of the request, or `none`, and closes with 1000;
/// - `/hold` reads and says nothing; the reason and code that the client closes with are [`Server::closes`];
/// - `/mute` does not even read;
/// - `/think` answers the first message after a while, whatever else comes, and closes with 1000, but not a client that
///   closes before;
/// - `/trickle/N` sends N numbered messages, with a pause before each of them, unless the client closes, and closes;
/// - `/flood/N` sends N messages of 64 KiB, each of one digit, and closes with 1000; [`Server::flooded`] counts them, and
///   clients' closes are in [`Server::closes`].
pub struct Server {
    runtime: Option<Runtime>,
    url: String,
    handle: ServerHandle,
    seen: Arc<Seen>,
    /// The certificate to trust, for `wss:`.
    pub ca: Option<PathBuf>,
}

/// What the server saw.
#[derive(Default)]
struct Seen {
    closes: Mutex<Vec<String>>,
    pings: Mutex<Option<Pings>>,
    flooded: AtomicUsize,
}

/// What `/pings` measured.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// From the opening of the connection until the last of the ten pings was answered.
    pub answered: Duration,
    /// From then until the first message of the script arrived.
    pub then_silent: Duration,
}

impl Server {
    pub fn start(scheme: Scheme) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let seen = Arc::<Seen>::default();
        let mut config = Config::server();
        config.limits.max_message_size = 64 << 20;
        let acceptor = Acceptor::builder()
            .origins(OriginPolicy::Any)
            .subprotocols(["chat.v2", "chat.v1"])
            .config(config)
            .build();
        let mut builder = NetServer::builder().acceptor(acceptor);
        let mut ca = None;
        if scheme == Scheme::Wss {
            let made = rcgen::generate_simple_self_signed([
                "127.0.0.1".to_owned(),
                "localhost".to_owned(),
            ])
            .unwrap();
            let pem = made.cert.pem();
            let key = made.signing_key.serialize_pem();
            builder =
                builder.tls(TlsServerConfig::from_pem(pem.as_bytes(), key.as_bytes()).unwrap());
            let path = std::env::temp_dir().join(format!(
                "we-test-{}-{:p}.pem",
                std::process::id(),
                &*seen
            ));
            std::fs::write(&path, pem).unwrap();
            ca = Some(path);
        }
        let server = runtime.block_on(builder.bind("127.0.0.1:0")).unwrap();
        let url = server.url();
        let handle = server.handle();
        let shared = seen.clone();
        runtime.spawn(server.serve(move |socket| behave(socket, shared.clone())));
        Self {
            runtime: Some(runtime),
            url,
            handle,
            seen,
            ca,
        }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url.trim_end_matches('/'))
    }

    /// How clients have closed `/hold`, as `CODE REASON`.
    pub fn closes(&self) -> Vec<String> {
        self.seen.closes.lock().unwrap().clone()
    }

    /// What `/pings` measured.
    pub fn pings(&self) -> Option<Pings> {
        *self.seen.pings.lock().unwrap()
    }

    /// How many messages `/flood` has got rid of.
    pub fn flooded(&self) -> usize {
        self.seen.flooded.load(Ordering::Relaxed)
    }

    /// Ends without a word to anybody.
    pub fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Begins to shut down: closes all connections with 1001.
    pub fn shut_down(&self) {
        self.handle.shutdown(Duration::from_secs(5));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if let Some(ca) = &self.ca {
            let _ = std::fs::remove_file(ca);
        }
    }
}

async fn behave(mut socket: WebSocket, seen: Arc<Seen>) {
    let resource = socket.negotiated().resource.clone();
    let mut words = resource.trim_start_matches('/').splitn(3, '/');
    match words.next() {
        Some("close") => {
            let code = words.next().and_then(|code| code.parse::<u16>().ok());
            let frame = code.map(|code| {
                let code = CloseCode::try_from(code).unwrap();
                CloseFrame::new(code, words.next().unwrap_or_default()).unwrap()
            });
            socket.close(frame).await;
        }
        Some("drop") => drop(socket.next().await),
        Some("deliver") => {
            let count: usize = words.next().unwrap().parse().unwrap();
            for number in 0..count {
                if socket.send(number.to_string()).await.is_err() {
                    return;
                }
            }
            socket.close(CloseFrame::from(CloseCode::NORMAL)).await;
        }
        Some("origin") => {
            let headers = &socket.negotiated().headers;
            let origin = headers
                .single("origin")
                .map(|origin| String::from_utf8_lossy(origin).into_owned());
            let _ = socket
                .send(origin.unwrap_or_else(|| "none".to_owned()))
                .await;
            let _ = socket.next().await;
        }
        Some("pings") => pings(socket, seen).await,
        Some("header") => {
            let headers = &socket.negotiated().headers;
            let value = headers
                .single(words.next().unwrap_or_default())
                .map(|value| String::from_utf8_lossy(value).into_owned());
            let _ = socket
                .send(value.unwrap_or_else(|| "none".to_owned()))
                .await;
            socket.close(CloseFrame::from(CloseCode::NORMAL)).await;
        }
        Some("hold") => hold(socket.split().1, &seen).await,
        Some("mute") => std::future::pending().await,
        Some("think") => {
            let (mut sender, mut receiver) = socket.split();
            let Ok(Some(message)) = receiver.next().await else {
                return;
            };
            tokio::select! {
                () = async { while let Ok(Some(_)) = receiver.next().await {} } => return,
                () = tokio::time::sleep(THOUGHT) => {}
            }
            let _ = sender.send(message).await;
            sender.close(CloseFrame::from(CloseCode::NORMAL)).await;
            while receiver.next_event().await.is_some() {}
        }
        Some("trickle") => {
            let count: usize = words.next().unwrap().parse().unwrap();
            let (mut sender, mut receiver) = socket.split();
            for number in 0..count {
                tokio::select! {
                    () = async { while let Ok(Some(_)) = receiver.next().await {} } => return,
                    () = tokio::time::sleep(THOUGHT) => {}
                }
                let _ = sender.send(number.to_string()).await;
            }
            sender.close(CloseFrame::from(CloseCode::NORMAL)).await;
            while receiver.next_event().await.is_some() {}
        }
        Some("flood") => {
            let count: usize = words.next().unwrap().parse().unwrap();
            let (mut sender, receiver) = socket.split();
            let send = async {
                for number in 0..count {
                    let digit = (number % 10).to_string();
                    if sender.send(digit.repeat(FLOOD)).await.is_err() {
                        return;
                    }
                    seen.flooded.fetch_add(1, Ordering::Relaxed);
                }
                sender.close(CloseFrame::from(CloseCode::NORMAL)).await;
            };
            tokio::join!(send, hold(receiver, &seen));
        }
        _ => {
            while let Ok(Some(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Takes what comes, and takes down how the client closes.
async fn hold(mut receiver: WebSocketReceiver, seen: &Seen) {
    while let Some(event) = receiver.next_event().await {
        if let Event::CloseReceived(frame) = event {
            let close = match frame {
                Some(frame) => format!("{} {}", u16::from(frame.code), &*frame.reason),
                None => "none".to_owned(),
            };
            seen.closes.lock().unwrap().push(close);
        }
    }
}

async fn pings(mut socket: WebSocket, seen: Arc<Seen>) {
    let start = Instant::now();
    for _ in 0..10 {
        socket.ping(b"are you there").await.unwrap();
        loop {
            match socket.next_event().await {
                Some(Event::Pong(_)) => break,
                Some(_) => {}
                None => return,
            }
        }
    }
    let answered = start.elapsed();
    let message = socket.next().await;
    let then_silent = start.elapsed() - answered;
    *seen.pings.lock().unwrap() = Some(Pings {
        answered,
        then_silent,
    });
    if let Ok(Some(message)) = message {
        let _ = socket.send(message).await;
    }
    while let Ok(Some(message)) = socket.next().await {
        let _: Message = message;
    }
}

/// `we echo` and the URL that it printed.
pub struct Echo {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
    pub url: String,
}

impl Echo {
    pub fn start(args: &[&str]) -> Self {
        Self::start_by("exec \"$@\"", args)
    }

    /// The same by a shell script, whose arguments are the command.
    pub fn start_by(script: &str, args: &[&str]) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_we")])
            .args(["echo", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        Self { child, stdout, url }
    }

    pub fn interrupt(&mut self) -> Option<i32> {
        interrupt(&self.child);
        wait(&mut self.child).and_then(|status| status.code())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
