//! The listening server against clients that were written by hand, and how it ends.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use common::{header, read_head, request, soon, start, start_echo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use we_net::handshake::{OriginPolicy, Rejection};
use we_net::server::{UpgradeError, echo};
use we_net::{Acceptor, Server, WebSocket};

/// Sends `bytes` to the server at `port` and returns all that it answers until it closes the
/// connection.
async fn answer(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn requests_that_are_no_handshake_get_their_status_and_no_hang() {
    let server = start_echo().await;
    let good = request("/", server.port, "");
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 426),
        (good.replace("GET", "POST"), 405),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 505),
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace("dGhl", ""), 400),
        (good.replace("Host", "X-Host"), 400),
        (
            request("/", server.port, "Content-Length: 5\r\n") + "hello",
            400,
        ),
        (
            request("/", server.port, "Origin: https://evil.example\r\n"),
            403,
        ),
        (format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(100_000)), 431),
        ("\r\n".repeat(100_000), 431),
        ("\x16\x03\x01".to_owned() + "\0", 400),
    ] {
        let answer = answer(server.port, request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:.200}: {answer}"
        );
        assert_eq!(
            header(&answer, "sec-websocket-version").is_some(),
            status == 426,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn frames_behind_the_request_are_not_lost() {
    let server = start_echo().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let mut bytes = request("/", server.port, "").into_bytes();
    bytes.extend(b"\x81\x82\0\0\0\0hi");
    stream.write_all(&bytes).await.unwrap();
    let head = soon(read_head(&mut stream)).await;
    assert_eq!(
        header(&head, "sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    let mut echoed = [0; 4];
    soon(stream.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"\x81\x02hi");
}

#[tokio::test]
async fn a_client_that_says_nothing_runs_into_the_handshake_timeout() {
    let acceptor = Acceptor::builder()
        .handshake_timeout(Duration::from_millis(50))
        .build();
    let server = start(Server::builder().acceptor(acceptor), echo).await;
    assert_eq!(answer(server.port, b"").await, "");
    assert_eq!(answer(server.port, b"GET / HTTP/1.1\r\n").await, "");
}

#[tokio::test(start_paused = true)]
async fn the_handshake_timeout_is_told() {
    let (_client, stream) = tokio::io::duplex(64);
    let error = Acceptor::default().accept(stream).await.unwrap_err();
    assert!(
        matches!(error, UpgradeError::Timeout(limit) if limit == Duration::from_secs(10)),
        "{error}"
    );
}

#[tokio::test]
async fn origins_of_the_same_host_or_of_the_list_pass() {
    let list = OriginPolicy::AllowList(vec!["https://chat.example".into()]);
    for (policy, origin, passes) in [
        (OriginPolicy::SameHost, "http://127.0.0.1:PORT", true),
        (OriginPolicy::SameHost, "http://127.0.0.1", false),
        (OriginPolicy::SameHost, "null", false),
        (list.clone(), "https://chat.example", true),
        (list.clone(), "http://127.0.0.1:PORT", false),
        (OriginPolicy::Any, "https://evil.example", true),
    ] {
        let acceptor = Acceptor::builder().origins(policy.clone()).build();
        let server = start(Server::builder().acceptor(acceptor), echo).await;
        let origin = origin.replace("PORT", &server.port.to_string());
        let request = we_net::Client::default()
            .request(&server.url)
            .unwrap()
            .origin(&origin)
            .unwrap();
        let result = soon(request.connect()).await;
        assert_eq!(result.is_ok(), passes, "{policy:?}, {origin}");
    }
}

#[tokio::test]
async fn a_check_of_the_callers_can_reject() {
    let acceptor = Acceptor::builder()
        .check(|request| match request.resource.as_str() {
            "/chat" => Ok(()),
            _ => Err(Rejection::new(404, "only /chat")),
        })
        .build();
    let server = start(Server::builder().acceptor(acceptor), echo).await;
    let answer = answer(server.port, request("/other", server.port, "").as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 404 Not Found\r\n") && answer.ends_with("only /chat\n"),
        "{answer}"
    );
    assert!(
        soon(we_net::connect(format!("{}chat", server.url)))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn shutdown_closes_every_connection_with_1001_and_stops_listening() {
    let server = start_echo().await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = soon(we_net::connect(&server.url)).await.unwrap();
        // The handler runs once a message has come back.
        socket.send("x").await.unwrap();
        soon(socket.next()).await.unwrap();
        sockets.push(socket);
    }
    // One client is still in its handshake.
    let mut waiting = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    server.handle.shutdown(Duration::from_secs(30));
    for socket in &mut sockets {
        assert_eq!(soon(socket.next()).await.unwrap(), None);
        let closure = socket.closure().unwrap();
        assert_eq!((closure.clean, closure.code), (true, 1001));
    }
    // It is dropped: orderly, or by a reset if it had not even been accepted.
    assert_eq!(soon(waiting.read(&mut [0])).await.unwrap_or(0), 0);
    soon(server.serving).await.unwrap();
    assert!(
        TcpStream::connect(("127.0.0.1", server.port))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn shutdown_drops_what_does_not_end_in_time() {
    let (report, mut reported) = mpsc::unbounded_channel();
    let server = start(Server::builder(), move |socket: WebSocket| {
        report.send(()).unwrap();
        async move {
            // Deaf to everything.
            let _socket = socket;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let mut socket = soon(we_net::connect(&server.url)).await.unwrap();
    soon(reported.recv()).await.unwrap();
    server.handle.shutdown(Duration::from_millis(50));
    soon(server.serving).await.unwrap();
    // The Close frame was written all the same.
    let _ = soon(socket.next()).await;
    assert_eq!(socket.closure().unwrap().code, 1001);
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let (active, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (Arc::clone(&active), Arc::clone(&most));
    let server = start(
        Server::builder().max_connections(2),
        move |socket: WebSocket| {
            let (active, most) = (Arc::clone(&counted), Arc::clone(&highest));
            async move {
                most.fetch_max(active.fetch_add(1, Relaxed) + 1, Relaxed);
                echo(socket).await;
                active.fetch_sub(1, Relaxed);
            }
        },
    )
    .await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let url = server.url.clone();
        clients.spawn(async move {
            let mut socket = we_net::connect(&url).await.unwrap();
            // Long enough for the others to come in, if they were let.
            for _ in 0..20 {
                socket.send("x").await.unwrap();
                socket.next().await.unwrap();
            }
            socket.close(None).await;
        });
    }
    soon(clients.join_all()).await;
    assert_eq!(most.load(Relaxed), 2);
}

#[tokio::test]
async fn a_rejected_client_may_finish_what_it_was_saying() {
    let (mut client, stream) = tokio::io::duplex(1024);
    let accepting = tokio::spawn(async move { Acceptor::default().accept(stream).await });
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    // Nobody wants the body, but it does not run into a reset.
    soon(client.write_all(&[0; 30_000])).await.unwrap();
    drop(client);
    assert!(matches!(
        soon(accepting).await.unwrap(),
        Err(UpgradeError::Rejected(_))
    ));
}

#[tokio::test]
async fn a_handler_that_panics_takes_only_its_own_connection() {
    let server = start(Server::builder(), |mut socket: WebSocket| async move {
        let message = socket.next().await.unwrap().unwrap();
        assert_ne!(message.as_text(), Some("panic"), "as this test wants it");
        socket.send(message).await.unwrap();
        echo(socket).await;
    })
    .await;
    let mut good = soon(we_net::connect(&server.url)).await.unwrap();
    let mut bad = soon(we_net::connect(&server.url)).await.unwrap();
    bad.send("panic").await.unwrap();
    assert!(soon(bad.next()).await.is_err());
    good.send("x").await.unwrap();
    assert_eq!(soon(good.next()).await.unwrap(), Some("x".into()));
}

#[tokio::test]
async fn every_echo_comes_before_the_answer_to_a_close_in_the_same_segment() {
    let server = start_echo().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    let handshake = request("/", server.port, "");
    let message = b"\x81\x82\0\0\0\0hi";
    let close = b"\x88\x82\0\0\0\0\x03\xe8";
    // With the handshake, or after it: whoever reads them first.
    let frames = [&message.repeat(3)[..], close].concat();
    let first = [handshake.as_bytes(), &frames].concat();
    stream.write_all(&first).await.unwrap();
    soon(read_head(&mut stream)).await;
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(
        answer,
        [&b"\x81\x02hi".repeat(3)[..], b"\x88\x02\x03\xe8"].concat()
    );

    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    stream.write_all(handshake.as_bytes()).await.unwrap();
    soon(read_head(&mut stream)).await;
    stream.write_all(&frames).await.unwrap();
    // The peer's half ends right behind its Close frame.
    stream.shutdown().await.unwrap();
    let mut again = Vec::new();
    soon(stream.read_to_end(&mut again)).await.unwrap();
    assert_eq!(again, answer);
}

#[tokio::test]
async fn connections_are_shared_out_among_threads_and_end_together() {
    let threads = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let seen = Arc::clone(&threads);
    let builder = Server::builder().max_connections(100);
    let server = builder.bind("127.0.0.1:0").await.unwrap();
    let (url, handle) = (server.url(), server.handle());
    // The first thread that has a socket is kept busy until another one has one too.
    let both = Arc::new(std::sync::Barrier::new(2));
    let handler = move |mut socket: WebSocket| {
        let (seen, both) = (Arc::clone(&seen), Arc::clone(&both));
        async move {
            seen.lock().unwrap().insert(std::thread::current().id());
            both.wait();
            while let Ok(Some(message)) = socket.next().await {
                let _ = socket.send(message).await;
            }
        }
    };
    let serving = tokio::spawn(server.serve_on_threads(2.try_into().unwrap(), handler));
    let mut sockets = Vec::new();
    for _ in 0..2 {
        sockets.push(soon(we_net::connect(&url)).await.unwrap());
    }
    for socket in &mut sockets {
        soon(socket.send("hello")).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap(), Some("hello".into()));
    }
    assert_eq!(threads.lock().unwrap().len(), 2);
    assert_eq!(handle.stats().open, 2);
    handle.shutdown(Duration::from_secs(60));
    for socket in &mut sockets {
        assert_eq!(soon(socket.next()).await.unwrap(), None);
        assert_eq!(socket.closure().unwrap().code, 1001);
    }
    soon(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_on_threads_that_is_dropped_lets_go_of_its_connections_and_its_address() {
    let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
    let url = server.url();
    let serving = tokio::spawn(server.serve_on_threads(2.try_into().unwrap(), echo));
    let mut socket = soon(we_net::connect(&url)).await.unwrap();
    serving.abort();
    assert!(soon(socket.next()).await.is_err());
    // The threads end in their own time.
    soon(async {
        while we_net::connect(&url).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
