//! Our client and our server.

use we_net::handshake::{OriginPolicy, Rejection};
use we_net::protocol::DeflateConfig;
use we_net::server::echo;
use we_net::transport::ConnectError;
use we_net::{Acceptor, Client, Message, Server, WebSocket};

use crate::common::{Running, authority, soon, start, start_echo};
use crate::support::{client, known, over_tls, server};

async fn echoes(mut socket: WebSocket) {
    for size in [0, 1, 125, 126, 16 * 1024, 65_535, 65_536, 1 << 20] {
        let message = Message::binary(vec![size as u8; size]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap(), Some(message), "{size}");
    }
    let closure = soon(socket.close(None)).await;
    assert!(closure.clean && closure.code == 1005, "{closure:?}");
}

async fn talk(client: &Client, running: &Running) {
    let sockets: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client.request(&running.url).unwrap().connect()))
        .collect();
    let mut talks = Vec::new();
    for socket in sockets {
        let socket = soon(socket).await.unwrap().unwrap();
        assert!(socket.is_shared());
        talks.push(tokio::spawn(echoes(socket)));
    }
    for talk in talks {
        talk.await.unwrap();
    }
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_by_prior_knowledge() {
    let running = start(server(), echo).await;
    talk(&client(), &running).await;
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_over_tls() {
    let (client, running) = over_tls(echo).await;
    talk(&client, &running).await;
}

#[tokio::test]
async fn http1_goes_on_as_ever_at_a_server_of_both() {
    let running = start(server(), echo).await;
    let socket = soon(Client::default().connect(&running.url)).await.unwrap();
    assert!(!socket.is_shared());
    echoes(socket).await;

    let authority = authority(&["127.0.0.1"]);
    let running = start(server().tls(authority.server.clone()), echo).await;
    let client = Client::builder().tls(authority.client()).build();
    let socket = soon(client.connect(&running.url)).await.unwrap();
    assert!(!socket.is_shared());
    echoes(socket).await;
}

#[tokio::test]
async fn a_server_of_http1_is_spoken_to_as_it_wants() {
    let authority = authority(&["127.0.0.1"]);
    let running = start(Server::builder().tls(authority.server.clone()), echo).await;
    let client = Client::builder()
        .tls(authority.client())
        .http2(we_net::Http2Config::default())
        .build();
    let socket = soon(client.connect(&running.url)).await.unwrap();
    assert!(!socket.is_shared());
    echoes(socket).await;
    // Without prior knowledge ws: is HTTP/1.1.
    let running = start_echo().await;
    let socket = soon(client.connect(&running.url)).await.unwrap();
    assert!(!socket.is_shared());
}

#[tokio::test]
async fn a_server_that_does_not_speak_http2_after_all_says_so() {
    let running = start_echo().await;
    let error = soon(client().connect(&running.url)).await.unwrap_err();
    assert!(
        error.to_string().contains("does the server speak HTTP/2?"),
        "{error}"
    );
}

#[tokio::test]
async fn both_ends_agree_as_over_http1() {
    let acceptor = Acceptor::builder()
        .subprotocols(["chat", "other"])
        .compression(DeflateConfig::default())
        .origins(OriginPolicy::AllowList(vec!["https://good.example".into()]))
        .check(|request| {
            let cookies: Vec<_> = request.headers.values("cookie").collect();
            assert_eq!(cookies, [b"a=b; c=d"]);
            assert_eq!(request.headers.single("x-mine"), Some(&b"1"[..]));
            assert_eq!(request.key, "");
            match request.resource.as_str() {
                "/room?x=1" => Ok(()),
                _ => Err(Rejection::new(404, "no such room")
                    .with_header("X-Hint", "room")
                    .unwrap()),
            }
        })
        .build();
    let running = start(server().acceptor(acceptor), |mut socket| async move {
        assert_eq!(socket.negotiated().resource, "/room?x=1");
        assert_eq!(socket.subprotocol(), Some("chat"));
        assert!(socket.peer_addr().is_some());
        while let Ok(Some(message)) = socket.next().await {
            socket.send(message).await.unwrap();
        }
    })
    .await;
    let client = Client::builder()
        .http2(known())
        .compression([DeflateConfig::default()])
        .header("X-Mine", "1")
        .unwrap()
        .header("Cookie", "a=b; c=d")
        .unwrap()
        .build();
    let request = |path: &str, origin: &str| {
        client
            .request(format!("{}{path}", running.url))
            .unwrap()
            .origin(origin)
            .unwrap()
            .subprotocols(["none", "chat"])
            .unwrap()
    };
    let mut socket = soon(request("room?x=1", "https://good.example").connect())
        .await
        .unwrap();
    let negotiated = socket.negotiated();
    assert_eq!(negotiated.subprotocol.as_deref(), Some("chat"));
    assert_eq!(negotiated.extensions, "permessage-deflate");
    assert_eq!(negotiated.peer_addr.unwrap().port(), running.port);
    let text = "again and ".repeat(1000);
    socket.send(&*text).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some(text.into()));

    for (path, origin, status) in [
        ("other", "https://good.example", 404),
        ("room?x=1", "https://evil.example", 403),
    ] {
        let error = soon(request(path, origin).connect()).await.unwrap_err();
        let expected = format!("the server answered {status} instead of 200");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    // None of them has cost the others their connection.
    socket.send("still here").await.unwrap();
    assert!(soon(socket.next()).await.unwrap().is_some());
    assert!(soon(socket.close(None)).await.clean);
    let stats = running.handle.stats();
    assert_eq!((stats.opened, stats.failed), (1, 2), "{stats:?}");
}

#[tokio::test]
async fn a_subprotocol_that_nobody_speaks_fails_as_over_http1() {
    let running = start(server(), echo).await;
    let error = soon(
        client()
            .request(&running.url)
            .unwrap()
            .subprotocols(["chat"])
            .unwrap()
            .connect(),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(
            &error,
            ConnectError::Handshake {
                source: we_net::handshake::HandshakeError::SubprotocolMissing,
                ..
            }
        ),
        "{error}"
    );
}
