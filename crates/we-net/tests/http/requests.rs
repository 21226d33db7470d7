//! What is sent, where to, and where redirects lead.

use std::time::Duration;

use tokio::net::TcpListener;
use we_net::client::ConnectTimeouts;
use we_net::handshake::HeaderError;
use we_net::http::RedirectError;
use we_net::transport::{ConnectError, Resolver};
use we_net::{Client, HttpError};

use crate::common::{header, soon};
use crate::support::{found, load, ok, pages};

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

#[tokio::test]
async fn a_time_limit_may_be_of_any_length() {
    let (address, _heads) = pages("127.0.0.1", |_| ok("x")).await;
    let client = Client::builder()
        .timeouts(ConnectTimeouts {
            connect: Duration::MAX,
            handshake: Duration::MAX,
        })
        .build();
    let url = format!("http://{address}/");
    let response = soon(client.get(&url).unwrap().send()).await.unwrap();
    assert_eq!(response.status, 200);
}
