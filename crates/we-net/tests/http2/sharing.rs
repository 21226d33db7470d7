//! What sockets on one connection have to do with one another, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use we_net::protocol::{CloseCode, CloseFrame, ConnectionError, Message};
use we_net::server::echo;
use we_net::{Client, Http2Config, Server, WebSocket};

use crate::common::{Running, soon, start};
use crate::support::*;

/// At `/pour`, messages of 1000 bytes without end; at `/drip`, of two bytes; at `/deaf`, nothing is read; elsewhere,
/// an echo.
async fn behave(mut socket: WebSocket) {
    let piece = match &*socket.negotiated().resource {
        "/pour" => 1000,
        "/drip" => 2,
        "/deaf" => return std::future::pending().await,
        _ => return echo(socket).await,
    };
    while socket.send(vec![7; piece]).await.is_ok() {}
}

async fn connect(client: &Client, running: &Running, path: &str) -> WebSocket {
    let url = format!("{}{path}", running.url);
    soon(client.connect(&url)).await.unwrap()
}

async fn answers(socket: &mut WebSocket) {
    let message = Message::binary(vec![1; 100_000]);
    socket.send(message.clone()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some(message));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_are_not_read_hold_up_no_other() {
    let running = start(server(), behave).await;
    let client = client();
    let mut others = connect(&client, &running, "").await;
    // More than have room in the connection's window together if each had all it wanted.
    let mut poured = Vec::new();
    for _ in 0..8 {
        poured.push(connect(&client, &running, "pour").await);
    }
    // What is on the way arrives before this does: there is one TCP connection.
    for _ in 0..100 {
        answers(&mut others).await;
    }
    // Nothing is lost meanwhile, and reading opens the window again.
    for socket in &mut poured {
        for _ in 0..2000 {
            let message = soon(socket.next()).await.unwrap().unwrap();
            assert_eq!(message.len(), 1000);
        }
    }
    answers(&mut others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiny_messages_that_are_not_read_hold_up_no_other() {
    let running = start(server(), behave).await;
    let client = client();
    let mut others = connect(&client, &running, "").await;
    let mut dripping = Vec::new();
    for _ in 0..6 {
        dripping.push(connect(&client, &running, "drip").await);
    }
    for _ in 0..100 {
        answers(&mut others).await;
    }
    // Until each has used up its window: four bytes of payload for each message.
    for socket in &mut dripping {
        for _ in 0..80_000 {
            assert_eq!(soon(socket.next()).await.unwrap().unwrap().len(), 2);
        }
    }
    answers(&mut others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_a_socket_holds_up_no_other() {
    let running = start(server(), behave).await;
    let client = client();
    let mut others = connect(&client, &running, "").await;
    let mut deaf = connect(&client, &running, "deaf").await;
    let sending = tokio::spawn(async move {
        // It waits for ever after the window and our own buffers are full.
        for _ in 0..1000 {
            deaf.send(vec![0; 10_000]).await.unwrap();
        }
    });
    for _ in 0..100 {
        answers(&mut others).await;
    }
    assert!(!sending.is_finished());
    sending.abort();
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_socket_only() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    let first = wire.open().await;
    let mut reset = soon(connecting).await.unwrap().unwrap();
    let connecting = raw.connect(&client);
    let second = wire.open().await;
    let mut other = soon(connecting).await.unwrap().unwrap();
    assert_ne!(first, second);
    // What came before the reset counts.
    wire.send(DATA, 0, first, b"\x81\x01x").await;
    wire.reset(first, INTERNAL_ERROR).await;
    assert_eq!(soon(reset.next()).await.unwrap(), Some("x".into()));
    let error = soon(reset.next()).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Transport(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("the peer reset the stream (INTERNAL_ERROR"),
        "{error}"
    );
    let closure = reset.closure().unwrap();
    assert_eq!((closure.clean, closure.code), (false, 1006));
    wire.send(DATA, 0, second, b"\x81\x01y").await;
    assert_eq!(soon(other.next()).await.unwrap(), Some("y".into()));
}

#[tokio::test]
async fn a_reset_while_writing_is_told_too() {
    let raw = Raw::new().await;
    let connecting = raw.connect(&client());
    let mut wire = raw.accept().await;
    let id = wire.open().await;
    let mut socket = soon(connecting).await.unwrap().unwrap();
    // Writes more than the peer has window for, so that it waits for that.
    socket.send(vec![0; 200_000]).await.unwrap();
    wire.next(DATA).await;
    wire.reset(id, CANCEL).await;
    socket.flush().await;
    let error = soon(socket.next()).await.unwrap_err();
    assert!(error.to_string().contains("CANCEL"), "{error}");
}

#[tokio::test]
async fn goaway_and_the_end_of_the_connection_are_told_apart() {
    for (case, text) in [
        // Above the last stream that it tells of.
        (
            0,
            "the peer gave the HTTP/2 connection up (ENHANCE_YOUR_CALM",
        ),
        (1, "the HTTP/2 connection ended with this stream still open"),
        (2, "the peer broke the rules of HTTP/2 (PROTOCOL_ERROR"),
    ] {
        let raw = Raw::new().await;
        let client = client();
        let mut sockets = Vec::new();
        let connecting = raw.connect(&client);
        let mut wire = raw.accept().await;
        wire.open().await;
        sockets.push(soon(connecting).await.unwrap().unwrap());
        let connecting = raw.connect(&client);
        wire.open().await;
        sockets.push(soon(connecting).await.unwrap().unwrap());
        match case {
            0 => wire.go_away(0, ENHANCE_YOUR_CALM).await,
            1 => drop(wire),
            // A HEADERS frame of stream 0.
            _ => wire.send(HEADERS, END_HEADERS, 0, &[]).await,
        }
        for mut socket in sockets {
            let error = soon(socket.next()).await.unwrap_err();
            assert!(error.to_string().contains(text), "{case}: {error}");
            assert_eq!(socket.closure().unwrap().code, 1006);
        }
    }
}

#[tokio::test]
async fn after_both_close_frames_a_reset_is_no_error() {
    for (code, first) in [(NO_ERROR, "peer"), (CANCEL, "peer"), (CANCEL, "we")] {
        let raw = Raw::new().await;
        let connecting = raw.connect(&client());
        let mut wire = raw.accept().await;
        let id = wire.open().await;
        let mut socket = soon(connecting).await.unwrap().unwrap();
        let closing = tokio::spawn(async move {
            if first == "we" {
                socket.close(None).await
            } else {
                assert_eq!(socket.next().await.unwrap(), None);
                socket.closure().unwrap()
            }
        });
        if first == "we" {
            wire.next(DATA).await;
            wire.send(DATA, 0, id, b"\x88\x02\x03\xe8").await;
        } else {
            wire.send(DATA, 0, id, b"\x88\x02\x03\xe8").await;
            wire.next(DATA).await;
        }
        wire.reset(id, code).await;
        let closure = soon(closing).await.unwrap();
        assert_eq!((closure.clean, closure.code), (true, 1000), "{closure:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_stream_without_a_close_frame_is_an_error() {
    let raw = Raw::new().await;
    let connecting = raw.connect(&client());
    let mut wire = raw.accept().await;
    let id = wire.open().await;
    let mut socket = soon(connecting).await.unwrap().unwrap();
    wire.send(DATA, END_STREAM, id, b"\x81\x01x").await;
    assert_eq!(soon(socket.next()).await.unwrap(), Some("x".into()));
    soon(socket.next()).await.unwrap_err();
    assert_eq!(socket.closure().unwrap().code, 1006);
}

#[tokio::test]
async fn a_closed_socket_ends_its_stream_in_order_and_a_dropped_one_cancels_it() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    let id = wire.open().await;
    let mut socket = soon(connecting).await.unwrap().unwrap();
    let closing = tokio::spawn(async move { socket.close(None).await });
    let close = wire.next(DATA).await;
    assert_eq!((close.payload.len(), close.flags), (6, 0));
    wire.send(DATA, END_STREAM, id, b"\x88\0").await;
    assert!(soon(closing).await.unwrap().clean);
    let end = wire.next(DATA).await;
    assert_eq!((end.payload.len(), end.flags), (0, END_STREAM));

    let connecting = raw.connect(&client);
    let id = wire.open().await;
    let mut socket = soon(connecting).await.unwrap().unwrap();
    // What was written goes out before.
    socket.send("last").await.unwrap();
    drop(socket);
    assert_eq!(wire.next(DATA).await.payload.len(), 10);
    let reset = wire.next(RST_STREAM).await;
    assert_eq!((reset.id, reset.code()), (id, CANCEL));
}

#[tokio::test]
async fn a_handler_that_panics_takes_its_own_socket_with_it() {
    let running = start(server(), |mut socket| async move {
        let resource = socket.negotiated().resource.clone();
        assert!(resource != "/panic", "on purpose");
        while let Ok(Some(message)) = socket.next().await {
            socket.send(message).await.unwrap();
        }
    })
    .await;
    let client = client();
    let mut good = connect(&client, &running, "").await;
    let mut bad = connect(&client, &running, "panic").await;
    let error = soon(bad.next()).await.unwrap_err();
    assert!(error.to_string().contains("CANCEL"), "{error}");
    answers(&mut good).await;
}

#[tokio::test]
async fn a_shutdown_closes_all_with_1001_and_ends_the_connection() {
    let running = start(server(), echo).await;
    let client = client();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(connect(&client, &running, "").await);
    }
    let mut wire = Wire::client(running.port).await;
    wire.headers(1, &OPENING).await;
    wire.next(HEADERS).await;
    running.handle.shutdown(Duration::from_secs(20));
    for mut socket in sockets {
        assert_eq!(soon(socket.next()).await.unwrap(), None);
        let closure = socket.closure().unwrap();
        assert_eq!((closure.clean, closure.code), (true, 1001));
    }
    // In either order.
    let (mut farewell, mut close) = (None, None);
    while farewell.is_none() || close.is_none() {
        let frame = wire.read().await.unwrap();
        match frame.kind {
            GOAWAY => farewell = Some(frame.code()),
            DATA => close = Some(frame.payload),
            PING => wire.send(PING, ACK, 0, &frame.payload).await,
            _ => {}
        }
    }
    assert_eq!(farewell, Some(NO_ERROR));
    assert_eq!(close.unwrap(), b"\x88\x02\x03\xe9");
    // It answers with a Close frame of its own.
    let mask = b"\x88\x82\0\0\0\0\x03\xe9";
    wire.send(DATA, END_STREAM, 1, mask).await;
    while wire.find(DATA).await.is_some() {}
    soon(running.serving).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_answers_nothing_is_dropped_when_the_drain_is_over() {
    let running = start(server(), echo).await;
    let mut wire = Wire::client(running.port).await;
    wire.headers(1, &OPENING).await;
    wire.next(HEADERS).await;
    running.handle.shutdown(Duration::from_millis(50));
    soon(running.serving).await.unwrap();
    while wire.read().await.is_some() {}
}

#[tokio::test]
async fn one_connection_gets_no_more_sockets_than_many_would() {
    let builder = server().max_connections(2);
    let running = start(builder, echo).await;
    let client = client();
    let mut first = connect(&client, &running, "").await;
    let second = connect(&client, &running, "").await;
    let mut wire = Wire {
        stream: tokio::net::TcpStream::connect(("127.0.0.1", running.port))
            .await
            .unwrap(),
    };
    // Not even a connection has room; the client's own has none either.
    let refused = soon(client.request(&running.url).unwrap().connect());
    tokio::select! {
        opened = refused => panic!("{opened:?}"),
        () = answers(&mut first) => {}
    }
    drop(second);
    wire.write(PREFACE).await;
    wire.settings(&[]).await;
    wire.headers(1, &OPENING).await;
    wire.next(HEADERS).await;
    // A second socket of it would be the third.
    wire.headers(3, &OPENING).await;
    let reset = wire.next(RST_STREAM).await;
    assert_eq!((reset.id, reset.code()), (3, REFUSED_STREAM));
    answers(&mut first).await;
    // One that closes makes room.
    first.close(CloseFrame::from(CloseCode::NORMAL)).await;
    drop((first, client));
    let room = async {
        for id in (5..).step_by(2) {
            wire.headers(id, &OPENING).await;
            let answer = loop {
                let frame = wire.read().await.unwrap();
                if matches!(frame.kind, HEADERS | RST_STREAM) {
                    break frame;
                }
            };
            assert_eq!(answer.id, id);
            if answer.kind == HEADERS {
                break;
            }
        }
    };
    soon(room).await;
}

#[tokio::test]
async fn a_server_refuses_more_sockets_than_a_connection_may_have() {
    let config = Http2Config {
        max_sockets: 2,
        ..Http2Config::server()
    };
    let counted = Arc::new(AtomicUsize::new(0));
    let handler = {
        let counted = Arc::clone(&counted);
        move |socket| {
            counted.fetch_add(1, SeqCst);
            echo(socket)
        }
    };
    let running = start(Server::builder().http2(config), handler).await;
    // It says so, so a client opens another connection instead.
    let client = client();
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(connect(&client, &running, "").await);
    }
    for socket in &mut sockets {
        answers(socket).await;
    }
    assert_eq!(counted.load(SeqCst), 5);
    // One that does not care is refused.
    let mut wire = Wire::client(running.port).await;
    for id in [1, 3, 5] {
        wire.headers(id, &OPENING).await;
    }
    let reset = wire.next(RST_STREAM).await;
    assert_eq!((reset.id, reset.code()), (5, REFUSED_STREAM));
    assert!(counted.load(SeqCst) <= 7);
}
