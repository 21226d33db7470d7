//! Handlers: one for each connection, in order, with back-pressure, and contained.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use common::soon;
use tokio::task::JoinSet;
use we_net::protocol::{CloseCode, CloseFrame, Closure, Config, Event, Message};
use we_net::server::{Connection, Handler, handlers};
use we_net::{Acceptor, Server, WebSocket};

/// What the handlers of a test have told, and how many of them there are.
#[derive(Clone, Default)]
struct Seen {
    log: Arc<Mutex<Vec<String>>>,
    alive: Arc<AtomicUsize>,
}

impl Seen {
    fn push(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

struct Tester {
    seen: Seen,
    count: usize,
    panics_when_dropped: bool,
}

impl Tester {
    fn new(seen: &Seen, connection: &Connection) -> Self {
        assert_ne!(connection.negotiated().resource, "/new", "asked for");
        seen.alive.fetch_add(1, SeqCst);
        Self {
            seen: seen.clone(),
            count: 0,
            panics_when_dropped: false,
        }
    }
}

impl Drop for Tester {
    fn drop(&mut self) {
        self.seen.alive.fetch_sub(1, SeqCst);
        assert!(!self.panics_when_dropped, "asked for");
    }
}

impl Handler for Tester {
    fn open(&mut self, connection: &Connection) {
        let resource = connection.negotiated().resource.as_str();
        assert_ne!(resource, "/open", "asked for");
        self.seen.push(format!("open {resource}"));
        if resource == "/greet" {
            connection.send("welcome").unwrap();
        }
    }

    fn message(&mut self, connection: &Connection, message: Message) {
        self.count += 1;
        let text = match &message {
            Message::Text(text) => text.to_string(),
            Message::Binary(_) => String::new(),
        };
        match text.as_str() {
            "panic" => panic!("asked for {}", 1),
            "drop" => self.panics_when_dropped = true,
            "count" => connection.send(self.count.to_string()).unwrap(),
            "bye" => connection.close(CloseFrame::from(CloseCode::POLICY)),
            "ping" => connection.ping(b"there?").unwrap(),
            "later" => {
                let connection = connection.clone();
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    connection.send("now").unwrap();
                });
            }
            _ => connection.send(message).unwrap(),
        }
    }

    fn close(&mut self, connection: &Connection, closure: &Closure) {
        assert!(connection.send("too late").is_err());
        let resource = &connection.negotiated().resource;
        assert_ne!(resource, "/close", "asked for");
        self.seen.push(format!("close {resource} {}", closure.code));
    }
}

/// Starts a server with such handlers; returns its URL.
async fn start(seen: &Seen) -> String {
    let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
    let url = server.url();
    let seen = seen.clone();
    tokio::spawn(server.serve(handlers(move |connection| Tester::new(&seen, connection))));
    url
}

async fn connect(url: &str, path: &str) -> WebSocket {
    we_net::connect(&format!("{url}{path}")).await.unwrap()
}

async fn ask(socket: &mut WebSocket, text: &str) -> Message {
    socket.send(text).await.unwrap();
    soon(socket.next()).await.unwrap().unwrap()
}

async fn code(socket: &mut WebSocket) -> u16 {
    soon(async { while socket.next_event().await.is_some() {} }).await;
    socket.closure().unwrap().code
}

