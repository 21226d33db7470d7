//! Client and server of this crate against each other, over loopback sockets.
#![allow(clippy::unwrap_used)]

mod common;

use common::{authority, soon, start, start_echo};
use we_net::handshake::WebSocketUrl;
use we_net::protocol::{CloseCode, CloseFrame, Config, Event, Message, State};
use we_net::server::echo;
use we_net::{Acceptor, Client, Server, WebSocket};

/// Either side of where the length field grows, and one message that no socket takes at once.
const SIZES: [usize; 6] = [0, 125, 126, 65_535, 65_536, 16 << 20];

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect()
}

async fn echo_sizes(mut socket: WebSocket) {
    for size in SIZES {
        let binary = Message::binary(bytes(size));
        socket.send(binary.clone()).await.unwrap();
        assert_eq!(
            soon(socket.next()).await.unwrap(),
            Some(binary),
            "{size} bytes"
        );
        let text = Message::text("é".repeat(size / 2));
        socket.send(text.clone()).await.unwrap();
        assert_eq!(
            soon(socket.next()).await.unwrap(),
            Some(text),
            "{size} bytes of text"
        );
    }
    let closure = soon(socket.close(CloseFrame::new(CloseCode::NORMAL, "bye").unwrap())).await;
    assert!(closure.clean, "{closure:?}");
    assert_eq!((closure.code, closure.reason.as_str()), (1000, "bye"));
    assert_eq!(socket.state(), State::Closed);
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_over_ws() {
    let server = start_echo().await;
    echo_sizes(soon(we_net::connect(&server.url)).await.unwrap()).await;
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_over_wss() {
    let authority = authority(&["127.0.0.1"]);
    let server = start(Server::builder().tls(authority.server.clone()), echo).await;
    let client = Client::builder().tls(authority.client()).build();
    assert!(server.url.starts_with("wss://"));
    echo_sizes(soon(client.connect(&server.url)).await.unwrap()).await;
}

#[tokio::test]
async fn fragments_are_put_together() {
    let config = || Config {
        fragment_size: std::num::NonZeroUsize::new(1000),
        ..Config::server()
    };
    let server = start(
        Server::builder().acceptor(Acceptor::builder().config(config()).build()),
        echo,
    )
    .await;
    let client = Client::builder().config(config()).build();
    let mut socket = soon(client.connect(&server.url)).await.unwrap();
    let message = Message::binary(bytes(100_001));
    socket.send(message.clone()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some(message));
}

#[tokio::test]
async fn many_small_messages_keep_their_order() {
    let server = start_echo().await;
    let mut socket = soon(we_net::connect(&server.url)).await.unwrap();
    for round in 0..10 {
        for number in 0..1000 {
            socket.feed(format!("{round}:{number}")).await.unwrap();
        }
        for number in 0..1000 {
            let message = soon(socket.next()).await.unwrap().unwrap();
            assert_eq!(
                message.as_text(),
                Some(format!("{round}:{number}").as_str())
            );
        }
    }
}

#[tokio::test]
async fn a_ping_is_answered() {
    let server = start_echo().await;
    let mut socket = soon(we_net::connect(&server.url)).await.unwrap();
    socket.ping(b"are you there?").await.unwrap();
    match soon(socket.next_event()).await {
        Some(Event::Pong(payload)) => assert_eq!(&*payload, b"are you there?"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_ends_know_what_was_negotiated() {
    let (report, mut reported) = tokio::sync::mpsc::unbounded_channel();
    let acceptor = Acceptor::builder().subprotocols(["b", "a"]).build();
    let server = start(
        Server::builder().acceptor(acceptor),
        move |mut socket: WebSocket| {
            report
                .send((socket.negotiated().clone(), socket.peer_addr()))
                .unwrap();
            async move {
                socket.close(None).await;
            }
        },
    )
    .await;
    let url = WebSocketUrl::parse(&format!("{}room?x=1", server.url), None).unwrap();
    let request = Client::default().request(url).unwrap();
    let socket = request
        .subprotocols(["a", "b"])
        .unwrap()
        .origin(format!("http://127.0.0.1:{}", server.port))
        .unwrap()
        .header("Cookie", "a=b")
        .unwrap()
        .connect();
    let socket = soon(socket).await.unwrap();
    assert_eq!(socket.subprotocol(), Some("a"));
    assert_eq!(socket.negotiated().extensions, "");
    assert_eq!(socket.peer_addr().unwrap().port(), server.port);
    let (negotiated, peer) = soon(reported.recv()).await.unwrap();
    assert_eq!(negotiated.resource, "/room?x=1");
    assert_eq!(negotiated.subprotocol.as_deref(), Some("a"));
    assert_eq!(negotiated.headers.single("cookie"), Some(&b"a=b"[..]));
    assert!(peer.unwrap().ip().is_loopback());
}

#[tokio::test]
async fn after_the_end_nothing_is_sent_and_nothing_comes() {
    let server = start(Server::builder(), |mut socket: WebSocket| async move {
        socket
            .close(CloseFrame::new(CloseCode::try_from(4000).unwrap(), "go").unwrap())
            .await;
    })
    .await;
    let mut socket = soon(we_net::connect(&server.url)).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), None);
    assert_eq!(soon(socket.next()).await.unwrap(), None);
    let closure = socket.closure().unwrap();
    assert_eq!(
        (closure.clean, closure.code, closure.reason.as_str()),
        (true, 4000, "go")
    );
    let refused = socket.send("too late").await.unwrap_err();
    assert_eq!(refused.message, Message::text("too late"));
    assert!(socket.ping(b"").await.is_err());
    assert_eq!(soon(socket.close(None)).await, closure);
}

#[tokio::test]
async fn a_dropped_socket_is_an_abnormal_end_for_the_peer() {
    let (report, mut reported) = tokio::sync::mpsc::unbounded_channel();
    let server = start(Server::builder(), move |mut socket: WebSocket| {
        let report = report.clone();
        async move {
            let end = socket.next().await;
            report.send((end, socket.closure())).unwrap();
        }
    })
    .await;
    drop(soon(we_net::connect(&server.url)).await.unwrap());
    let (end, closure) = soon(reported.recv()).await.unwrap();
    assert!(end.is_err());
    assert_eq!(closure.unwrap().code, 1006);
}
