//! A socket's life: open, messages, every way to end.

use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc;

use tokio::net::TcpStream;
use we_net::protocol::{CloseCode, CloseFrame, Message};

use super::peer::Peer;
use super::{Opened, SocketEvent, Tcp, connect, describe};
use crate::event_loop::Finished;
use crate::event_loop::tests::{Bench, wait_until};
use crate::network::Dial;

#[test]
fn messages_go_both_ways_and_the_loop_ends_with_the_socket() {
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(Peer::echo);
    let log = bench.log.clone();
    let slot = connect(&bench, Tcp(address), move |slot, event, _| {
        log.push(describe(&event));
        let socket = slot.borrow();
        let socket = socket.as_ref().unwrap();
        match event {
            SocketEvent::Open { .. } => {
                socket.send("héllo".into());
                socket.send(Message::binary(vec![7; 1 << 20]));
            }
            SocketEvent::Message(Message::Binary(_)) => {
                let frame = CloseFrame::new(CloseCode::NORMAL, "bye").unwrap();
                socket.close(Some(frame));
            }
            _ => {}
        }
    });
    assert_eq!(
        bench.log_of(""),
        [
            "open chat",
            "text héllo",
            "1048576 bytes",
            "closing",
            "closed cleanly 1000 \"bye\""
        ]
    );
    let flushed = slot.borrow().as_ref().unwrap().flushed_bytes();
    assert_eq!(flushed, "héllo".len() as u64 + (1 << 20));
    peer.join().unwrap();
}

#[test]
fn the_peer_closes() {
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| {
        peer.send("last words");
        peer.close(CloseFrame::new(CloseCode::new(4001).unwrap(), "enough").unwrap());
        peer.expect_close()
    });
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |_, event, _| {
        log.push(describe(&event));
    });
    assert_eq!(
        bench.log_of(""),
        [
            "open chat",
            "text last words",
            "closing",
            "closed cleanly 4001 \"enough\""
        ]
    );
    assert_eq!(peer.join().unwrap(), Some(4001));
}

#[test]
fn the_connection_breaks() {
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(drop);
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |_, event, _| {
        log.push(describe(&event));
        if let SocketEvent::Closed(closed) = event {
            assert!(closed.error.is_some(), "the operator is told why");
        }
    });
    assert_eq!(bench.log_of(""), ["open chat", "closed badly 1006 \"\""]);
    peer.join().unwrap();
}

#[test]
fn a_connection_that_is_refused_closes_with_1006() {
    let mut bench = Bench::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |_, event, _| {
        log.push(describe(&event));
        if let SocketEvent::Closed(closed) = event {
            let error = closed.error.unwrap().to_string();
            assert!(error.contains("refused"), "{error}");
        }
    });
    assert_eq!(bench.log_of(""), ["closed badly 1006 \"\""]);
}

/// A peer that never answers.
struct Never;

impl Dial for Never {
    type Stream = TcpStream;
    type Error = io::Error;

    async fn dial(self) -> io::Result<Opened<TcpStream>> {
        pending().await
    }
}

#[test]
fn an_attempt_can_be_given_up() {
    for give_up in [
        |slot: &super::Slot| slot.borrow().as_ref().unwrap().close(None),
        |slot: &super::Slot| slot.borrow().as_ref().unwrap().fail(),
        |slot: &super::Slot| drop(slot.take()),
    ] {
        let mut bench = Bench::new();
        let log = bench.log.clone();
        let slot = connect(&bench, Never, move |_, event, _| log.push(describe(&event)));
        bench.define("giveUp", move |_, _| give_up(&slot));
        assert_eq!(
            bench.log_of("setTimeout(giveUp, 1)"),
            ["closed badly 1006 \"\""]
        );
    }
}

#[test]
fn dropping_the_handle_starts_the_closing_handshake_without_a_code() {
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| peer.expect_close());
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        log.push(describe(&event));
        slot.take();
    });
    assert_eq!(
        bench.log_of(""),
        ["open chat", "closing", "closed cleanly 1005 \"\""]
    );
    assert_eq!(peer.join().unwrap(), None);
}

