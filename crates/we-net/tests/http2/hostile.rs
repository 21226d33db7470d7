//! Peers that mean no good: what they bring about, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use we_net::handshake::{HandshakeError, HeadError, HeadLimits, OriginPolicy};
use we_net::server::echo;
use we_net::transport::ConnectError;
use we_net::{Acceptor, Client, Http2Config, Server, WebSocket};

use crate::common::{Running, soon, start};
use crate::support::*;

async fn running() -> Running {
    let acceptor = Acceptor::builder().head_limits(HeadLimits {
        max_bytes: 8 * 1024,
        max_headers: 16,
    });
    start(server().acceptor(acceptor.build()), echo).await
}

/// What the server says last, if anything: the code of its GOAWAY.
async fn end(wire: &mut Wire) -> Option<u32> {
    let mut code = None;
    while let Some(frame) = wire.read().await {
        if frame.kind == GOAWAY {
            code = Some(frame.code());
        }
    }
    code
}

/// The value of `:status`, and the body, of the answer to a request.
async fn answer(wire: &mut Wire, id: u32) -> (String, String) {
    let head = wire.next(HEADERS).await;
    assert_eq!(head.id, id);
    let mut decoded = Vec::new();
    // Statuses that HPACK's table has come as an index, the others as a literal.
    let status = match head.payload.first().unwrap() {
        0x88 => "200".into(),
        0x8c => "400".into(),
        0x8d => "404".into(),
        0x8e => "500".into(),
        _ => String::from("?"),
    };
    while head.payload.len() < 2 || decoded.is_empty() {
        let data = wire.next(DATA).await;
        decoded.extend(data.payload);
        if data.flags & END_STREAM != 0 {
            break;
        }
    }
    (status, String::from_utf8(decoded).unwrap())
}

#[tokio::test]
async fn requests_that_open_nothing_get_their_answer_and_cost_no_connection() {
    let running = running().await;
    let mut wire = Wire::client(running.port).await;
    let with = |name: &str, value: &str| -> Vec<(String, String)> {
        let fields = OPENING.iter().filter(|(field, _)| *field != name);
        let mut fields: Vec<_> = fields.map(|(n, v)| ((*n).into(), (*v).into())).collect();
        if !value.is_empty() {
            let at = if name.starts_with(':') {
                0
            } else {
                fields.len()
            };
            fields.insert(at, (name.to_owned(), value.to_owned()));
        }
        fields
    };
    let many = OPENING.iter().copied().chain((0..16).map(|_| ("x", "y")));
    let many = many.map(|(n, v)| (n.to_owned(), v.to_owned()));
    let mut id = 1;
    for (fields, status, text) in [
        (with(":protocol", "connect-udp"), "?", "`:protocol` must be"),
        (with("sec-websocket-version", "8"), "400", "version 13"),
        (with("sec-websocket-version", ""), "400", "version 13"),
        (with(":authority", ""), "400", "one Host header"),
        (with(":authority", "a@b"), "400", "one Host header"),
        (with("host", "other"), "400", "one Host header"),
        (with(":scheme", "wss"), "400", "`:scheme` must be"),
        (with("content-length", "5"), "400", "no body"),
        (with("origin", "https://evil.example"), "?", "this origin"),
        (
            with("sec-websocket-protocol", "a, a"),
            "400",
            "different names",
        ),
        (
            with("sec-websocket-extensions", "a=\""),
            "400",
            "Extensions",
        ),
        (many.collect(), "?", "more than 16"),
    ] {
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        wire.headers(id, &fields).await;
        let (got, body) = answer(&mut wire, id).await;
        assert!(body.contains(text), "{fields:?}: {body}");
        assert_eq!(got, status, "{fields:?}");
        id += 2;
    }
    for (fields, text) in [
        (
            &[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "h"),
            ][..],
            "this is a WebSocket server",
        ),
        (
            &[(":method", "CONNECT"), (":authority", "h:1")],
            "this is no proxy",
        ),
    ] {
        wire.headers(id, fields).await;
        assert!(answer(&mut wire, id).await.1.contains(text), "{fields:?}");
        id += 2;
    }
    wire.headers(id, &OPENING).await;
    assert_eq!(wire.next(HEADERS).await.payload.first(), Some(&0x88));
}

