//! Unix sockets, client and server.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use we_net::server::echo;
use we_net::{Client, Server};

use crate::common::{authority, soon};

/// A path for a socket; the operating system allows some hundred bytes.
fn path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("we-{}-{number}.sock", std::process::id()))
}

#[tokio::test]
async fn a_server_at_a_unix_socket() {
    let authority = authority(&["localhost"]);
    for tls in [false, true] {
        let path = path();
        let mut server = Server::builder();
        let mut client = Client::builder().unix_socket(&path);
        if tls {
            server = server.tls(authority.server.clone());
            client = client.tls(authority.client());
        }
        let server = server.bind_unix(&path).await.unwrap();
        assert_eq!(server.local_addr(), None);
        let (url, handle) = (server.url(), server.handle());
        let serving = tokio::spawn(server.serve(echo));
        let mut socket = soon(client.build().connect(&url)).await.unwrap();
        socket.send("x").await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap(), Some("x".into()));
        assert_eq!(socket.peer_addr(), None);
        assert!(soon(socket.close(None)).await.clean);
        handle.shutdown(std::time::Duration::ZERO);
        soon(serving).await.unwrap();
        assert!(!path.exists(), "the file should have gone with the server");
    }
}

#[tokio::test]
async fn the_url_is_for_the_server_to_see() {
    let path = path();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let request = Client::builder()
        .unix_socket(&path)
        .build()
        .request("ws://some.name:9000/deep")
        .unwrap();
    let connecting = tokio::spawn(request.connect());
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let head = soon(crate::common::read_head(&mut stream)).await;
    assert!(
        head.starts_with("GET /deep HTTP/1.1\r\nHost: some.name:9000\r\n"),
        "{head}"
    );
    drop(stream);
    assert!(soon(connecting).await.unwrap().is_err());
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named_and_one_that_is_there_is_left_alone() {
    let path = path();
    let client = Client::builder().unix_socket(&path).build();
    let error = soon(client.connect("ws://h/"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    let first = Server::builder().bind_unix(&path).await.unwrap();
    assert!(Server::builder().bind_unix(&path).await.is_err());
    assert!(path.exists());
    drop(first);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_another_server_has_put_there_is_left_alone() {
    let path = path();
    let first = Server::builder().bind_unix(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = Server::builder().bind_unix(&path).await.unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
    // Nor is what has never been a socket.
    let third = Server::builder().bind_unix(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    drop(third);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
}
