//! `we serve --cluster`: two servers with one room, through a broker of the test's own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

#[allow(dead_code, reason = "this needs no proxy")]
#[path = "../crates/we-rooms/tests/cluster/broker.rs"]
mod broker;

use std::path::Path;
use std::time::Instant;

use broker::Broker;
use common::serve::{PATIENCE, Serve};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use we_net::{Message, WebSocket};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A server of a counter for each room, which is shared with others.
fn server(app: &str, broker: &Broker) -> Serve {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join(app);
    let cluster = broker.url();
    let args = ["--rooms", "--spare", "0", "--cluster", &cluster];
    Serve::start_app(&app.to_string_lossy(), &args)
}

async fn enter(serve: &Serve) -> WebSocket {
    let url = format!("{}ws/garden", serve.url);
    we_net::connect(&url).await.unwrap()
}

async fn number(socket: &mut WebSocket) -> i64 {
    match timeout(PATIENCE, socket.next())
        .await
        .expect("nothing comes")
    {
        Ok(Some(Message::Text(text))) => text.parse().unwrap(),
        other => panic!("{other:?}; {:?}", socket.closure()),
    }
}

async fn add(socket: &mut WebSocket) -> i64 {
    socket.send("+").await.unwrap();
    number(socket).await
}

/// Adds until a number is the same for both, which have one counter then.
async fn until_together(ada: &mut WebSocket, grace: &mut WebSocket) {
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "they do not come together");
        ada.send("+").await.unwrap();
        let heard = async {
            // What came before that is of no interest.
            let mut last = number(ada).await;
            while let Ok(next) = timeout(std::time::Duration::from_millis(200), number(ada)).await {
                last = next;
            }
            last
        }
        .await;
        let mut other = None;
        while let Ok(next) = timeout(std::time::Duration::from_millis(50), number(grace)).await {
            other = Some(next);
        }
        if other == Some(heard) {
            return;
        }
    }
}

fn two_servers_have_one_room(app: &str) {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let (mut first, second) = (server(app, &broker), server(app, &broker));
    runtime().block_on(async {
        let mut ada = enter(&first).await;
        assert_eq!(number(&mut ada).await, 0);
        assert_eq!(add(&mut ada).await, 1);
        let mut grace = enter(&second).await;
        assert_eq!(number(&mut grace).await, 1);
        for n in [2, 4] {
            assert_eq!(add(&mut ada).await, n);
            assert_eq!(number(&mut grace).await, n);
            assert_eq!(add(&mut grace).await, n + 1);
            assert_eq!(number(&mut ada).await, n + 1);
        }

        // Without the broker both are served by themselves, and stay connected.
        broker.kill();
        assert_eq!(add(&mut ada).await, 6);
        // A service that has just begun tells who comes where it begins.
        assert_eq!(number(&mut grace).await, 0);
        assert_eq!(add(&mut grace).await, 1);
        assert_eq!(add(&mut ada).await, 7);

        broker.restart();
        until_together(&mut ada, &mut grace).await;
        // A server that ends leaves the room to the other.
        drop(ada);
        common::interrupt(&first.child);
        assert_eq!(
            common::wait(&mut first.child).map(|status| status.code()),
            Some(Some(0))
        );
        let mut late = enter(&second).await;
        until_together(&mut late, &mut grace).await;
    });
}

#[test]
fn two_servers_have_one_room_in_javascript() {
    two_servers_have_one_room("examples/rooms/counter.mjs");
}

#[test]
fn two_servers_have_one_room_in_webassembly() {
    two_servers_have_one_room("fixtures/wasm/counter.wasm");
}

#[test]
fn a_broker_that_is_none_is_told() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rooms/counter.mjs");
    let app = app.to_string_lossy();
    for url in ["nonsense", "http://127.0.0.1", "rediss://127.0.0.1"] {
        let output = common::we(&["serve", "--cluster", url, "--listen", "127.0.0.1:0", &app]);
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(
            output.stderr.contains("--cluster: redis://HOST:PORT"),
            "{output:?}"
        );
    }
}
