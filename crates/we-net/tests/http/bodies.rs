//! How bodies arrive and end, and what becomes of the connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use we_net::{Client, HttpError};

use crate::common::{read_head, soon};
use crate::support::{answering, get, http_server, load, ok};

#[tokio::test]
async fn a_body_ends_by_length_by_chunks_or_with_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and not this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let url = answering(answer).await;
        assert_eq!(load(&url).await.unwrap(), b"hello", "{answer}");
    }
}

#[tokio::test]
async fn pieces_come_as_they_arrive() {
    let (next, mut said) = mpsc::channel::<&'static [u8]>(1);
    let url = http_server(|mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while let Some(piece) = said.recv().await {
            stream.write_all(piece).await.unwrap();
        }
    })
    .await;
    let request = Client::default().get(&url).unwrap().idle_timeout(None);
    let mut body = soon(request.send()).await.unwrap().body;
    for piece in [&b"data: 1\n\n"[..], b"data: 2\n\n"] {
        // A future that is dropped while it waits loses nothing.
        let early = tokio::time::timeout(Duration::from_millis(1), body.chunk());
        assert!(early.await.is_err());
        next.send(piece).await.unwrap();
        assert_eq!(soon(body.chunk()).await.unwrap().unwrap(), piece);
    }
    drop(next);
    assert_eq!(soon(body.chunk()).await.unwrap(), None);
    assert_eq!(soon(body.chunk()).await.unwrap(), None);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    let url = answering(answer).await;
    let response = get(&url).await.unwrap();
    assert!(soon(response.body.collect(body.len())).await.unwrap() == body);
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let error = load(&answering(answer).await).await.unwrap_err();
        assert!(
            matches!(error, HttpError::BodyEnded { .. }),
            "{answer}: {error}"
        );
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_an_error() {
    let url = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n").await;
    let mut body = get(&url).await.unwrap().body;
    let error = soon(body.chunk()).await.unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(soon(body.chunk()).await.unwrap(), None);
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_collected() {
    let declared = "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello";
    let undeclared = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(100_000));
    for answer in [declared, &undeclared, &ok("hello")] {
        let body = get(&answering(answer).await).await.unwrap().body;
        let error = soon(body.collect(4)).await.unwrap_err();
        assert!(
            matches!(error, HttpError::BodyTooLong { limit: 4, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("longer than 4 bytes"), "{error}");
    }
    let body = get(&answering(ok("hello")).await).await.unwrap().body;
    assert_eq!(soon(body.collect(5)).await.unwrap(), b"hello");
}

#[tokio::test]
async fn silence_in_a_body_runs_into_the_idle_timeout() {
    let url = http_server(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nhello")
            .await
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let request = Client::default().get(&url).unwrap();
    let request = request.idle_timeout(Duration::from_millis(50));
    let mut body = soon(request.send()).await.unwrap().body;
    assert_eq!(soon(body.chunk()).await.unwrap().unwrap(), "hello");
    let error = soon(body.chunk()).await.unwrap_err();
    assert!(matches!(error, HttpError::BodyTimeout { .. }), "{error}");
    assert!(
        error.to_string().contains("nothing came for 0.05 s"),
        "{error}"
    );
}

/// A connection whose end the server tells.
async fn watched(answer: &'static str) -> (String, oneshot::Receiver<()>) {
    let (send, gone) = oneshot::channel();
    let url = http_server(move |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Returns when the client has gone, by FIN or by RST.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        send.send(()).unwrap();
    })
    .await;
    (url, gone)
}

#[tokio::test]
async fn the_connection_is_closed_when_the_body_is_dropped_or_complete() {
    let endless = "HTTP/1.1 200 OK\r\n\r\nhello";
    let (url, gone) = watched(endless).await;
    let mut response = get(&url).await.unwrap();
    assert!(soon(response.body.chunk()).await.unwrap().is_some());
    drop(response);
    soon(gone).await.unwrap();

    let (url, gone) = watched(endless).await;
    let mut body = get(&url).await.unwrap().body;
    soon(body.chunk()).await.unwrap();
    let reading = tokio::spawn(async move { body.chunk().await.map(drop) });
    reading.abort();
    soon(gone).await.unwrap();

    // What is complete lets go of the connection though the body is still there.
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 204 x\r\n\r\n",
    ] {
        let (url, gone) = watched(answer).await;
        let mut body = get(&url).await.unwrap().body;
        while soon(body.chunk()).await.unwrap().is_some() {}
        soon(gone).await.unwrap();
        assert_eq!(soon(body.chunk()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let request = Client::default().get(url).unwrap();
    let sending = tokio::spawn(async move { request.send().await.map(drop) });
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    read_head(&mut stream).await;
    sending.abort();
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
}