#[test]
fn a_failed_socket_ends_at_once() {
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| while peer.next().is_some() {});
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        log.push(describe(&event));
        slot.borrow().as_ref().unwrap().fail();
    });
    assert_eq!(bench.log_of(""), ["open chat", "closed badly 1006 \"\""]);
    peer.join().unwrap();
}

#[test]
fn a_shutdown_closes_with_1001_and_tells_scripts_nothing() {
    let mut bench = Bench::new();
    let handle = bench.event_loop.handle();
    let (address, peer) = Peer::spawn(move |mut peer| {
        peer.expect_text("ready");
        handle.request_shutdown();
        peer.expect_close()
    });
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        log.push(describe(&event));
        slot.borrow().as_ref().unwrap().send("ready".into());
    });
    bench.eval("setInterval(() => {}, 1000)");
    assert_eq!(bench.run(), Finished::ShutDown);
    assert_eq!(bench.log.take(), ["open chat"]);
    assert_eq!(peer.join().unwrap(), Some(1001));
    assert!(!bench.state().network().has_live_sockets());
}

#[test]
fn a_shutdown_does_not_wait_for_a_peer_that_does_not_answer() {
    let mut bench = Bench::new();
    let handle = bench.event_loop.handle();
    let (end, ended) = mpsc::channel::<()>();
    let (address, peer) = Peer::spawn(move |mut peer| {
        peer.expect_text("ready");
        handle.request_shutdown();
        // The Close frame is not even read.
        let _ = ended.recv();
    });
    let _slot = connect(&bench, Tcp(address), move |slot, _, _| {
        slot.borrow().as_ref().unwrap().send("ready".into());
    });
    assert_eq!(bench.run(), Finished::ShutDown);
    drop(end);
    peer.join().unwrap();
}

#[test]
fn no_connection_is_made_after_a_shutdown_request() {
    let mut bench = Bench::new();
    bench.event_loop.handle().request_shutdown();
    let _slot = connect(&bench, Never, |_, _, _| {});
    assert_eq!(bench.run(), Finished::ShutDown);
}

#[test]
fn dropping_the_loop_tells_the_peers() {
    // The loop never ran: the standby thread has made the connection.
    let bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| peer.expect_close_code());
    let slot = connect(&bench, Tcp(address), |_, _, _| {});
    let state = bench.state();
    wait_until("the socket is open", || !state.mailbox().is_empty());
    drop(state);
    // The context and the socket's handle outlive it.
    let (context, event_loop) = bench.into_parts();
    drop(event_loop);
    assert_eq!(peer.join().unwrap(), Some(1001));
    drop((context, slot));
}

#[test]
fn the_standby_thread_sleeps_while_nothing_happens() {
    let mut bench = Bench::new();
    let shared = bench.state().network().shared().clone();
    let (address, peer) = Peer::spawn(move |mut peer| {
        wait_until("the standby thread sleeps", || shared.standby_sleeps());
        peer.send("wake up");
        peer.expect_close()
    });
    let _slot = connect(&bench, Tcp(address), |slot, event, _| {
        if let SocketEvent::Message(_) = event {
            slot.borrow().as_ref().unwrap().close(None);
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    peer.join().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_socket_uses_no_processor_time() {
    use std::time::Duration;

    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(Peer::echo);
    let slot = connect(&bench, Tcp(address), |_, _, _| {});
    bench.define("close", move |_, _| {
        slot.borrow().as_ref().unwrap().close(None);
    });
    bench.eval("setTimeout(close, 400)");
    let before = crate::event_loop::tests::thread_cpu_time();
    bench.run();
    let used = crate::event_loop::tests::thread_cpu_time() - before;
    assert!(used < Duration::from_millis(20), "used {used:?}");
    peer.join().unwrap();
}
