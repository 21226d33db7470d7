//! `https:`: whom the client trusts, and bodies that an attacker cuts off.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use we_net::transport::{ConnectError, TlsConfig};
use we_net::{Client, HttpError};

use crate::common::{Authority, authority, raw_server, read_head, soon};
use crate::support::{get_by, load};

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
