//! The `WebSocket` type: halves in different tasks, futures that are dropped, peers that do not
//! read.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{raw_server, soon, start, start_echo, upgrade};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;
use we_net::protocol::{
    BackPressure, CloseCode, CloseFrame, Config, ConnectionError, Event, KeepAlive, Limits,
    Message, Refusal, SlowPeer, State, Timeouts,
};
use we_net::{Acceptor, Client, Server, WebSocket};

/// A client and a server on a pipe that holds `capacity` bytes in each direction.
async fn pair(
    capacity: usize,
    client: Config,
    server: Config,
) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (near, far) = duplex(capacity.max(512));
    let client = Client::builder().config(client).build();
    let acceptor = Acceptor::builder().config(server).build();
    let request = client.request("ws://h/").unwrap();
    let (client, server) = tokio::join!(request.on_stream(near), acceptor.accept(far));
    (client.unwrap().into(), server.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_work_at_the_same_time() {
    let server = start_echo().await;
    let (mut sender, mut receiver) = soon(we_net::connect(&server.url)).await.unwrap().split();
    let sending = tokio::spawn(async move {
        for number in 0..2_000_u32 {
            // Some larger than the socket takes at once, so that both halves wait for it.
            let length = if number % 100 == 0 { 1 << 20 } else { 100 };
            let mut payload = vec![0; length];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            sender.send(payload).await.unwrap();
        }
        sender
    });
    for number in 0..2_000_u32 {
        let message = soon(receiver.next()).await.unwrap().unwrap();
        assert_eq!(message.as_bytes()[..4], number.to_be_bytes());
    }
    let mut sender = soon(sending).await.unwrap();
    soon(sender.close(None)).await;
    assert_eq!(soon(receiver.next()).await.unwrap(), None);
    assert!(receiver.closure().unwrap().clean);
}

#[tokio::test]
async fn a_sender_without_its_receiver_still_closes_cleanly() {
    let (client, mut server) = pair(1024, Config::default(), Config::server()).await;
    let (mut sender, receiver) = client.split();
    drop(receiver);
    let serving = tokio::spawn(async move {
        let mut count = 0;
        while server.next().await.unwrap().is_some() {
            count += 1;
            // Nobody takes these; they must not block anything.
            server.send("answer").await.unwrap();
        }
        (count, server.closure().unwrap())
    });
    for _ in 0..100 {
        soon(sender.send("x".repeat(100))).await.unwrap();
    }
    soon(sender.flush()).await;
    soon(sender.close(CloseFrame::from(CloseCode::NORMAL))).await;
    assert_eq!(sender.state(), State::Closed);
    assert!(sender.closure().unwrap().clean, "{:?}", sender.closure());
    let (count, closure) = soon(serving).await.unwrap();
    assert_eq!(count, 100);
    assert!(closure.clean, "{closure:?}");
}

#[tokio::test]
async fn a_dropped_next_loses_no_message() {
    let (mut client, mut server) = pair(64, Config::default(), Config::server()).await;
    let sending = tokio::spawn(async move {
        for number in 0..200 {
            server
                .send(format!("{number} {}", "x".repeat(300)))
                .await
                .unwrap();
        }
        server.close(None).await;
    });
    let mut received = 0;
    soon(async {
        loop {
            // Polled once and dropped: mostly in the middle of a message.
            let next = tokio::select! {
                biased;
                next = client.next() => next.unwrap(),
                () = std::future::ready(()) => {
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            let Some(message) = next else { break };
            assert!(
                message
                    .as_text()
                    .unwrap()
                    .starts_with(&format!("{received} "))
            );
            received += 1;
        }
    })
    .await;
    assert_eq!(received, 200);
    soon(sending).await.unwrap();
}

#[tokio::test]
async fn a_dropped_send_sends_all_or_nothing() {
    let (mut client, mut server) = pair(64, Config::default(), Config::server()).await;
    let receiving = tokio::spawn(async move {
        let mut numbers = Vec::new();
        while let Some(message) = server.next().await.unwrap() {
            assert_eq!(message.len(), 100_000);
            numbers.push(message.as_bytes()[0]);
        }
        numbers
    });
    let mut sent = Vec::new();
    for number in 0..100_u8 {
        let send = client.send(vec![number; 100_000]);
        tokio::select! {
            biased;
            result = send => {
                result.unwrap();
                sent.push(number);
            }
            // Given up: it was still waiting for room, so nothing of it was queued.
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(soon(client.close(None)).await.clean);
    assert_eq!(soon(receiving).await.unwrap(), sent);
    assert!(
        !sent.is_empty() && sent.len() < 100,
        "{} were sent: neither way was taken",
        sent.len()
    );
}

#[tokio::test]
async fn a_peer_that_stops_reading_holds_the_sender_back() {
    let (mut client, mut server) = pair(1024, Config::default(), Config::server()).await;
    let mut accepted = 0_usize;
    while timeout(Duration::from_millis(50), client.send(vec![0; 10_000]))
        .await
        .is_ok()
    {
        accepted += 10_000;
        assert!(accepted < 1 << 20, "there is no back-pressure");
    }
    assert!(accepted > 60_000, "{accepted}: it waited too early");
    // Once the peer reads, sending goes on.
    let reading = tokio::spawn(async move {
        let mut total = 0;
        while let Some(message) = server.next().await.unwrap() {
            total += message.len();
        }
        total
    });
    soon(client.send(vec![0; 10_000])).await.unwrap();
    assert!(soon(client.close(None)).await.clean);
    assert_eq!(soon(reading).await.unwrap(), accepted + 10_000);
}

#[tokio::test]
async fn a_full_outbox_makes_send_wait_and_not_fail() {
    let limits = Limits {
        max_pending_output: 1000,
        ..Limits::default()
    };
    let (mut client, mut server) = pair(
        512,
        Config {
            limits,
            ..Config::default()
        },
        Config::server(),
    )
    .await;
    let reading = tokio::spawn(async move {
        let mut lengths = Vec::new();
        while let Some(message) = server.next().await.unwrap() {
            lengths.push(message.len());
        }
        lengths
    });
    for length in [900, 900, 5_000, 10] {
        soon(client.send(vec![0; length])).await.unwrap();
    }
    client.close(None).await;
    assert_eq!(soon(reading).await.unwrap(), [900, 900, 5_000, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_server_drops_a_client_that_stops_reading() {
    let (_client, mut server) = pair(512, Config::default(), Config::server()).await;
    server.feed(vec![0; 100_000]).await.unwrap();
    assert_eq!(server.next().await, Err(ConnectionError::PeerNotReading));
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_dropped_where_that_is_the_policy() {
    let config = Config {
        back_pressure: BackPressure {
            high_water: 1000,
            policy: SlowPeer::Drop,
        },
        ..Config::server()
    };
    let (_client, mut server) = pair(512, Config::default(), config).await;
    // What waits is below the mark until this one has been queued.
    server.send(vec![0; 5000]).await.unwrap();
    let error = server.send("one more").await.unwrap_err();
    assert_eq!(error.refusal, Refusal::Closed);
    match server.next().await {
        Err(ConnectionError::PeerTooSlow { waiting }) => assert!(waiting > 4000, "{waiting}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alive_pings_go_out_while_the_owner_waits_and_find_a_dead_peer() {
    let keep_alive = Some(KeepAlive {
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(5),
    });
    let config = Config {
        keep_alive,
        ..Config::server()
    };
    let (mut client, mut server) = pair(512, Config::default(), config).await;
    let before = tokio::time::Instant::now();
    // A live peer answers, and neither side sees anything of it but time.
    let live = tokio::spawn(async move {
        let _ = timeout(Duration::from_secs(100), client.next()).await;
        // It stops reading, but stays.
        client
    });
    assert_eq!(server.next().await, Err(ConnectionError::PeerSilent));
    let elapsed = before.elapsed().as_secs();
    assert!((120..=145).contains(&elapsed), "{elapsed}");
    drop(live.await);
}

#[tokio::test(start_paused = true)]
async fn a_busy_owner_does_not_take_its_own_silence_for_the_peers() {
    let config = Config {
        keep_alive: Some(KeepAlive::default()),
        ..Config::server()
    };
    let (mut client, mut server) = pair(512, Config::default(), config).await;
    // The server does something else while the Ping's time runs out twice over; meanwhile the client
    // says something.
    assert!(
        timeout(Duration::from_secs(21), server.next())
            .await
            .is_err()
    );
    client.send("here").await.unwrap();
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(server.next().await, Ok(Some("here".into())));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_our_close_ends_by_the_timer() {
    let (mut client, server) = pair(1024, Config::default(), Config::server()).await;
    let before = tokio::time::Instant::now();
    let closure = client.close(None).await;
    assert_eq!((closure.clean, closure.code), (false, 1006));
    assert_eq!(closure.error, Some(ConnectionError::ClosingTimeout));
    assert_eq!(
        before.elapsed().as_secs(),
        Timeouts::default().closing.as_secs()
    );
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn the_timer_of_a_close_by_the_sender_wakes_the_receiver() {
    let (client, _server) = pair(1024, Config::default(), Config::server()).await;
    let (mut sender, mut receiver) = client.split();
    let receiving = tokio::spawn(async move { receiver.next().await });
    tokio::task::yield_now().await;
    sender.close(None).await;
    assert_eq!(
        receiving.await.unwrap(),
        Err(ConnectionError::ClosingTimeout)
    );
}

#[tokio::test]
async fn the_peer_gets_our_close_though_it_never_stops_sending() {
    // A client that breaks a rule and floods on: its input is read and dropped, so no reset
    // overtakes the Close frame.
    let server = start(Server::builder(), |mut socket: WebSocket| async move {
        assert!(socket.next().await.is_err());
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    stream
        .write_all(common::request("/", server.port, "").as_bytes())
        .await
        .unwrap();
    soon(common::read_head(&mut stream)).await;
    let (mut input, mut output) = stream.split();
    let flood = async {
        output.write_all(b"\x83\x80\0\0\0\0").await.unwrap();
        for _ in 0..100 {
            if output.write_all(&[0; 10_000]).await.is_err() {
                return;
            }
        }
    };
    let close = async {
        let mut head = [0; 4];
        input.read_exact(&mut head).await.unwrap();
        head
    };
    let ((), head) = soon(async { tokio::join!(flood, close) }).await;
    assert_eq!((head[0], &head[2..]), (0x88, &1002_u16.to_be_bytes()[..]));
}

#[tokio::test]
async fn what_the_peer_said_before_it_went_is_not_lost() {
    // The server sends a message and a Close, and is gone before the client has even looked.
    let url = raw_server(|mut stream| async move {
        upgrade(&mut stream).await;
        stream
            .write_all(b"\x81\x02hi\x88\x02\x03\xe8")
            .await
            .unwrap();
    })
    .await;
    let mut socket = soon(we_net::connect(&url)).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap(), Some("hi".into()));
    assert_eq!(
        soon(socket.next_event()).await,
        Some(Event::CloseReceived(Some(CloseCode::NORMAL.into())))
    );
    assert!(
        matches!(soon(socket.next_event()).await, Some(Event::Closed(closure)) if closure.code == 1000)
    );
}

#[tokio::test]
async fn an_abrupt_end_is_an_error_once() {
    let url = raw_server(|mut stream| async move { upgrade(&mut stream).await }).await;
    let mut socket = soon(we_net::connect(&url)).await.unwrap();
    assert_eq!(
        soon(socket.next()).await,
        Err(ConnectionError::UnexpectedEof)
    );
    assert_eq!(soon(socket.next()).await, Ok(None));
    assert_eq!(socket.send("x").await.unwrap_err().refusal, Refusal::Closed);
}

#[tokio::test]
async fn a_flood_does_not_starve_other_tasks() {
    // One thread; the server floods, the client only drains. The other task still gets its turns.
    let server = start(Server::builder(), |mut socket: WebSocket| async move {
        let message = Message::binary(vec![0; 10]);
        while socket.feed(message.clone()).await.is_ok() {}
    })
    .await;
    let mut socket = soon(we_net::connect(&server.url)).await.unwrap();
    let draining = tokio::spawn(async move { while socket.next().await.is_ok() {} });
    soon(async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    draining.abort();
}

#[tokio::test]
async fn both_sides_close_at_once() {
    let (mut client, mut server) = pair(1024, Config::default(), Config::server()).await;
    let (near, far) = soon(async { tokio::join!(client.close(None), server.close(None)) }).await;
    assert!(near.clean && far.clean, "{near:?} {far:?}");
    assert_eq!((near.code, far.code), (1005, 1005));
}
