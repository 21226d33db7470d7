//! Compression from the handshake on: what client and server agree on, and answers that a client
//! must refuse.
#![allow(clippy::unwrap_used)]

mod common;

use common::{soon, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use we_net::handshake::deflate::DeflateError;
use we_net::handshake::{HandshakeError, HeadLimits, RequestReader};
use we_net::protocol::deflate::{DeflateConfig, WindowBits};
use we_net::protocol::{Config, Limits, Message};
use we_net::server::echo;
use we_net::transport::ConnectError;
use we_net::{Acceptor, Client, Server};

fn client(offers: impl IntoIterator<Item = DeflateConfig>) -> Client {
    Client::builder().compression(offers).build()
}

fn windows(server: u8, client: u8) -> DeflateConfig {
    DeflateConfig {
        server_max_window_bits: WindowBits::new(server).unwrap(),
        client_max_window_bits: WindowBits::new(client).unwrap(),
        ..DeflateConfig::default()
    }
}

#[tokio::test]
async fn messages_come_back_over_every_agreement() {
    let default = DeflateConfig::default();
    let shared = DeflateConfig::shared();
    for (offers, answer, expected) in [
        (vec![default], Some(default), "permessage-deflate"),
        (vec![default], None, ""),
        (vec![], Some(default), ""),
        (
            vec![default],
            Some(shared),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            vec![windows(8, 9), default],
            Some(default),
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits=9",
        ),
        (
            vec![default],
            Some(windows(10, 8)),
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=8",
        ),
    ] {
        let acceptor = Acceptor::builder().compression(answer).build();
        let server = start(Server::builder().acceptor(acceptor), echo).await;
        let mut socket = soon(client(offers).connect(&server.url)).await.unwrap();
        assert_eq!(socket.negotiated().extensions, expected);
        for size in [0, 1, 1000, 100_000] {
            for message in [
                Message::text("é".repeat(size)),
                Message::binary((0..size).map(|at| (at % 251) as u8).collect::<Vec<_>>()),
            ] {
                socket.send(message.clone()).await.unwrap();
                assert_eq!(soon(socket.next()).await.unwrap(), Some(message));
            }
        }
        assert!(soon(socket.close(None)).await.clean);
    }
}

#[tokio::test]
async fn message_that_inflates_beyond_the_limit_ends_the_connection() {
    let config = Config {
        limits: Limits {
            max_message_size: 10_000,
            ..Limits::default()
        },
        ..Config::server()
    };
    let acceptor = Acceptor::builder()
        .config(config)
        .compression(DeflateConfig::default())
        .build();
    let server = start(Server::builder().acceptor(acceptor), echo).await;
    let client = client([DeflateConfig::default()]);
    let mut socket = soon(client.connect(&server.url)).await.unwrap();
    let exact = Message::binary(vec![0; 10_000]);
    socket.send(exact.clone()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some(exact));
    socket.send(Message::binary(vec![0; 10_001])).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), None);
    assert_eq!(soon(socket.close(None)).await.code, 1009);
}

/// Answers a request with `extensions`, whatever was offered.
async fn answer(mut stream: DuplexStream, extensions: &str) {
    let mut reader = RequestReader::new(HeadLimits::default());
    let mut buffer = [0; 4096];
    let request = loop {
        let count = stream.read(&mut buffer).await.unwrap();
        if let Some(request) = reader.receive(&buffer[..count]).unwrap() {
            break request;
        }
    };
    let response = String::from_utf8(request.accept().to_bytes()).unwrap();
    let head = response.strip_suffix("\r\n").unwrap();
    let response = format!("{head}Sec-WebSocket-Extensions: {extensions}\r\n\r\n");
    stream.write_all(response.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn answer_that_breaks_the_rules_fails_the_connection() {
    for (extensions, expected) in [
        (
            "permessage-deflate; foo",
            HandshakeError::Deflate(DeflateError::Unknown("foo".into())),
        ),
        (
            "permessage-deflate; client_max_window_bits",
            HandshakeError::Deflate(DeflateError::Bits("client_max_window_bits")),
        ),
        (
            "permessage-deflate; server_max_window_bits=12",
            HandshakeError::Deflate(DeflateError::NotGranted("server_max_window_bits")),
        ),
        (
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            HandshakeError::ExtensionRepeated("permessage-deflate".into()),
        ),
    ] {
        let (near, far) = tokio::io::duplex(4096);
        let request = client([windows(11, 15)]).request("ws://h/").unwrap();
        let (result, ()) = tokio::join!(request.on_stream(near), answer(far, extensions));
        match result {
            Err(ConnectError::Handshake { source, .. }) => assert_eq!(source, expected),
            other => panic!("{extensions}: {other:?}"),
        }
    }
}
