//! HTTP and SOCKS5 proxies, honest and otherwise.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use we_net::proxy::{NoProxy, Proxies, Proxy};
use we_net::server::echo;
use we_net::transport::{ConnectError, Resolver, TlsConfig};
use we_net::{Client, ConnectTimeouts, Server};

use crate::common::{authority, read_head, soon, start, start_echo};

/// A proxy that leads every tunnel to one server, and tells what it was asked.
struct TestProxy {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<String>,
}

/// Answers `CONNECT` as it should be answered.
async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    server: SocketAddr,
    asked: mpsc::UnboundedSender<String>,
) {
    asked.send(read_head(&mut stream).await).unwrap();
    let mut upstream = TcpStream::connect(server).await.unwrap();
    stream
        .write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        .await
        .unwrap();
    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
}

/// Answers SOCKS5 with login as it should be answered.
async fn serve_socks(
    mut stream: TcpStream,
    server: SocketAddr,
    asked: mpsc::UnboundedSender<String>,
) {
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, [5, 2, 0, 2]);
    stream.write_all(&[5, 2]).await.unwrap();
    let mut login = [0; 3 + 4 + 6];
    stream.read_exact(&mut login).await.unwrap();
    assert_eq!(&login, b"\x01\x04user\x06secret");
    stream.write_all(&[1, 0]).await.unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..3], [5, 1, 0]);
    let len = match head[3] {
        1 => 4,
        3 => stream.read_u8().await.unwrap(),
        kind => panic!("address of kind {kind}"),
    };
    let mut target = vec![0; usize::from(len)];
    stream.read_exact(&mut target).await.unwrap();
    let port = stream.read_u16().await.unwrap();
    let target = if head[3] == 1 {
        format!("{target:?}:{port}")
    } else {
        format!("{}:{port}", String::from_utf8(target).unwrap())
    };
    asked.send(target).unwrap();
    let mut upstream = TcpStream::connect(server).await.unwrap();
    stream
        .write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])
        .await
        .unwrap();
    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
}

async fn start_proxy<F>(
    serve: impl Fn(TcpStream, mpsc::UnboundedSender<String>) -> F + Send + 'static,
) -> TestProxy
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, sender.clone()));
        }
    });
    TestProxy { address, asked }
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn through(proxy: &str) -> Proxies {
    Proxies::all(Proxy::parse(proxy).unwrap())
}

async fn exchange(client: &Client, url: &str) {
    let mut socket = soon(client.connect(url)).await.unwrap();
    socket.send("through").await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some("through".into()));
    assert!(soon(socket.close(None)).await.clean);
}

#[tokio::test]
async fn an_http_proxy_leads_to_names_that_only_it_knows() {
    let server = start_echo().await;
    let target = loopback(server.port);
    let mut proxy = start_proxy(move |stream, asked| serve_http(stream, target, asked)).await;
    let proxies = through(&format!("http://us%40er:secret@{}", proxy.address));
    let client = Client::builder().proxies(proxies).build();
    exchange(&client, "ws://inside.test:8000/").await;
    let head = soon(proxy.asked.recv()).await.unwrap();
    assert_eq!(
        head,
        "CONNECT inside.test:8000 HTTP/1.1\r\nHost: inside.test:8000\r\n\
         Proxy-Authorization: Basic dXNAZXI6c2VjcmV0\r\n\r\n"
    );
}

