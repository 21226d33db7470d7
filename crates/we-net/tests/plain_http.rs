//! A server's answers to requests that do not ask for a WebSocket.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::soon;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use we_net::http::Bytes;
use we_net::server::{HttpResponse, ResponseBody, ServerHandle, echo};
use we_net::{Client, Server};

/// Counts what lives.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A server on a free port: its port, and how many of its handlers live.
async fn start() -> (u16, Arc<AtomicUsize>, ServerHandle) {
    let alive = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&alive);
    let server = Server::builder().http(move |mut request| {
        let alive = Alive::new(&count);
        async move {
            match request.target.as_str() {
                "/hello" => HttpResponse::text(
                    200,
                    format!("{} {}", request.method, request.headers.iter().count()),
                ),
                "/upload" => match request.collect(10).await {
                    Ok(body) => HttpResponse::text(200, String::from_utf8(body).unwrap()),
                    Err(error) => HttpResponse::text(413, error.to_string()),
                },
                "/never" => std::future::pending().await,
                "/endless" => {
                    let (sender, body) = ResponseBody::channel();
                    tokio::spawn(async move {
                        let _alive = alive;
                        while sender.send(Bytes::from_static(&[b'x'; 1 << 16])).await {}
                    });
                    HttpResponse {
                        body,
                        ..HttpResponse::new(200)
                    }
                }
                "/quiet" => {
                    let (sender, body) = ResponseBody::channel();
                    tokio::spawn(async move {
                        let _alive = alive;
                        sender.send(Bytes::from_static(b"first")).await;
                        sender.closed().await;
                    });
                    HttpResponse {
                        body,
                        ..HttpResponse::new(200)
                    }
                }
                "/wrong" => HttpResponse::new(101),
                _ => HttpResponse::new(404),
            }
        }
    });
    let server = server.bind("127.0.0.1:0").await.unwrap();
    let (port, handle) = (server.local_addr().unwrap().port(), server.handle());
    tokio::spawn(server.serve(echo));
    (port, alive, handle)
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Reads until `end` has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    soon(async {
        while !String::from_utf8_lossy(&text).ends_with(end) {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0, "{text:?}");
        }
    })
    .await;
    String::from_utf8(text).unwrap()
}

async fn none_lives(alive: &AtomicUsize) {
    soon(async {
        while alive.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn requests_are_answered_one_after_the_other_beside_websockets() {
    let (port, alive, _) = start().await;
    let mut stream = connect(port).await;
    // The head in pieces, and the next request right behind it.
    stream
        .write_all(b"GET /hello HTTP/1.1\r\nHo")
        .await
        .unwrap();
    tokio::task::yield_now().await;
    stream
        .write_all(b"st: h\r\n\r\nPOST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        .await
        .unwrap();
    let both = read_until(&mut stream, "abc").await;
    let (first, second) = both.split_once("GET 1").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{both}");
    assert!(second.contains("content-length: 3\r\n"), "{both}");
    stream
        .write_all(b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nabcdefghijk")
        .await
        .unwrap();
    read_until(&mut stream, "longer than 10 bytes").await;

    let mut socket = we_net::connect(&format!("ws://127.0.0.1:{port}/hello"))
        .await
        .unwrap();
    socket.send("x").await.unwrap();
    assert_eq!(socket.next().await.unwrap(), Some("x".into()));
    let answer = Client::default()
        .get(&*format!("http://127.0.0.1:{port}/x"))
        .unwrap();
    assert_eq!(answer.send().await.unwrap().status, 404);
    let answer = Client::default()
        .get(&*format!("http://127.0.0.1:{port}/wrong"))
        .unwrap();
    assert_eq!(answer.send().await.unwrap().status, 500);
    none_lives(&alive).await;
}

#[tokio::test]
async fn what_is_no_proper_request_is_rejected_as_without_a_handler() {
    let (port, _, _) = start().await;
    for (request, status) in [
        (
            "GET /hello HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n".to_owned(),
            400,
        ),
        ("GET /hello HTTP/1.1\nHost: h\n\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000)), 431),
    ] {
        let mut stream = connect(port).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:.60}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_the_handler_and_the_body() {
    let (port, alive, _) = start().await;
    for path in ["/never", "/quiet", "/endless"] {
        let mut stream = connect(port).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        soon(async {
            while alive.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        if path != "/never" {
            assert!(stream.read(&mut [0; 100]).await.unwrap() > 0);
        }
        drop(stream);
        none_lives(&alive).await;
    }
}

#[tokio::test]
async fn a_shutdown_lets_answers_end_and_drops_those_that_do_not() {
    let (port, alive, handle) = start().await;
    let mut idle = connect(port).await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "GET 1").await;
    let mut quiet = connect(port).await;
    quiet
        .write_all(b"GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut quiet, "first\r\n").await;
    handle.shutdown(Duration::from_millis(50));
    assert_eq!(soon(idle.read(&mut [0; 10])).await.unwrap(), 0);
    // Cut off, without the chunk that would end it.
    let mut rest = Vec::new();
    let _ = soon(quiet.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
    none_lives(&alive).await;
}
