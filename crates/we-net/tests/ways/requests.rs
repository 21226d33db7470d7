//! What goes out with a request and is not the request's own: the operator's headers, credentials of
//! the URL, cookies.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use we_net::Client;
use we_net::cookies::MemoryJar;
use we_net::handshake::WebSocketUrl;

use crate::common::{header, read_head, soon};

/// A server that shows the heads of requests and answers each with `answer`.
async fn recorder(answer: &'static str) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            sender.send(read_head(&mut stream).await).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, heads)
}

/// The head of the request that `client` sends to `url`.
async fn sent(client: &Client, url: &str, heads: &mut mpsc::UnboundedReceiver<String>) -> String {
    assert!(soon(client.connect(url)).await.is_err());
    soon(heads.recv()).await.unwrap()
}

const NO: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn the_operators_headers_go_where_they_belong() {
    let (port, mut heads) = recorder(NO).await;
    let (here, there) = (format!("ws://127.0.0.1:{port}/x"), "ws://other.example/");
    let here_url = WebSocketUrl::parse(&here, None).unwrap();
    let there_url = WebSocketUrl::parse(there, None).unwrap();
    let client = Client::builder()
        .header("User-Agent", "test/1")
        .unwrap()
        .header_for(&here_url, "X-Token", "for here")
        .unwrap()
        .header_for(&there_url, "X-Token", "for there")
        .unwrap()
        .build();
    let head = sent(&client, &here, &mut heads).await;
    assert_eq!(header(&head, "User-Agent"), Some("test/1"));
    assert_eq!(header(&head, "X-Token"), Some("for here"));
    // HTTP requests too.
    let url = format!("http://127.0.0.1:{port}/y");
    let response = soon(client.get(&url).unwrap().send()).await.unwrap();
    assert_eq!(response.status, 401);
    let head = soon(heads.recv()).await.unwrap();
    assert_eq!(header(&head, "user-agent"), Some("test/1"));
    assert_eq!(header(&head, "x-token"), Some("for here"));
    // A request's own header takes the place.
    let own = client
        .request(&here)
        .unwrap()
        .header("x-token", "mine")
        .unwrap();
    assert!(soon(own.connect()).await.is_err());
    let head = soon(heads.recv()).await.unwrap();
    assert_eq!(head.matches("oken: ").count(), 1, "{head}");
    assert_eq!(header(&head, "x-token"), Some("mine"));
}

/// As in web-platform-tests, websockets/basic-auth.any.js.
#[tokio::test]
async fn credentials_of_the_url_are_sent_at_once_unless_a_header_says_otherwise() {
    let (port, mut heads) = recorder(NO).await;
    let url = format!("ws://foo:bar@127.0.0.1:{port}/");
    let head = sent(&Client::default(), &url, &mut heads).await;
    assert_eq!(header(&head, "Authorization"), Some("Basic Zm9vOmJhcg=="));
    assert!(!head.contains("foo"), "{head}");
    let client = Client::builder()
        .header("authorization", "Bearer x")
        .unwrap()
        .build();
    let head = sent(&client, &url, &mut heads).await;
    assert_eq!(header(&head, "Authorization"), Some("Bearer x"));
    assert_eq!(
        head.to_ascii_lowercase().matches("authorization:").count(),
        1,
        "{head}"
    );
}

#[tokio::test]
async fn cookies_are_kept_and_given_back() {
    // Also an answer that opens nothing sets cookies.
    let (port, mut heads) =
        recorder("HTTP/1.1 403 No\r\nSet-Cookie: id=1; HttpOnly\r\nset-cookie: n=2\r\n\r\n").await;
    let url = format!("ws://127.0.0.1:{port}/");
    let client = Client::builder().cookies(MemoryJar::new()).build();
    let head = sent(&client, &url, &mut heads).await;
    assert_eq!(header(&head, "Cookie"), None);
    let head = sent(&client, &url, &mut heads).await;
    let mut cookies: Vec<_> = header(&head, "Cookie").unwrap().split("; ").collect();
    cookies.sort_unstable();
    assert_eq!(cookies, ["id=1", "n=2"]);
    // A page of another host gets none of them sent.
    let foreign = client
        .request(&url)
        .unwrap()
        .origin("https://evil.example")
        .unwrap();
    assert!(soon(foreign.connect()).await.is_err());
    assert_eq!(header(&soon(heads.recv()).await.unwrap(), "Cookie"), None);
    // Without a jar there are none.
    let head = sent(&Client::default(), &url, &mut heads).await;
    assert_eq!(header(&head, "Cookie"), None);
}
