//! When HTTP/2 is spoken, and what follows when it is not.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use we_net::client::ConnectTimeouts;
use we_net::transport::ConnectError;
use we_net::{Client, Http2Config};

use crate::common::{authority, soon, start, upgrade};
use crate::support::*;

#[tokio::test]
async fn nothing_is_asked_before_the_server_has_sent_its_settings() {
    let raw = Raw::new().await;
    let connecting = raw.connect(&client());
    let mut wire = Wire {
        stream: raw.tcp().await,
    };
    let mut preface = [0; 24];
    tokio::io::AsyncReadExt::read_exact(&mut wire.stream, &mut preface)
        .await
        .unwrap();
    // This is all that the client may say so far.
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(wire.read().await.unwrap().kind);
    }
    said.sort_unstable();
    assert_eq!(said, [SETTINGS, PING, WINDOW_UPDATE]);
    let mut more = [0];
    assert!(wire.stream.try_read(&mut more).is_err() && !connecting.is_finished());
    // Then it need not wait for the answer to the PING.
    wire.settings(&[EXTENDED]).await;
    let request = loop {
        let frame = wire.read().await.unwrap();
        if frame.kind == HEADERS {
            break frame;
        }
    };
    wire.ok(request.id).await;
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_without_the_setting_gets_http1_from_then_on() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept_with(&[]).await;
    // It ends without a request.
    assert_eq!(wire.find(HEADERS).await, None);
    for connecting in [connecting, raw.connect(&client)] {
        upgrade(&mut raw.tcp().await).await;
        let socket = soon(connecting).await.unwrap().unwrap();
        assert!(!socket.is_shared());
    }
    // What one client has learnt is not another's.
    let connecting = raw.connect(&crate::support::client());
    raw.accept().await.open().await;
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_fall_back_offers_nothing_but_http1() {
    let authority = authority(&["127.0.0.1"]);
    let mut config = rustls::ServerConfig::clone(authority.server_acceptor().config());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let client = Client::builder()
        .tls(authority.client())
        .http2(Http2Config::default())
        .build();
    let connecting = tokio::spawn(client.request(&url).unwrap().connect());
    let stream = acceptor.accept(soon(listener.accept()).await.unwrap().0);
    let stream = soon(stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(Wire::server(stream, &[]).await.find(HEADERS).await, None);
    let stream = acceptor.accept(soon(listener.accept()).await.unwrap().0);
    let mut stream = soon(stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    upgrade(&mut stream).await;
    assert!(!soon(connecting).await.unwrap().unwrap().is_shared());
}

#[tokio::test]
async fn a_server_that_asks_for_http1_gets_it() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    let id = wire.next(HEADERS).await.id;
    wire.reset(id, HTTP_1_1_REQUIRED).await;
    upgrade(&mut raw.tcp().await).await;
    assert!(!soon(connecting).await.unwrap().unwrap().is_shared());
}

#[tokio::test]
async fn a_server_that_never_sends_its_settings_meets_the_time_limit() {
    let raw = Raw::new().await;
    let client = Client::builder()
        .http2(known())
        .timeouts(ConnectTimeouts {
            handshake: Duration::from_millis(100),
            ..ConnectTimeouts::default()
        })
        .build();
    let connecting = raw.connect(&client);
    let _silent = raw.tcp().await;
    let error = soon(connecting).await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::HandshakeTimeout { .. }),
        "{error}"
    );

    // Nor does one that answers no request, whose connection is not used again.
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    wire.next(HEADERS).await;
    let error = soon(connecting).await.unwrap().unwrap_err();
    assert!(
        matches!(error, ConnectError::HandshakeTimeout { .. }),
        "{error}"
    );
    // RFC 8441 section 5: a request that is given up is cancelled.
    assert_eq!(wire.next(RST_STREAM).await.code(), CANCEL);
    let connecting = raw.connect(&client);
    raw.accept().await.open().await;
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_answers_nothing_is_not_used_for_the_next_socket() {
    let raw = Raw::new().await;
    let client = Client::builder()
        .http2(known())
        .timeouts(ConnectTimeouts {
            handshake: Duration::from_millis(300),
            ..ConnectTimeouts::default()
        })
        .build();
    let connecting = raw.connect(&client);
    let mut first = raw.accept().await;
    first.open().await;
    let _open = soon(connecting).await.unwrap().unwrap();
    let connecting = raw.connect(&client);
    first.next(HEADERS).await;
    soon(connecting).await.unwrap().unwrap_err();
    let connecting = raw.connect(&client);
    raw.accept().await.open().await;
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refused_stream_is_opened_once_more_on_a_new_connection() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut first = raw.accept().await;
    let id = first.next(HEADERS).await.id;
    first.reset(id, REFUSED_STREAM).await;
    let mut second = raw.accept().await;
    second.open().await;
    let _open = soon(connecting).await.unwrap().unwrap();

    // Once, and not for ever: here the first attempt is on a connection that is there.
    let connecting = raw.connect(&client);
    let shared = async {
        let frame = first.next(HEADERS).await;
        first.reset(frame.id, REFUSED_STREAM).await;
    };
    soon(shared).await;
    let mut third = raw.accept().await;
    let id = third.next(HEADERS).await.id;
    third.reset(id, REFUSED_STREAM).await;
    let error = soon(connecting).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("REFUSED_STREAM"), "{error}");
}