#[tokio::test]
async fn a_request_that_is_malformed_is_reset_alone() {
    let running = running().await;
    let mut wire = Wire::client(running.port).await;
    let without = |name| -> Vec<_> { OPENING.into_iter().filter(|(n, _)| *n != name).collect() };
    let mut id = 1;
    for fields in [
        without(":scheme"),
        without(":path"),
        without(":method"),
        [&OPENING[..], &[("connection", "upgrade")]].concat(),
    ] {
        wire.headers(id, &fields).await;
        let reset = wire.next(RST_STREAM).await;
        assert_eq!(reset.id, id, "{fields:?}");
        id += 2;
    }
    wire.headers(id, &OPENING).await;
    assert_eq!(wire.next(HEADERS).await.id, id);
}

#[tokio::test]
async fn header_lists_are_bounded_in_bytes() {
    let running = running().await;
    let mut wire = Wire::client(running.port).await;
    let long = "x".repeat(9000);
    let fields = [&OPENING[..], &[("x", &*long)]].concat();
    wire.headers(1, &fields).await;
    // 431, which HPACK's table does not have.
    assert_eq!(wire.next(HEADERS).await.id, 1);
    // Far more of it costs the connection: four times the limit is no mistake any more.
    let fields: Vec<_> = (0..5).map(|_| ("x", &*long)).collect();
    let fields = block(&[&OPENING[..], &fields].concat());
    let (first, rest) = fields.split_at(16_000);
    wire.send(HEADERS, 0, 3, first).await;
    for piece in rest.chunks(16_000) {
        wire.send(CONTINUATION, 0, 3, piece).await;
    }
    let _ = wire
        .stream
        .write_all(&frame(CONTINUATION, END_HEADERS, 3, &[]))
        .await;
    assert!(end(&mut wire).await.is_some_and(|code| code != NO_ERROR));
}

