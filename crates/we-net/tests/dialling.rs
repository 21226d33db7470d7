//! Names, addresses that do not answer, and the time limits on them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{soon, start_echo};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use we_net::transport::dial::ATTEMPT_DELAY;
use we_net::transport::resolve::Lookup;
use we_net::transport::{ConnectError, Resolve, Resolver, dial};
use we_net::{Client, ConnectTimeouts};

/// An address where nothing listens.
async fn refusing(host: &str) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// An address that does not answer at all: its queue of connections is full. Everything in the
/// answer keeps it so.
async fn unanswering() -> (SocketAddr, Socket, Vec<TcpStream>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        fillers.push(stream.unwrap());
    }
    (address, listener, fillers)
}

#[tokio::test]
async fn refusing_addresses_cost_no_time() {
    let server = start_echo().await;
    let live = SocketAddr::from(([127, 0, 0, 1], server.port));
    for dead in [refusing("::1").await, refusing("127.0.0.1").await] {
        let started = Instant::now();
        let addresses = [dead].repeat(20).into_iter().chain([live]);
        let client = Client::builder()
            .resolver(Resolver::fixed(addresses))
            .build();
        let socket = soon(client.connect("ws://some.example/")).await.unwrap();
        assert_eq!(socket.peer_addr(), Some(live));
        // With a wait after each it would be five seconds.
        assert!(
            started.elapsed() < ATTEMPT_DELAY * 10,
            "{:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn an_unanswering_first_address_costs_a_quarter_of_a_second() {
    let (dead, _listener, _fillers) = unanswering().await;
    let live = TcpListener::bind("[::1]:0").await.unwrap();
    let started = Instant::now();
    let (stream, peer) = soon(dial([dead, live.local_addr().unwrap()]))
        .await
        .unwrap();
    assert_eq!(stream.peer_addr().unwrap(), live.local_addr().unwrap());
    assert_eq!(peer, live.local_addr().unwrap());
    assert!(
        started.elapsed() >= ATTEMPT_DELAY,
        "{:?}",
        started.elapsed()
    );
    assert!(stream.nodelay().unwrap());
}

#[tokio::test]
async fn when_no_address_answers_every_error_is_told() {
    let dead = [refusing("127.0.0.1").await, refusing("::1").await];
    let client = Client::builder().resolver(Resolver::fixed(dead)).build();
    match soon(client.connect("ws://some.example:81/"))
        .await
        .unwrap_err()
    {
        ConnectError::Dial { host, attempts } => {
            assert_eq!(host, "some.example:81");
            assert_eq!(
                attempts
                    .iter()
                    .map(|(address, _)| *address)
                    .collect::<Vec<_>>(),
                dead
            );
            assert!(
                attempts
                    .iter()
                    .all(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused)
            );
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_unanswering_server_runs_into_the_connect_timeout() {
    let (dead, _listener, _fillers) = unanswering().await;
    let timeouts = ConnectTimeouts {
        connect: Duration::from_millis(50),
        ..ConnectTimeouts::default()
    };
    let client = Client::builder().timeouts(timeouts).build();
    let error = soon(client.connect(format!("ws://{dead}/")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::ConnectTimeout { .. }),
        "{error}"
    );
}

struct Unanswering;

impl Resolve for Unanswering {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Lookup<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswering_name_server_runs_into_the_connect_timeout() {
    let client = Client::builder()
        .resolver(Resolver::custom(Unanswering))
        .build();
    let error = client.connect("ws://some.example/").await.unwrap_err();
    assert!(
        matches!(error, ConnectError::ConnectTimeout { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("within 20 s"), "{error}");
}

struct Failing;

impl Resolve for Failing {
    fn resolve<'a>(&'a self, host: &'a str, _port: u16) -> Lookup<'a> {
        Box::pin(async move {
            match host {
                "empty.example" => Ok(Vec::new()),
                _ => Err(io::Error::other("no such name")),
            }
        })
    }
}

#[tokio::test]
async fn a_name_without_address_is_told_by_name() {
    let client = Client::builder()
        .resolver(Resolver::custom(Failing))
        .build();
    let error = client.connect("ws://empty.example/").await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::NoAddress { host } if host == "empty.example"),
        "{error}"
    );
    let error = client.connect("ws://wrong.example/").await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot find the address of wrong.example: no such name"),
        "{error}"
    );
}

#[tokio::test]
async fn localhost_is_this_machine() {
    let server = start_echo().await;
    for name in ["localhost", "some.localhost"] {
        let mut socket = soon(we_net::connect(format!("ws://{name}:{}/", server.port)))
            .await
            .unwrap();
        assert!(socket.peer_addr().unwrap().ip().is_loopback());
        socket.close(None).await;
    }
}

#[tokio::test]
async fn what_is_no_websocket_url_is_not_dialled() {
    for url in ["ftp://h/", "ws://h/#x", "nonsense"] {
        assert!(
            matches!(soon(we_net::connect(url)).await, Err(ConnectError::Url(_))),
            "{url}"
        );
    }
}
