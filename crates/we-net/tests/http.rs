//! The HTTP client against servers of raw bytes: what is sent, how bodies end, and what becomes of
//! servers that do not do what they should.
#![allow(clippy::unwrap_used)]

mod common;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Authority, authority, header, raw_server, read_head, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use we_net::handshake::{HeadError, HeadLimits, HeaderError};
use we_net::http::{RedirectError, Response};
use we_net::transport::{ConnectError, Resolver, TlsConfig};
use we_net::{Client, ConnectTimeouts, HttpError};

/// A server that reads one request and sends `answer`, then hangs up.
async fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    http_server(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

/// A server for one connection.
async fn http_server<F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    raw_server(script).await.replace("ws://", "http://")
}

/// A server that answers each connection with what `answer` makes of the request's head; the heads
/// come out of the receiver.
async fn pages(
    host: &str,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            let answer = answer(&head);
            let _ = send.send(head);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, heads)
}

fn found(location: impl std::fmt::Display) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

async fn get(url: &str) -> Result<Response, HttpError> {
    get_by(&Client::default(), url).await
}

async fn get_by(client: &Client, url: &str) -> Result<Response, HttpError> {
    soon(client.get(url)?.send()).await
}

/// Head and body at once.
async fn load(url: &str) -> Result<Vec<u8>, HttpError> {
    soon(get(url).await?.body.collect(1 << 20)).await
}

#[tokio::test]
async fn the_request_says_what_it_should() {
    let (address, mut heads) = pages("127.0.0.1", |_| ok("x")).await;
    let client = Client::default();
    let url = format!("http://{address}/a%20b/[c]|^?q='`{{}}\"&#fragment");
    let request = client.get(&url).unwrap().header("X-Mine", "ä").unwrap();
    let response = soon(request.send()).await.unwrap();
    assert!(response.url.as_str().ends_with("#fragment") && !response.redirected);
    let head = soon(heads.recv()).await.unwrap();
    let target = "GET /a%20b/[c]|^?q=%27`{}%22& HTTP/1.1";
    assert_eq!(head.lines().next(), Some(target));
    let version = env!("CARGO_PKG_VERSION");
    for (name, value) in [
        ("Host", address.to_string()),
        ("Accept", "*/*".into()),
        ("Accept-Encoding", "identity".into()),
        ("Connection", "close".into()),
        ("User-Agent", format!("we/{version}")),
        ("X-Mine", "ä".into()),
    ] {
        assert_eq!(header(&head, name), Some(value.as_str()), "{head}");
    }
    for name in [
        "Authorization",
        "Origin",
        "Content-Length",
        "Transfer-Encoding",
    ] {
        assert_eq!(header(&head, name), None, "{head}");
    }
}

#[tokio::test]
async fn the_callers_headers_take_the_place_of_defaults() {
    let (address, mut heads) = pages("127.0.0.1", |_| ok("x")).await;
    let url = format!("http://user:se%20cret@{address}/?");
    let client = Client::default();
    soon(client.get(&url).unwrap().send()).await.unwrap();
    let head = soon(heads.recv()).await.unwrap();
    assert_eq!(
        header(&head, "authorization"),
        Some("Basic dXNlcjpzZSBjcmV0")
    );
    assert!(head.starts_with("GET /? HTTP/1.1\r\n"), "{head}");
    let mut request = client.get(&url).unwrap();
    for (name, value) in [
        ("accept", "text/event-stream"),
        ("user-agent", "me"),
        ("authorization", "Bearer x"),
        ("origin", "https://page.example"),
    ] {
        request = request.header(name, value).unwrap();
    }
    assert!(!format!("{request:?}").contains("cret"), "{request:?}");
    soon(request.send()).await.unwrap();
    let head = soon(heads.recv()).await.unwrap().to_ascii_lowercase();
    for line in [
        "accept: text/event-stream",
        "user-agent: me",
        "authorization: bearer x",
        "origin: https://page.example",
    ] {
        let name = line.split_once(": ").unwrap().0;
        let lines: Vec<&str> = head
            .lines()
            .filter(|l| l.split(':').next() == Some(name))
            .collect();
        assert_eq!(lines, [line]);
    }
}

#[tokio::test]
async fn headers_that_are_not_the_callers_are_refused() {
    let request = Client::default().get("http://h/").unwrap();
    for name in [
        "Host",
        "connection",
        "Content-Length",
        "Accept-Encoding",
        "Transfer-Encoding",
    ] {
        let error = request.clone().header(name, "x").unwrap_err();
        assert!(
            matches!(error, HttpError::Header(HeaderError::Reserved(_))),
            "{error}"
        );
    }
    assert!(request.header("X", "a\r\nHost: b").is_err());
}

#[tokio::test]
async fn any_status_is_an_answer() {
    for status in [200, 204, 301, 304, 404, 500, 999] {
        let url = answering(format!("HTTP/1.1 {status}\r\nX-A: 1\r\nx-a: 2\r\n\r\n")).await;
        let response = get(&url).await.unwrap();
        assert_eq!(response.status, status);
        let values: Vec<_> = response.headers.values("X-A").collect();
        assert_eq!(values, [b"1", b"2"]);
        assert_eq!(soon(response.body.collect(0)).await.unwrap(), b"");
    }
}

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