#[tokio::test]
async fn continuation_frames_without_end_cost_the_connection() {
    let running = running().await;
    let mut wire = Wire::client(running.port).await;
    wire.send(HEADERS, 0, 1, &block(&OPENING)).await;
    // Of one byte each: few in bytes, many in frames.
    for _ in 0..1000 {
        if wire
            .stream
            .write_all(&frame(CONTINUATION, 0, 1, &[]))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(end(&mut wire).await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn rapid_resets_start_few_handlers_and_cost_the_connection() {
    let started = Arc::new(AtomicUsize::new(0));
    let running_now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let handler = {
        let (started, now, most) = (started.clone(), running_now.clone(), most.clone());
        move |socket| {
            started.fetch_add(1, SeqCst);
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            let now = now.clone();
            async move {
                echo(socket).await;
                now.fetch_sub(1, SeqCst);
            }
        }
    };
    let running = start(server(), handler).await;
    // https://nvd.nist.gov/vuln/detail/CVE-2023-44487
    let mut wire = Wire::client(running.port).await;
    let mut burst = Vec::new();
    for id in (1..100_000).step_by(2) {
        burst.extend(frame(HEADERS, END_HEADERS, id, &block(&OPENING)));
        burst.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    }
    let _ = soon(wire.stream.write_all(&burst)).await;
    assert_eq!(end(&mut wire).await, Some(ENHANCE_YOUR_CALM));
    assert!(started.load(SeqCst) < 1000, "{started:?}");

    // One by one, each after the answer to the one before: as many as there may be at a time.
    let mut wire = Wire::client(running.port).await;
    for id in (1..4000).step_by(2) {
        wire.headers(id, &OPENING).await;
        loop {
            let frame = wire.read().await.unwrap();
            if frame.id == id && matches!(frame.kind, HEADERS | RST_STREAM) {
                break;
            }
        }
        wire.reset(id, CANCEL).await;
    }
    assert!(most.load(SeqCst) <= 100, "{most:?}");
    until(|| running_now.load(SeqCst) == 0).await;
}

#[tokio::test]
async fn handlers_that_outlive_their_streams_count() {
    let started = Arc::new(AtomicUsize::new(0));
    let handler = {
        let started = started.clone();
        // Takes no notice of the end of its socket.
        move |_socket| {
            started.fetch_add(1, SeqCst);
            std::future::pending()
        }
    };
    let running = start(server(), handler).await;
    let mut wire = Wire::client(running.port).await;
    let mut refused = 0;
    for id in (1..400).step_by(2) {
        wire.headers(id, &OPENING).await;
        let answer = loop {
            let frame = wire.read().await.unwrap();
            if frame.id == id && matches!(frame.kind, HEADERS | RST_STREAM) {
                break frame;
            }
        };
        if answer.kind == RST_STREAM {
            assert_eq!(answer.code(), REFUSED_STREAM);
            refused += 1;
        } else {
            wire.reset(id, CANCEL).await;
        }
    }
    assert_eq!((started.load(SeqCst), refused), (100, 100));
}

#[tokio::test]
async fn pings_and_settings_without_end_are_answered_only_as_fast_as_the_answers_are_read() {
    let running = running().await;
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut wire = Wire::client(running.port).await;
        wire.headers(1, &OPENING).await;
        wire.next(HEADERS).await;
        let flood = flood.repeat(10_000);
        let (mut written, mut rest) = (0, &*flood);
        // Nothing is read here, so at some point nothing is read there: what the two sockets hold is all that there is.
        while let Ok(result) =
            tokio::time::timeout(Duration::from_millis(500), wire.stream.write(rest)).await
        {
            let count = result.unwrap();
            written += count;
            rest = &rest[count..];
            if rest.is_empty() {
                rest = &flood;
            }
            assert!(written < 256 << 20, "{written} bytes have been taken");
        }
        // Others are served meanwhile.
        let mut other = Wire::client(running.port).await;
        other.headers(1, &OPENING).await;
        other.next(HEADERS).await;
    }
}

#[tokio::test]
async fn empty_data_frames_without_end_cost_the_connection() {
    let running = running().await;
    let mut wire = Wire::client(running.port).await;
    wire.headers(1, &OPENING).await;
    let flood = frame(DATA, 0, 1, &[]).repeat(10_000);
    let _ = soon(wire.stream.write_all(&flood)).await;
    assert_eq!(end(&mut wire).await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn more_than_the_window_allows_ends_the_stream_or_the_connection() {
    let handler = |socket| async move {
        let _unread: WebSocket = socket;
        std::future::pending().await
    };
    let running = start(server(), handler).await;
    let mut wire = Wire::client(running.port).await;
    wire.headers(1, &OPENING).await;
    wire.next(HEADERS).await;
    for _ in 0..5 {
        let _ = wire
            .stream
            .write_all(&frame(DATA, 0, 1, &[0; 16_384]))
            .await;
    }
    // FLOW_CONTROL_ERROR
    let found = async {
        loop {
            match wire.read().await {
                Some(frame) if matches!(frame.kind, RST_STREAM | GOAWAY) => break frame.code(),
                Some(_) => {}
                None => panic!("it should have said why"),
            }
        }
    };
    assert_eq!(found.await, 3);
}

#[tokio::test]
async fn a_client_that_says_nothing_or_opens_nothing_is_dropped() {
    let acceptor = Acceptor::builder().handshake_timeout(Duration::from_millis(50));
    let running = start(server().acceptor(acceptor.build()), echo).await;
    let connect = || tokio::net::TcpStream::connect(("127.0.0.1", running.port));
    let mut half = Wire {
        stream: connect().await.unwrap(),
    };
    half.write(&PREFACE[..10]).await;
    assert_eq!(half.read().await, None);
    let mut wire = Wire::client(running.port).await;
    assert_eq!(end(&mut wire).await, Some(NO_ERROR));
    // In the middle of a request, too.
    let mut wire = Wire::client(running.port).await;
    wire.send(HEADERS, 0, 1, &block(&OPENING)).await;
    end(&mut wire).await;
}

#[tokio::test]
async fn requests_that_open_nothing_win_no_time() {
    let acceptor = Acceptor::builder()
        .handshake_timeout(Duration::from_millis(300))
        .origins(OriginPolicy::AllowList(Vec::new()));
    let config = Http2Config {
        idle: Duration::from_secs(3600),
        ..Http2Config::server()
    };
    let builder = Server::builder().http2(config);
    let running = start(builder.acceptor(acceptor.build()), echo).await;
    let mut wire = Wire::client(running.port).await;
    let evil = [&OPENING[..], &[("origin", "https://evil.example")]].concat();
    wire.headers(1, &evil).await;
    assert!(answer(&mut wire, 1).await.1.contains("this origin"));
    assert_eq!(end(&mut wire).await, Some(NO_ERROR));
}

#[tokio::test]
async fn what_comes_late_for_sockets_that_are_gone_costs_the_others_nothing() {
    let handler = |socket: WebSocket| async move {
        if socket.negotiated().resource == "/" {
            echo(socket).await;
        }
    };
    let running = start(server(), handler).await;
    let mut wire = Wire::client(running.port).await;
    wire.headers(1, &OPENING).await;
    wire.next(HEADERS).await;
    let gone = OPENING.map(|(name, value)| match name {
        ":path" => (name, "/gone"),
        _ => (name, value),
    });
    for id in (3..1003).step_by(2) {
        wire.headers(id, &gone).await;
        while wire.next(RST_STREAM).await.id != id {}
        for _ in 0..3 {
            wire.send(DATA, 0, id, b"late").await;
        }
    }
    // Masked with zeros.
    wire.send(DATA, 0, 1, b"\x82\x82\0\0\0\0hi").await;
    let echoed = wire.next(DATA).await;
    assert_eq!((echoed.id, &*echoed.payload), (1, &b"\x82\x02hi"[..]));
}

#[tokio::test]
async fn an_answer_that_is_too_long_fails_whatever_it_is_cut_into() {
    for (limits, interim) in [(2048, true), (2048, false)] {
        let raw = Raw::new().await;
        let client = Client::builder()
            .http2(known())
            .head_limits(HeadLimits {
                max_bytes: limits,
                max_headers: 100,
            })
            .build();
        let connecting = raw.connect(&client);
        let mut wire = raw.accept().await;
        let id = wire.next(HEADERS).await.id;
        let long = "x".repeat(1000);
        if interim {
            for _ in 0..3 {
                wire.headers(id, &[(":status", "103"), ("link", &long)])
                    .await;
            }
        } else {
            let fields = [(":status", "200"), ("a", &long), ("b", &long), ("c", &long)];
            wire.headers(id, &fields).await;
        }
        let error = soon(connecting).await.unwrap().unwrap_err();
        let expected = if interim {
            matches!(
                error,
                ConnectError::Handshake {
                    source: HandshakeError::Head(HeadError::TooLong { limit: 2048 }),
                    ..
                }
            )
        } else {
            error
                .to_string()
                .contains("broke the rules of HTTP/2 on this stream")
        };
        assert!(expected, "{error}");
    }
}

#[tokio::test]
async fn too_many_headers_and_wrong_answers_fail() {
    let raw = Raw::new().await;
    let client = Client::builder()
        .http2(known())
        .head_limits(HeadLimits {
            max_headers: 4,
            ..HeadLimits::default()
        })
        .build();
    let connecting = raw.connect(&client);
    let mut wire = raw.accept().await;
    let id = wire.next(HEADERS).await.id;
    let fields = [
        (":status", "200"),
        ("a", "1"),
        ("a", "1"),
        ("a", "1"),
        ("a", "1"),
        ("a", "1"),
    ];
    wire.headers(id, &fields).await;
    let mut errors = vec![(connecting, "more than 4 header fields")];
    for (fields, text) in [
        (
            &[(":status", "200"), ("sec-websocket-protocol", "x")][..],
            "which was not asked for",
        ),
        (
            &[(":status", "200"), ("sec-websocket-extensions", "x")],
            "which was not offered",
        ),
        (
            &[(":status", "301"), ("location", "/x")],
            "the server redirects (301)",
        ),
        (&[(":status", "404")], "404 instead of 200"),
        (&[("x", "no status")], "broke the rules"),
    ] {
        let connecting = raw.connect(&client);
        let id = wire.next(HEADERS).await.id;
        wire.headers(id, fields).await;
        errors.push((connecting, text));
    }
    for (connecting, text) in errors {
        let error = soon(connecting).await.unwrap().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn a_server_pushes_nothing() {
    let raw = Raw::new().await;
    let connecting = raw.connect(&client());
    let mut wire = raw.accept().await;
    let id = wire.open().await;
    let mut socket = soon(connecting).await.unwrap().unwrap();
    let promise = [&2u32.to_be_bytes()[..], &block(&[(":method", "GET")])].concat();
    wire.send(PUSH_PROMISE, END_HEADERS, id, &promise).await;
    let error = soon(socket.next()).await.unwrap_err();
    assert!(error.to_string().contains("PROTOCOL_ERROR"), "{error}");
}
