//! Servers that do not do what they should while a connection is being opened, and what the client
//! makes of it.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{raw_server, read_head, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use we_net::handshake::{HandshakeError, HeadError};
use we_net::transport::ConnectError;
use we_net::{Client, ConnectTimeouts};

/// Connects to a server that reads the request and then sends `answer` in small pieces, and returns
/// the error.
async fn fail_on(answer: impl Into<Vec<u8>>) -> ConnectError {
    let answer = answer.into();
    let url = raw_server(|mut stream| async move {
        read_head(&mut stream).await;
        for piece in answer.chunks(1000) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
        }
        // Stay until the client has gone, so that nothing but the answer can be what it fails on.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    soon(we_net::connect(&url)).await.unwrap_err()
}

fn handshake_error(error: ConnectError) -> HandshakeError {
    match error {
        ConnectError::Handshake { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_silent_server_runs_into_the_handshake_timeout() {
    let url = raw_server(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let timeouts = ConnectTimeouts {
        handshake: Duration::from_millis(50),
        ..ConnectTimeouts::default()
    };
    let client = Client::builder().timeouts(timeouts).build();
    let error = soon(client.connect(&url)).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::HandshakeTimeout { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("within 0.05 s"), "{error}");
}

#[tokio::test]
async fn a_server_that_trickles_runs_into_the_handshake_timeout() {
    let url = raw_server(|mut stream| async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while stream.write_all(b"HTTP/1.1 100 x\r\n\r\n").await.is_ok() {
            ticks.tick().await;
        }
    })
    .await;
    let timeouts = ConnectTimeouts {
        handshake: Duration::from_millis(100),
        ..ConnectTimeouts::default()
    };
    let client = Client::builder().timeouts(timeouts).build();
    let error = soon(client.connect(&url)).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::HandshakeTimeout { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_accept_fails() {
    let answer = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(
        handshake_error(fail_on(answer).await),
        HandshakeError::AcceptWrong
    );
}

#[tokio::test]
async fn endless_headers_fail_before_they_fill_memory() {
    let answer = format!("HTTP/1.1 101 x\r\nX: {}", "a".repeat(10 << 20));
    assert!(matches!(
        handshake_error(fail_on(answer).await),
        HandshakeError::Head(HeadError::TooLong { .. })
    ));
    let answer = format!("HTTP/1.1 101 x\r\n{}", "a: b\r\n".repeat(1 << 20));
    assert!(matches!(
        handshake_error(fail_on(answer).await),
        HandshakeError::Head(HeadError::TooManyHeaders { .. })
    ));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("ws://{}/", elsewhere.local_addr().unwrap());
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n");
    let error = fail_on(answer).await;
    assert!(
        error
            .to_string()
            .contains(&format!("connect to {target} directly")),
        "{error}"
    );
    assert!(matches!(
        handshake_error(error),
        HandshakeError::Status { status: 302, .. }
    ));
    // Whoever is first in the queue is not the client.
    let (mut own, accepted) = tokio::join!(
        tokio::net::TcpStream::connect(elsewhere.local_addr().unwrap()),
        elsewhere.accept()
    );
    own.as_mut().unwrap().write_all(b"me").await.unwrap();
    let mut first = [0; 2];
    soon(accepted.unwrap().0.read_exact(&mut first))
        .await
        .unwrap();
    assert_eq!(&first, b"me");
}

#[tokio::test]
async fn other_statuses_fail_and_say_which() {
    for (status, word) in [
        (200, "does not serve WebSocket"),
        (401, "password"),
        (503, "overloaded"),
    ] {
        let error = fail_on(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n")).await;
        let text = error.to_string();
        assert!(
            text.contains(&format!("answered {status} x")) && text.contains(word),
            "{text}"
        );
    }
}

#[tokio::test]
async fn another_protocol_fails_at_once() {
    let error = fail_on("SSH-2.0-x\r\n").await;
    assert!(matches!(
        handshake_error(error),
        HandshakeError::Head(HeadError::NotHttp)
    ));
}

#[tokio::test]
async fn a_server_that_hangs_up_fails() {
    let url = raw_server(|mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let error = soon(we_net::connect(&url)).await.unwrap_err();
    assert_eq!(
        handshake_error(error),
        HandshakeError::Ended { started: false }
    );
    let url = raw_server(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 101").await.unwrap();
    })
    .await;
    let error = soon(we_net::connect(&url)).await.unwrap_err();
    assert_eq!(
        handshake_error(error),
        HandshakeError::Ended { started: true }
    );
}

#[tokio::test]
async fn blocked_ports_are_not_dialled() {
    // Were it dialled, the error would be another one: a refusal, or a timeout.
    let error = soon(we_net::connect("ws://127.0.0.1:6667/"))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::BadPort(6667)), "{error}");
}

#[tokio::test]
async fn credentials_in_the_url_go_to_its_host() {
    let (send, receive) = tokio::sync::oneshot::channel();
    let url = raw_server(|mut stream| async move {
        send.send(read_head(&mut stream).await).unwrap();
    })
    .await;
    let url = url.replace("ws://", "ws://user:secret@");
    let error = soon(we_net::connect(&url)).await.unwrap_err();
    let head = soon(receive).await.unwrap();
    assert_eq!(
        common::header(&head, "authorization"),
        Some("Basic dXNlcjpzZWNyZXQ=")
    );
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn one_connection_is_opened_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let client = Client::default();
    let open = || {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { client.connect(&url).await })
    };
    let first = open();
    let (_silent, _) = soon(listener.accept()).await.unwrap();
    // The others wait while the first one does,
    let mut others = vec![open(), open()];
    let early = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(early.is_err(), "there were two at once");
    // come when it has failed,
    first.abort();
    let (mut second, _) = soon(listener.accept()).await.unwrap();
    // and when one has been opened.
    common::upgrade(&mut second).await;
    let (mut third, _) = soon(listener.accept()).await.unwrap();
    common::upgrade(&mut third).await;
    for other in &mut others {
        assert!(soon(other).await.unwrap().is_ok());
    }
}