#[tokio::test]
async fn tls_goes_to_the_server_through_the_tunnel_and_to_the_proxy_itself() {
    let certificates = authority(&["inside.test", "127.0.0.1"]);
    let server = start(Server::builder().tls(certificates.server.clone()), echo).await;
    let target = loopback(server.port);
    let mut plain = start_proxy(move |stream, asked| serve_http(stream, target, asked)).await;
    let tls = certificates.server_acceptor();
    let mut secure = start_proxy(move |stream, asked| {
        let tls = tls.clone();
        async move {
            let stream = tls.accept(stream).await.unwrap();
            serve_http(stream, target, asked).await;
        }
    })
    .await;
    for (scheme, proxy) in [("http", &mut plain), ("https", &mut secure)] {
        let client = Client::builder()
            .tls(certificates.client())
            .proxies(through(&format!("{scheme}://{}", proxy.address)))
            .build();
        exchange(&client, "wss://inside.test/").await;
        let head = soon(proxy.asked.recv()).await.unwrap();
        assert!(head.starts_with("CONNECT inside.test:443 "), "{head}");
        assert!(!head.contains("Authorization"), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_trusts_any_server_does_not_trust_any_proxy() {
    let (servers, proxies) = (authority(&["inside.test"]), authority(&["127.0.0.1"]));
    let server = start(Server::builder().tls(servers.server.clone()), echo).await;
    let target = loopback(server.port);
    let tls = proxies.server_acceptor();
    let proxy = start_proxy(move |stream, asked| {
        let tls = tls.clone();
        async move {
            if let Ok(stream) = tls.accept(stream).await {
                serve_http(stream, target, asked).await;
            }
        }
    })
    .await;
    let client = |tls| {
        let proxies = through(&format!("https://{}", proxy.address));
        Client::builder().tls(tls).proxies(proxies).build()
    };
    let anyone = TlsConfig::builder().dangerous_accept_any_certificate();
    let client_of_anyone = client(anyone.build().unwrap());
    let error = soon(client_of_anyone.connect("wss://inside.test/"))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Proxy { .. }), "{error:?}");
    assert!(error.to_string().contains("not trusted"), "{error}");
    let known = TlsConfig::builder()
        .dangerous_accept_any_certificate()
        .extra_roots(proxies.root_pem.as_bytes())
        .unwrap();
    exchange(&client(known.build().unwrap()), "wss://inside.test/").await;
}

#[tokio::test]
async fn a_socks_proxy_gets_the_name_or_the_address() {
    let server = start_echo().await;
    let target = loopback(server.port);
    let mut proxy = start_proxy(move |stream, asked| serve_socks(stream, target, asked)).await;
    let known = SocketAddr::from(([192, 0, 2, 7], 0));
    for (scheme, expected) in [
        ("socks5h", "inside.test:80"),
        ("socks5", "[192, 0, 2, 7]:80"),
    ] {
        let proxies = through(&format!("{scheme}://user:secret@{}", proxy.address));
        let client = Client::builder()
            .proxies(proxies)
            .resolver(Resolver::custom(Names(known)))
            .build();
        exchange(&client, "ws://inside.test/").await;
        assert_eq!(soon(proxy.asked.recv()).await.unwrap(), expected);
    }
}

/// Knows one address for all names.
struct Names(SocketAddr);

impl we_net::transport::Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> we_net::transport::resolve::Lookup<'a> {
        let addresses = vec![self.0];
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn fixed_addresses_are_not_those_of_a_proxy() {
    let server = start_echo().await;
    let target = loopback(server.port);
    let mut proxy = start_proxy(move |stream, asked| serve_http(stream, target, asked)).await;
    let proxies = through(&format!("http://localhost:{}", proxy.address.port()));
    let client = Client::builder()
        .proxies(proxies)
        .resolver(Resolver::fixed([loopback(1)]))
        .build();
    exchange(&client, "ws://inside.test/").await;
    assert!(soon(proxy.asked.recv()).await.is_some());
}

#[tokio::test]
async fn exceptions_are_reached_directly() {
    let server = start_echo().await;
    let nowhere = through("http://127.0.0.1:1").except(NoProxy::parse("127.0.0.0/8"));
    let client = Client::builder().proxies(nowhere).build();
    exchange(&client, &server.url).await;
}

#[tokio::test]
async fn http_requests_take_the_same_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    });
    let mut proxy = start_proxy(move |stream, asked| serve_http(stream, target, asked)).await;
    let proxies = through(&format!("http://{}", proxy.address));
    let client = Client::builder().proxies(proxies).build();
    let response = soon(client.get("http://inside.test/x.js").unwrap().send()).await;
    let body = soon(response.unwrap().body.collect(10)).await.unwrap();
    assert_eq!(body, b"ok");
    let head = soon(proxy.asked.recv()).await.unwrap();
    assert!(head.starts_with("CONNECT inside.test:80 "), "{head}");
}

