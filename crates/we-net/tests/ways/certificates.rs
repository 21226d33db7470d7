//! Certificates of clients, and the authorities of this machine.

use we_net::server::echo;
use we_net::transport::{ConnectError, TlsConfig, TlsConfigError, TlsServerConfig};
use we_net::{Client, Server};

use crate::common::{Authority, Running, authority, soon, start};

/// A server that wants certificates from `clients`.
async fn start_strict(own: &Authority, clients: &Authority) -> Running {
    let tls = TlsServerConfig::requiring_client_certificates(
        own.certificate_pem.as_bytes(),
        own.key_pem.as_bytes(),
        clients.root_pem.as_bytes(),
    );
    start(Server::builder().tls(tls.unwrap()), echo).await
}

/// A client that trusts `server` and shows the certificate of `own`, if any.
fn client(server: &Authority, own: Option<&Authority>) -> Client {
    let mut tls = TlsConfig::builder()
        .extra_roots(server.root_pem.as_bytes())
        .unwrap();
    if let Some(own) = own {
        let (chain, key) = (own.certificate_pem.as_bytes(), own.key_pem.as_bytes());
        tls = tls.client_certificate(chain, key).unwrap();
    }
    Client::builder().tls(tls.build().unwrap()).build()
}

#[tokio::test]
async fn a_client_proves_who_it_is() {
    let (own, clients) = (authority(&["127.0.0.1"]), authority(&["client"]));
    let server = start_strict(&own, &clients).await;
    let mut socket = soon(client(&own, Some(&clients)).connect(&server.url))
        .await
        .unwrap();
    socket.send("x").await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some("x".into()));
}

#[tokio::test]
async fn without_the_right_certificate_the_error_says_so() {
    let (own, clients) = (authority(&["127.0.0.1"]), authority(&["client"]));
    let server = start_strict(&own, &clients).await;
    let strangers = authority(&["stranger"]);
    for (shown, problem) in [
        (None, "wants a client certificate"),
        (Some(&strangers), "does not accept our client certificate"),
    ] {
        let error = soon(client(&own, shown).connect(&server.url))
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[tokio::test]
async fn a_request_without_credentials_does_not_prove_who_we_are() {
    let (own, clients) = (authority(&["127.0.0.1"]), authority(&["client"]));
    let server = start_strict(&own, &clients).await;
    let client = client(&own, Some(&clients));
    let request = client.get(server.url.replace("wss:", "https:")).unwrap();
    // It is no upgrade, but the server has let us in to say so.
    let answer = soon(request.clone().send()).await.unwrap();
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    let Err(error) = soon(request.anonymous().send()).await else {
        panic!("the server knows us");
    };
    let error = error.to_string();
    assert!(error.contains("wants a client certificate"), "{error}");
}

#[test]
fn a_key_that_is_not_that_of_the_certificate_is_refused() {
    let (one, other) = (authority(&["a"]), authority(&["b"]));
    let (chain, key) = (one.certificate_pem.as_bytes(), other.key_pem.as_bytes());
    let tls = TlsConfig::builder().client_certificate(chain, key).unwrap();
    assert!(matches!(tls.build(), Err(TlsConfigError::Rustls(_))));
}

#[tokio::test]
async fn the_roots_of_this_machine_take_the_place_of_ours() {
    // A machine without any says so; and none trusts the authority of a test.
    let own = authority(&["127.0.0.1"]);
    let server = start(Server::builder().tls(own.server.clone()), echo).await;
    let tls = match TlsConfig::builder().system_roots().build() {
        Ok(tls) => tls,
        Err(error) => {
            assert!(matches!(error, TlsConfigError::NoSystemRoots(_)), "{error}");
            return;
        }
    };
    let stranger = Client::builder().tls(tls).build();
    let error = soon(stranger.connect(&server.url)).await.unwrap_err();
    assert!(error.to_string().contains("not trusted"), "{error}");
    let tls = TlsConfig::builder()
        .system_roots()
        .extra_roots(own.root_pem.as_bytes())
        .unwrap();
    let friend = Client::builder().tls(tls.build().unwrap()).build();
    assert!(soon(friend.connect(&server.url)).await.is_ok());
}