#[tokio::test]
async fn each_connection_has_a_handler_and_is_told_in_order() {
    let seen = Seen::default();
    let url = start(&seen).await;
    let mut first = connect(&url, "greet").await;
    assert_eq!(first.next().await.unwrap(), Some("welcome".into()));
    assert_eq!(ask(&mut first, "count").await, "1".into());
    let mut second = connect(&url, "x").await;
    assert_eq!(ask(&mut second, "count").await, "1".into());
    assert_eq!(ask(&mut first, "count").await, "2".into());
    assert_eq!(ask(&mut first, "later").await, "now".into());
    assert_eq!(seen.alive.load(SeqCst), 2);

    first.send("ping").await.unwrap();
    let event = soon(first.next_event()).await;
    assert!(matches!(event, Some(Event::Ping(payload)) if &*payload == b"there?"));
    first.send("bye").await.unwrap();
    assert_eq!(code(&mut first).await, 1008);
    drop(second);
    soon(async {
        while seen.alive.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = [
        "open /greet",
        "open /x",
        "close /greet 1008",
        "close /x 1006",
    ];
    assert_eq!(seen.take(), log);
}

#[tokio::test]
async fn a_handler_that_panics_loses_its_own_connection_and_nothing_else() {
    const OTHERS: usize = 200;
    let seen = Seen::default();
    let url = start(&seen).await;
    let done = Arc::new(AtomicUsize::new(0));
    let rounds = Arc::new(AtomicUsize::new(0));
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        let (url, done, rounds) = (url.clone(), done.clone(), rounds.clone());
        others.spawn(async move {
            let mut socket = connect(&url, "other").await;
            for count in 1_usize.. {
                assert_eq!(ask(&mut socket, "count").await, count.to_string().into());
                rounds.fetch_add(1, SeqCst);
                if done.load(SeqCst) == 1 {
                    return socket.close(CloseFrame::from(CloseCode::NORMAL)).await;
                }
            }
            unreachable!()
        });
    }
    soon(async {
        while rounds.load(SeqCst) < OTHERS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for path in ["new", "open", "message", "close", "drop"] {
        let before = rounds.load(SeqCst);
        let mut socket = connect(&url, path).await;
        let expected = match path {
            "message" => {
                socket.send("panic").await.unwrap();
                1011
            }
            "close" => {
                socket.send("bye").await.unwrap();
                1008
            }
            "drop" => {
                socket.send("drop").await.unwrap();
                socket.send("bye").await.unwrap();
                1008
            }
            _ => 1011,
        };
        assert_eq!(code(&mut socket).await, expected, "{path}");
        soon(async {
            while rounds.load(SeqCst) <= before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    done.store(1, SeqCst);
    while let Some(closure) = soon(others.join_next()).await {
        assert!(closure.unwrap().clean);
    }
    soon(async {
        while seen.alive.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_read_from() {
    const MESSAGE: usize = 64 << 10;
    const MESSAGES: usize = 4096;
    let seen = Seen::default();
    let mut config = Config::server();
    // Without back-pressure the answers would run into this.
    config.limits.max_pending_output = 4 * MESSAGE;
    let acceptor = Acceptor::builder().config(config).build();
    let server = Server::builder().acceptor(acceptor);
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let url = server.url();
    tokio::spawn(server.serve(handlers({
        let seen = seen.clone();
        move |connection| Tester::new(&seen, connection)
    })));
    let (mut sender, mut receiver) = connect(&url, "").await.split();
    // Until nothing can be sent any more, however often the server has its turn.
    let mut sent = 0;
    while sent < MESSAGES {
        let turns = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            result = sender.send(vec![7; MESSAGE]) => result.unwrap(),
            () = turns => break,
        }
        sent += 1;
    }
    assert!(sent < MESSAGES, "the server takes it all");
    let rest = tokio::spawn(async move { sender.flush().await });
    for _ in 0..sent {
        let message = soon(receiver.next()).await.unwrap().unwrap();
        assert_eq!(message.len(), MESSAGE);
    }
    rest.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_read_can_be_closed_from_elsewhere() {
    /// Hands its connection out, and answers with more than is read.
    struct Flooder(Arc<Mutex<Option<Connection>>>);

    impl Handler for Flooder {
        fn message(&mut self, connection: &Connection, _: Message) {
            while connection.buffered_amount() < 8 << 20 {
                connection.send(vec![7; 1 << 16]).unwrap();
            }
            *self.0.lock().unwrap() = Some(connection.clone());
        }
    }

    let slot = Arc::<Mutex<Option<Connection>>>::default();
    let mut config = Config::server();
    config.timeouts.closing = std::time::Duration::from_millis(100);
    config.timeouts.stalled_write = None;
    let acceptor = Acceptor::builder().config(config).build();
    let server = Server::builder().acceptor(acceptor);
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let url = server.url();
    tokio::spawn(server.serve(handlers({
        let slot = slot.clone();
        move |_| Flooder(slot.clone())
    })));
    let mut socket = connect(&url, "").await;
    socket.send("x").await.unwrap();
    let connection = soon(async {
        loop {
            if let Some(connection) = slot.lock().unwrap().clone() {
                return connection;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    connection.close(CloseFrame::from(CloseCode::POLICY));
    soon(async {
        while connection.state() != we_net::protocol::State::Closed {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_clone_of_a_connection_does_not_keep_it_open() {
    struct Keeper(Arc<Mutex<Option<Connection>>>);

    impl Handler for Keeper {
        fn open(&mut self, connection: &Connection) {
            *self.0.lock().unwrap() = Some(connection.clone());
        }

        fn message(&mut self, _: &Connection, _: Message) {}
    }

    let slot = Arc::<Mutex<Option<Connection>>>::default();
    let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
    let url = server.url();
    let serving = tokio::spawn(server.serve(handlers({
        let slot = slot.clone();
        move |_| Keeper(slot.clone())
    })));
    let mut socket = connect(&url, "").await;
    soon(async {
        while slot.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    serving.abort();
    assert_eq!(code(&mut socket).await, 1006);
    let kept = slot.lock().unwrap().clone().unwrap();
    assert!(kept.send("x").is_err());
}