#[tokio::test]
async fn a_stream_above_the_last_of_goaway_is_opened_once_more() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    wire.next(HEADERS).await;
    wire.go_away(0, NO_ERROR).await;
    raw.accept().await.open().await;
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_goes_away_takes_no_more_sockets_and_keeps_those_it_has() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut first = raw.accept().await;
    let id = first.open().await;
    let mut old = soon(connecting).await.unwrap().unwrap();
    first.go_away(id, NO_ERROR).await;
    first.send(DATA, 0, id, b"\x81\x02hi").await;
    assert_eq!(soon(old.next()).await.unwrap(), Some("hi".into()));
    let connecting = raw.connect(&client);
    raw.accept().await.open().await;
    soon(connecting).await.unwrap().unwrap();
    first.send(DATA, 0, id, b"\x81\x02ho").await;
    assert_eq!(soon(old.next()).await.unwrap(), Some("ho".into()));
}

#[tokio::test]
async fn beyond_what_the_server_or_the_client_allows_another_connection_is_opened() {
    for (setting, own) in [(1, 64), (100, 1)] {
        let raw = Raw::new().await;
        let config = Http2Config {
            max_sockets: own,
            ..known()
        };
        let client = Client::builder().http2(config).build();
        // SETTINGS_MAX_CONCURRENT_STREAMS
        let settings = [(3, setting), EXTENDED];
        let connecting = raw.connect(&client);
        let mut first = raw.accept_with(&settings).await;
        let id = first.open().await;
        let mut socket = soon(connecting).await.unwrap().unwrap();
        let connecting = raw.connect(&client);
        let mut second = raw.accept_with(&settings).await;
        second.open().await;
        let _other = soon(connecting).await.unwrap().unwrap();
        // A seat that is free again is taken again.
        first.send(DATA, END_STREAM, id, b"\x88\0").await;
        assert_eq!(soon(socket.next()).await.unwrap(), None);
        drop(socket);
        while first.next(DATA).await.flags & END_STREAM == 0 {}
        let connecting = raw.connect(&client);
        first.open().await;
        soon(connecting).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_without_sockets_is_closed_after_a_while() {
    let raw = Raw::new().await;
    let config = Http2Config {
        idle: Duration::from_millis(20),
        ..known()
    };
    let client = Client::builder().http2(config).build();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    wire.open().await;
    drop(soon(connecting).await.unwrap().unwrap());
    let farewell = wire.next(GOAWAY).await;
    assert_eq!(farewell.code(), NO_ERROR);
    assert_eq!(wire.read().await, None);
    // The next socket gets a new one.
    let connecting = raw.connect(&client);
    raw.accept().await.open().await;
    soon(connecting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_goes_with_its_client_and_its_last_socket() {
    let raw = Raw::new().await;
    let client = client();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    let id = wire.open().await;
    let mut socket = soon(connecting).await.unwrap().unwrap();
    drop(client);
    wire.send(DATA, 0, id, b"\x81\x02hi").await;
    assert_eq!(soon(socket.next()).await.unwrap(), Some("hi".into()));
    drop(socket);
    assert_eq!(wire.next(RST_STREAM).await.code(), CANCEL);
    assert_eq!(wire.next(GOAWAY).await.code(), NO_ERROR);
}

/// A runtime of its own, as each event loop of a script engine has one, with a socket opened in it.
#[tokio::test]
async fn connections_are_not_shared_between_runtimes() {
    let running = start(server(), |mut socket| async move {
        let port = socket.peer_addr().unwrap().port().to_string();
        while let Ok(Some(_)) = socket.next().await {
            let _ = socket.send(&*port).await;
        }
    })
    .await;
    let client = client();
    let ask = async |socket: &mut we_net::WebSocket| {
        socket.send("port?").await.unwrap();
        soon(socket.next()).await.unwrap().unwrap()
    };
    let mut here = soon(client.connect(&running.url)).await.unwrap();
    let mut again = soon(client.connect(&running.url)).await.unwrap();
    let port = ask(&mut here).await;
    assert_eq!(ask(&mut again).await, port);
    let (url, theirs) = (running.url.clone(), client.clone());
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // What is left open goes with the runtime, in the middle of everything.
        runtime.block_on(async {
            let mut there = soon(theirs.connect(&url)).await.unwrap();
            there.send("port?").await.unwrap();
            soon(there.next()).await.unwrap().unwrap()
        })
    });
    let other = tokio::task::spawn_blocking(|| elsewhere.join().unwrap());
    assert_ne!(soon(other).await.unwrap(), port);
    assert_eq!(ask(&mut here).await, port);
    let mut third = soon(client.connect(&running.url)).await.unwrap();
    assert_eq!(ask(&mut third).await, port);
}

#[tokio::test]
async fn a_socket_that_is_taken_to_another_runtime_ends_with_that_of_its_connection() {
    let running = start(server(), we_net::server::echo).await;
    let (client, url) = (client(), running.url.clone());
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { soon(client.connect(&url)).await.unwrap() })
    });
    let opened = tokio::task::spawn_blocking(|| elsewhere.join().unwrap());
    let mut socket = soon(opened).await.unwrap();
    let error = soon(socket.next()).await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
    assert_eq!(socket.closure().unwrap().code, 1006);
}