/// What a client says of a proxy that does `serve`.
async fn refusal<F>(
    scheme: &str,
    serve: impl Fn(TcpStream, mpsc::UnboundedSender<String>) -> F + Send + 'static,
) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let proxy = start_proxy(serve).await;
    let client = Client::builder()
        .proxies(through(&format!("{scheme}://{}", proxy.address)))
        .timeouts(ConnectTimeouts {
            connect: Duration::from_secs(2),
            ..ConnectTimeouts::default()
        })
        .build();
    let error = soon(client.connect("ws://inside.test/")).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Proxy { .. } | ConnectError::ConnectTimeout { .. }
        ),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains(&format!("{scheme}://127.0.0.1:")), "{text}");
    text
}

#[tokio::test]
async fn hostile_and_broken_http_proxies_give_clear_errors() {
    for (answer, problem) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"[..],
            "wants a user name",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "status 403 (Forbidden)"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n\x81\x05early",
            "before anything was asked",
        ),
        (b"HTTP/1.1 200 OK\r\nx", "in the middle of its answer"),
        (b"", "without an answer"),
        (b"220 mail.example ESMTP\r\n", "is it an HTTP proxy?"),
    ] {
        let text = refusal("http", move |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        })
        .await;
        assert!(text.contains(problem), "{text}");
    }
}

#[tokio::test]
async fn an_endless_head_of_a_proxy_is_cut_off() {
    let text = refusal("http", |mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
        while stream.write_all(&[b'y'; 4096]).await.is_ok() {}
    })
    .await;
    assert!(text.contains("65536"), "{text}");
}

#[tokio::test]
async fn a_proxy_that_says_nothing_costs_the_time_limit() {
    for scheme in ["http", "socks5h", "https"] {
        let text = refusal(scheme, |mut stream, _| async move {
            let mut sink = Vec::new();
            let _ = stream.read_to_end(&mut sink).await;
        })
        .await;
        assert!(text.contains("within 2 s"), "{text}");
    }
}

#[tokio::test]
async fn hostile_and_broken_socks_proxies_give_clear_errors() {
    for (answer, problem) in [
        (&[5, 0xff][..], "wants a user name"),
        (&[4, 0], "does not speak SOCKS5"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "seems to be an HTTP proxy",
        ),
        (&[5, 0, 5, 0], "before anything was asked"),
        (&[5], "in the middle of its answer"),
    ] {
        let text = refusal("socks5h", move |mut stream, _| async move {
            let _ = stream.read(&mut [0; 3]).await;
            stream.write_all(answer).await.unwrap();
        })
        .await;
        assert!(text.contains(problem), "{text}");
    }
    let text = refusal("socks5h", |mut stream, _| async move {
        let _ = stream.read(&mut [0; 3]).await;
        stream.write_all(&[5, 0]).await.unwrap();
        let _ = stream.read(&mut [0; 300]).await;
        stream.write_all(&[5, 4, 0, 1]).await.unwrap();
    })
    .await;
    assert!(text.contains("the host is unreachable"), "{text}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let client = Client::builder()
        .proxies(through("http://user:secret@127.0.0.1:1"))
        .build();
    let error = soon(client.connect("ws://inside.test/")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("no way through the proxy http://127.0.0.1:1")
            && text.contains("nothing listens there"),
        "{text}"
    );
    assert!(
        !format!("{text} {error:?} {client:?}").contains("secret"),
        "{error:?}"
    );
}