#[tokio::test]
async fn a_silent_server_runs_into_the_head_timeout() {
    // One says nothing, one begins and stops, one goes on for ever with interim answers.
    for (begin, again) in [
        ("", ""),
        ("HTTP/1.1 200 OK\r\nX: ", ""),
        ("", "HTTP/1.1 103 x\r\n\r\n"),
    ] {
        let url = http_server(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(begin.as_bytes()).await.unwrap();
            while !again.is_empty() && stream.write_all(again.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let timeouts = ConnectTimeouts {
            handshake: Duration::from_millis(50),
            ..ConnectTimeouts::default()
        };
        let client = Client::builder().timeouts(timeouts).build();
        let error = get_by(&client, &url).await.unwrap_err();
        assert!(matches!(error, HttpError::HeadTimeout { .. }), "{error}");
        assert!(error.to_string().contains("within 0.05 s"), "{error}");
    }
}

#[tokio::test]
async fn a_head_over_the_limits_is_refused() {
    let limits = HeadLimits {
        max_bytes: 200,
        max_headers: 3,
    };
    let client = Client::builder().head_limits(limits).build();
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
    let exact = 200 - start.len() - "\r\n\r\n".len();
    let field = |length: usize| format!("{start}{}\r\n\r\n", "x".repeat(length));
    let fields = |n: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n",
            "A: b\r\n".repeat(n)
        )
    };
    let interim = "HTTP/1.1 103 x\r\n\r\n".repeat(1000);
    for (answer, expected) in [
        (field(exact), None),
        (field(exact + 1), Some(HeadError::TooLong { limit: 200 })),
        (field(1 << 20), Some(HeadError::TooLong { limit: 200 })),
        (fields(2), None),
        (fields(3), Some(HeadError::TooManyHeaders { limit: 3 })),
        (fields(30), Some(HeadError::TooManyHeaders { limit: 3 })),
        (interim, Some(HeadError::TooLong { limit: 200 })),
    ] {
        let answer = answering(answer).await;
        match (get_by(&client, &answer).await, expected) {
            (Ok(response), None) => assert_eq!(response.status, 200),
            (Err(HttpError::Head { source, .. }), Some(expected)) => assert_eq!(source, expected),
            (other, expected) => panic!("{other:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn the_limit_on_heads_is_none_on_bodies() {
    let limits = HeadLimits {
        max_bytes: 200,
        max_headers: 3,
    };
    let client = Client::builder().head_limits(limits).build();
    let response = get_by(&client, &answering(ok(&"x\n".repeat(50_000))).await)
        .await
        .unwrap();
    assert_eq!(
        soon(response.body.collect(100_000)).await.unwrap().len(),
        100_000
    );
}

#[tokio::test]
async fn another_protocol_or_none_is_told_apart() {
    for answer in [
        "SSH-2.0-x\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxx",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ] {
        let error = load(&answering(answer).await).await.unwrap_err();
        assert!(
            matches!(error, HttpError::NotHttp { .. }),
            "{answer}: {error}"
        );
    }
    for (answer, started) in [
        ("", false),
        ("HTTP/1.1 20", true),
        ("HTTP/1.1 200 OK\r\nX: ", true),
    ] {
        let error = load(&answering(answer).await).await.unwrap_err();
        let HttpError::Ended { started: told, .. } = error else {
            panic!("{answer}: {error}")
        };
        assert_eq!(told, started, "{answer}");
    }
}

#[tokio::test]
async fn redirects_are_followed_to_the_end() {
    let (address, mut heads) = pages("127.0.0.1", |head| match head.split(' ').nth(1) {
        Some("/start") => found("second?x"),
        Some("/second?x") => found("//localhost:0/third").replace(":0", ""),
        Some("/third") => found("/end#new"),
        _ => ok("done"),
    })
    .await;
    let client = Client::builder()
        .resolver(Resolver::fixed([address]))
        .build();
    let url = format!("http://{address}/start#old");
    let request = client.get(&url).unwrap().header("Cookie", "a=b").unwrap();
    let response = soon(request.send()).await.unwrap();
    assert_eq!(response.url.as_str(), "http://localhost/end#new");
    assert!(response.redirected);
    assert_eq!(soon(response.body.collect(10)).await.unwrap(), b"done");
    let mut seen = Vec::new();
    while let Ok(head) = heads.try_recv() {
        let of = |name| header(&head, name).map(str::to_owned);
        seen.push((of("host").unwrap(), of("cookie").is_some()));
    }
    let address = address.to_string();
    let (own, other) = ((address, true), ("localhost".to_owned(), false));
    assert_eq!(seen, [own.clone(), own, other.clone(), other]);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let (address, mut heads) = pages("127.0.0.1", |_| found("/again")).await;
    let error = load(&format!("http://{address}/")).await.unwrap_err();
    let HttpError::Redirect { source, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*source, RedirectError::TooMany);
    assert!(
        error.to_string().contains("redirect in a circle"),
        "{error}"
    );
    let mut count = 0;
    while heads.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 21);
}

#[tokio::test]
async fn redirects_to_blocked_ports_and_other_schemes_are_not_followed() {
    let (address, _heads) = pages("127.0.0.1", |head| match head.split(' ').nth(1) {
        Some("/port") => found("http://127.0.0.1:6667/"),
        _ => found("file:///etc/passwd"),
    })
    .await;
    let error = load(&format!("http://{address}/port")).await.unwrap_err();
    assert!(
        matches!(error, HttpError::Connect(ConnectError::BadPort(6667))),
        "{error}"
    );
    let error = load(&format!("http://{address}/")).await.unwrap_err();
    assert!(
        error.to_string().contains("redirects, but `file:`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_can_be_taken_by_hand() {
    let (address, _heads) = pages("::1", |_| found("/next")).await;
    let request = Client::default().get(format!("http://{address}/")).unwrap();
    let response = soon(request.send_once()).await.unwrap();
    assert_eq!((response.status, response.redirected), (302, false));
    let next = request.redirected(&response).unwrap().unwrap();
    assert_eq!(next.url().path(), "/next");
    assert!(soon(next.send_once()).await.unwrap().redirected);
}

/// Sends one answer over TLS, with or without the alert that says that it is complete.
async fn tls_server(authority: &Authority, answer: &'static str, goodbye: bool) -> String {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(authority.key_pem.as_bytes()).unwrap(),
        );
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config.unwrap()));
    let url = raw_server(move |stream| async move {
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return;
        };
        read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        if goodbye {
            stream.shutdown().await.unwrap();
        }
        // FIN without the alert, whatever comes back.
        let mut tcp = stream.into_inner().0;
        tcp.shutdown().await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    url.await.replace("ws://", "https://")
}

#[tokio::test]
async fn tls_is_checked_as_for_websocket() {
    let authority = authority(&["127.0.0.1"]);
    let client = Client::builder().tls(authority.client()).build();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let url = tls_server(&authority, answer, false).await;
    let body = get_by(&client, &url).await.unwrap().body;
    assert_eq!(soon(body.collect(5)).await.unwrap(), b"hello");

    let url = tls_server(&authority, answer, false).await;
    let error = load(&url).await.unwrap_err();
    assert!(
        matches!(error, HttpError::Connect(ConnectError::Tls { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("authority that is not trusted"),
        "{error}"
    );

    let tls = TlsConfig::dangerous_accept_any_certificate().unwrap();
    let url = tls_server(&authority, answer, false).await;
    assert!(
        get_by(&Client::builder().tls(tls).build(), &url)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_body_cut_off_under_tls_is_an_error() {
    let authority = authority(&["127.0.0.1"]);
    let client = Client::builder().tls(authority.client()).build();
    // Only the alert tells the end of the body from an attacker's FIN.
    for (goodbye, whole) in [(true, true), (false, false)] {
        let url = tls_server(&authority, "HTTP/1.1 200 OK\r\n\r\nhello", goodbye).await;
        let body = get_by(&client, &url).await.unwrap().body;
        match (soon(body.collect(5)).await, whole) {
            (Ok(body), true) => assert_eq!(body, b"hello"),
            (Err(HttpError::BodyEnded { .. }), false) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn blocked_ports_and_other_schemes_are_not_asked() {
    // Were it dialled, the error would be another one: a refusal, or a timeout.
    let error = load("http://127.0.0.1:6667/").await.unwrap_err();
    assert!(
        matches!(error, HttpError::Connect(ConnectError::BadPort(6667))),
        "{error}"
    );
    let client = Client::default();
    for url in ["ws://h/", "file:///x", "data:,x", "blob:http://h/1"] {
        assert!(
            matches!(client.get(url), Err(HttpError::Scheme(_))),
            "{url}"
        );
    }
    for url in ["", "/x", "http://", "http://h:99999/"] {
        assert!(
            matches!(client.get(url), Err(HttpError::Url { .. })),
            "{url}"
        );
    }
    let long = format!("http://127.0.0.1:9999/{}", "x".repeat(70_000));
    let error = load(&long).await.unwrap_err();
    assert!(matches!(error, HttpError::Unsendable { .. }), "{error}");
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

#[tokio::test]
async fn names_are_looked_up_and_refusals_told() {
    let (address, _heads) = pages("127.0.0.1", |_| ok("here")).await;
    let url = format!("http://localhost:{}/", address.port());
    assert_eq!(load(&url).await.unwrap(), b"here");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = load(&url).await.unwrap_err();
    assert!(
        error.to_string().contains("nothing listens there"),
        "{error}"
    );
}

/// Everything may move between threads.
#[test]
fn requests_and_bodies_are_send() {
    fn is_send<T: Send>(_: T) {}
    is_send(Client::default().get("http://h/").unwrap().send());
    fn body_is_send(mut body: we_net::http::Body) {
        is_send(async move { body.chunk().await });
    }
    let _ = body_is_send;
}
