//! Reconnecting in a loop, over real sockets: short times, and bounds from below only.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use we_net::Client;
use we_net::transport::Throttle;

use crate::common::{soon, start_echo, upgrade};

fn client() -> Client {
    Client::builder()
        .throttle(Throttle {
            base: Duration::from_millis(100),
            jitter: Duration::ZERO,
            max: Duration::from_secs(60),
        })
        .build()
}

/// How long an attempt takes that fails.
async fn failing(client: &Client, url: &str) -> Duration {
    let before = Instant::now();
    assert!(soon(client.connect(url)).await.is_err());
    before.elapsed()
}

#[tokio::test]
async fn attempts_that_fail_get_slower_and_other_urls_do_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    // Whoever is accepted is dropped.
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let client = client();
    failing(&client, &url).await;
    for least in [100, 150, 225] {
        let took = failing(&client.clone(), &url).await;
        assert!(
            took >= Duration::from_millis(least),
            "{took:?} < {least} ms"
        );
    }
    let server = start_echo().await;
    for _ in 0..3 {
        let mut socket = soon(client.connect(&server.url)).await.unwrap();
        assert!(soon(socket.close(None)).await.clean);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_delays_the_next_and_one_that_is_closed_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            upgrade(&mut stream).await;
        }
    });
    let client = client();
    let mut socket = soon(client.connect(&url)).await.unwrap();
    assert!(soon(socket.next()).await.is_err());
    let before = Instant::now();
    soon(client.connect(&url)).await.unwrap();
    assert!(
        before.elapsed() >= Duration::from_millis(95),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn attempts_at_the_same_time_are_no_way_around_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (client, (sender, mut arrivals)) = (client(), tokio::sync::mpsc::unbounded_channel());
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            let _ = sender.send(Instant::now());
        }
    });
    // Each with a query of its own, which makes no difference.
    let attempts: Vec<_> = (0..5)
        .map(|number| {
            let (client, url) = (client.clone(), format!("ws://127.0.0.1:{port}/?{number}"));
            tokio::spawn(async move { failing(&client, &url).await })
        })
        .collect();
    let mut last = soon(arrivals.recv()).await.unwrap();
    for least in [100, 150, 225, 337] {
        let next = soon(arrivals.recv()).await.unwrap();
        // What the server sees may be a little closer together than what the client does.
        let gap = next - last;
        assert!(
            gap >= Duration::from_millis(least - 20),
            "{gap:?} < {least} ms"
        );
        last = next;
    }
    for attempt in attempts {
        attempt.await.unwrap();
    }
}
