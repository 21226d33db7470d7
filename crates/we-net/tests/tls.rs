//! Whom a client trusts.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;

use common::{Authority, Running, authority, raw_server, soon, start};
use tokio::io::AsyncReadExt as _;
use we_net::server::echo;
use we_net::transport::{ConnectError, Resolver, TlsConfig};
use we_net::{Client, Server};

async fn start_tls(authority: &Authority) -> Running {
    start(Server::builder().tls(authority.server.clone()), echo).await
}

/// A client that trusts `tls` and reaches `server` under every name.
fn client(tls: TlsConfig, server: &Running) -> Client {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port));
    Client::builder()
        .tls(tls)
        .resolver(Resolver::fixed([address]))
        .build()
}

#[tokio::test]
async fn an_extra_root_is_trusted_for_the_name_in_the_certificate() {
    let authority = authority(&["good.example"]);
    let server = start_tls(&authority).await;
    let mut socket = soon(client(authority.client(), &server).connect("wss://good.example/"))
        .await
        .unwrap();
    socket.send("x").await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some("x".into()));
    assert!(soon(socket.close(None)).await.clean);
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let authority = authority(&["good.example"]);
    let server = start_tls(&authority).await;
    for tls in [
        TlsConfig::new().unwrap(),
        common::authority(&["x"]).client(),
    ] {
        let error = soon(client(tls, &server).connect("wss://good.example/"))
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
        assert!(
            error.to_string().contains("authority that is not trusted"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let authority = authority(&["good.example"]);
    let server = start_tls(&authority).await;
    for url in [
        "wss://evil.example/",
        "wss://127.0.0.1/",
        "wss://sub.good.example/",
    ] {
        let url = url.replace("127.0.0.1", &format!("127.0.0.1:{}", server.port));
        let error = soon(client(authority.client(), &server).connect(&url))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("certificate is for another name"),
            "{url}: {error}"
        );
    }
}

#[tokio::test]
async fn the_insecure_switch_trusts_anyone() {
    let authority = authority(&["good.example"]);
    let server = start_tls(&authority).await;
    let tls = TlsConfig::dangerous_accept_any_certificate().unwrap();
    let mut socket = soon(client(tls, &server).connect("wss://evil.example/"))
        .await
        .unwrap();
    assert!(soon(socket.close(None)).await.clean);
}

#[tokio::test]
async fn tls_to_a_plain_server_says_so() {
    let url = raw_server(|mut stream| async move {
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let error = soon(we_net::connect(url.replace("ws://", "wss://")))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is this port for ws: or http: without the s?"),
        "{error}"
    );
}

#[tokio::test]
async fn a_plain_client_at_a_tls_server_fails() {
    let server = start_tls(&authority(&["127.0.0.1"])).await;
    let url = server.url.replace("wss://", "ws://");
    let error = soon(we_net::connect(&url)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Handshake { .. } | ConnectError::Broken { .. }
        ),
        "{error}"
    );
}
