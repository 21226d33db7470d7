//! What happens to the network while a script is busy, and to scripts while the network is.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use we_net::protocol::{Config, Connection, Event, Message, Role, Timeouts};
use we_net::transport::Driver;

use super::peer::Peer;
use super::{Dial, Opened, SocketEvent, Tcp, compute_until, connect, describe};
use crate::event_loop::Finished;
use crate::event_loop::tests::Bench;
use crate::network::channel::RECEIVE_HIGH_WATER;

#[test]
fn pings_are_answered_while_a_script_computes() {
    const PINGS: usize = 5;
    let mut bench = Bench::new();
    let (busy, is_busy) = mpsc::channel();
    let pongs = Arc::new(AtomicUsize::new(0));
    let (address, peer) = Peer::spawn({
        let pongs = pongs.clone();
        move |mut peer| {
            is_busy.recv().unwrap();
            for _ in 0..PINGS {
                peer.ping(b"still there?");
                while !matches!(peer.next(), Some(Event::Pong(_))) {}
                pongs.fetch_add(1, Ordering::SeqCst);
            }
            peer.expect_close()
        }
    });
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        if let SocketEvent::Open { .. } = event {
            busy.send(()).unwrap();
            compute_until("pongs arrive", || pongs.load(Ordering::SeqCst) == PINGS);
            slot.borrow().as_ref().unwrap().close(None);
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    assert_eq!(peer.join().unwrap(), None);
}

#[test]
fn messages_sent_by_a_busy_script_leave_at_once() {
    let mut bench = Bench::new();
    let arrived = Arc::new(AtomicUsize::new(0));
    let (address, peer) = Peer::spawn({
        let arrived = arrived.clone();
        move |mut peer| {
            for text in ["first", "second"] {
                peer.expect_text(text);
                arrived.fetch_add(1, Ordering::SeqCst);
            }
            peer.expect_close()
        }
    });
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        if let SocketEvent::Open { .. } = event {
            let socket = slot.borrow();
            let socket = socket.as_ref().unwrap();
            // The first is sent while this thread still drives the network, the second while the standby does.
            for (count, text) in [(1, "first"), (2, "second")] {
                socket.send(text.into());
                compute_until(text, || arrived.load(Ordering::SeqCst) == count);
            }
            let sent = ("first".len() + "second".len()) as u64;
            compute_until("they are counted", || socket.flushed_bytes() == sent);
            socket.close(None);
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    peer.join().unwrap();
}

#[test]
fn answers_to_many_messages_leave_before_the_last_is_delivered() {
    const MESSAGES: u32 = 64;
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| {
        // All of them in one segment: one turn of the loop delivers them.
        let rest = [0x81, 1, b'x'].repeat(MESSAGES as usize - 1);
        peer.send_with("x", &rest);
        for _ in 0..MESSAGES {
            peer.expect_text("y");
        }
        peer.expect_close()
    });
    let count = Cell::new(0);
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        let SocketEvent::Message(_) = event else {
            return;
        };
        let socket = slot.borrow();
        let socket = socket.as_ref().unwrap();
        count.set(count.get() + 1);
        if count.get() == MESSAGES - 1 {
            assert!(socket.flushed_bytes() > 0, "nothing has left yet");
        }
        socket.send("y".into());
        if count.get() == MESSAGES {
            socket.close(None);
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    peer.join().unwrap();
}

#[test]
fn a_shutdown_request_closes_connections_of_a_busy_script() {
    let mut bench = Bench::new();
    let handle = bench.event_loop.handle();
    let closed = Arc::new(AtomicUsize::new(0));
    let (address, peer) = Peer::spawn({
        let closed = closed.clone();
        move |mut peer| {
            peer.expect_text("busy now");
            handle.request_shutdown();
            let code = peer.expect_close();
            closed.store(1, Ordering::SeqCst);
            code
        }
    });
    let _slot = connect(&bench, Tcp(address), move |slot, _, _| {
        slot.borrow().as_ref().unwrap().send("busy now".into());
        compute_until("the connection closes", || {
            closed.load(Ordering::SeqCst) == 1
        });
    });
    assert_eq!(bench.run(), Finished::ShutDown);
    assert_eq!(peer.join().unwrap(), Some(1001));
}

/// A Close frame with the code 4001, and a frame with a reserved opcode: the ends that a server can put to a connection.
const ENDS: [(&[u8], u16); 2] = [(&[0x88, 0x02, 0x0F, 0xA1], 4001), (&[0x83, 0x00], 1002)];

#[test]
fn a_busy_script_answers_what_came_before_the_end() {
    for (end, code) in ENDS {
        let mut bench = Bench::new();
        let (address, peer) = Peer::spawn(move |mut peer| {
            peer.send_with("question", end);
            peer.expect_text("answer");
            peer.expect_close_code()
        });
        let shared = bench.state().network().shared().clone();
        let log = bench.log.clone();
        let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
            log.push(describe(&event));
            if let SocketEvent::Message(_) = event {
                compute_until("the standby takes over", || shared.standby_drives());
                slot.borrow().as_ref().unwrap().send("answer".into());
            }
        });
        assert_eq!(bench.log_of("")[..2], ["open chat", "text question"]);
        assert_eq!(peer.join().unwrap(), Some(code));
    }
}

/// Connects with the patience of a moment.
struct Impatient(SocketAddr);

impl Dial for Impatient {
    type Stream = TcpStream;
    type Error = io::Error;

    async fn dial(self) -> io::Result<Opened<TcpStream>> {
        let timeouts = Timeouts {
            failing: Duration::from_millis(20),
            ..Timeouts::default()
        };
        let config = Config {
            timeouts,
            ..Config::default()
        };
        let stream = TcpStream::connect(self.0).await?;
        Ok(Opened {
            driver: Driver::new(stream, Connection::new(Role::Client, config)),
            protocol: String::new(),
            extensions: String::new(),
        })
    }
}

#[test]
fn an_offence_does_not_wait_for_ever_for_a_busy_script() {
    let mut bench = Bench::new();
    let is_failed = Arc::new(AtomicUsize::new(0));
    let (address, peer) = Peer::spawn({
        let is_failed = is_failed.clone();
        move |mut peer| {
            peer.send_with("question", &[0x83, 0x00]);
            let code = peer.expect_close_code();
            is_failed.store(1, Ordering::SeqCst);
            code
        }
    });
    let _slot = connect(&bench, Impatient(address), move |_, event, _| {
        if let SocketEvent::Message(_) = event {
            compute_until("the peer is told", || is_failed.load(Ordering::SeqCst) == 1);
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    assert_eq!(peer.join().unwrap(), Some(1002));
}

#[test]
fn the_loop_takes_the_network_back_from_the_standby() {
    const ROUNDS: usize = 20;
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(Peer::echo);
    let in_place = Cell::new(0);
    let deadline = Instant::now() + Duration::from_secs(20);
    let shared = bench.state().network().shared().clone();
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        let socket = slot.borrow();
        let socket = socket.as_ref().unwrap();
        match event {
            SocketEvent::Open { .. } => {
                compute_until("the standby takes over", || shared.standby_drives());
                socket.send("ping".into());
            }
            SocketEvent::Message(_) => {
                // On a machine under load the standby may step in at times, but not every time.
                if !shared.standby_drives() {
                    in_place.set(in_place.get() + 1);
                }
                if in_place.get() == ROUNDS {
                    socket.close(None);
                } else {
                    assert!(Instant::now() < deadline, "{} in place", in_place.get());
                    socket.send("ping".into());
                }
            }
            SocketEvent::Flushed | SocketEvent::Closing | SocketEvent::Closed(_) => {}
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    peer.join().unwrap();
}

#[test]
fn a_flood_of_messages_does_not_starve_timers() {
    const MESSAGES: usize = 10_000;
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| {
        for number in 0..MESSAGES {
            peer.send(number.to_string());
        }
        peer.expect_close()
    });
    let received = Rc::new(Cell::new(0));
    let timers = Rc::new(Cell::new(0));
    bench.define("tick", {
        let (received, timers) = (received.clone(), timers.clone());
        move |_, _| {
            if (1..MESSAGES).contains(&received.get()) {
                timers.set(timers.get() + 1);
            }
        }
    });
    let _slot = connect(&bench, Tcp(address), {
        let received = received.clone();
        move |slot, event, context| match event {
            SocketEvent::Message(Message::Text(text)) => {
                assert_eq!(*text, received.get().to_string(), "in order");
                received.set(received.get() + 1);
                // Some work, so that messages come faster than they are handled.
                let source = boa_engine::Source::from_bytes("for (let i = 0; i < 200; i++);");
                context.eval(source).unwrap();
                if received.get() == MESSAGES {
                    slot.borrow().as_ref().unwrap().close(None);
                }
            }
            SocketEvent::Closed(_) => {
                context
                    .eval(boa_engine::Source::from_bytes("clearInterval(id)"))
                    .unwrap();
            }
            _ => {}
        }
    });
    bench.eval("globalThis.id = setInterval(tick, 1)");
    assert_eq!(bench.run(), Finished::Idle);
    assert_eq!(received.get(), MESSAGES);
    assert!(timers.get() >= 10, "{} timers ran", timers.get());
    peer.join().unwrap();
}

#[test]
fn timers_do_not_starve_the_network() {
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(Peer::echo);
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |slot, event, context| {
        log.push(describe(&event));
        let socket = slot.borrow();
        let socket = socket.as_ref().unwrap();
        match event {
            SocketEvent::Open { .. } => socket.send("ping".into()),
            SocketEvent::Message(_) => socket.close(None),
            SocketEvent::Closed(_) => {
                let stop = boa_engine::Source::from_bytes("stop = true");
                context.eval(stop).unwrap();
            }
            SocketEvent::Flushed | SocketEvent::Closing => {}
        }
    });
    // Eight chains, so that some timer is always due.
    let log = bench.log_of(
        "var stop = false;
         for (let chain = 0; chain < 8; chain++)
             (function again() { if (!stop) setTimeout(again, 0); for (let i = 0; i < 3000; i++); })();",
    );
    assert_eq!(log.last().unwrap(), "closed cleanly 1005 \"\"");
    peer.join().unwrap();
}

#[test]
fn a_busy_script_bounds_what_is_received() {
    const MESSAGES: usize = 32;
    const SIZE: usize = 1 << 20;
    let mut bench = Bench::new();
    let (address, peer) = Peer::spawn(|mut peer| {
        for _ in 0..MESSAGES {
            peer.send(vec![1; SIZE]);
        }
        peer.expect_close()
    });
    let received = Rc::new(Cell::new(0));
    let highest = Rc::new(RefCell::new(0));
    let _slot = connect(&bench, Tcp(address), {
        let (received, highest) = (received.clone(), highest.clone());
        move |slot, event, _| {
            let socket = slot.borrow();
            let socket = socket.as_ref().unwrap();
            match event {
                SocketEvent::Open { .. } => {
                    compute_until("reading pauses", || socket.channel.is_paused());
                    *highest.borrow_mut() = socket.channel.undelivered();
                }
                SocketEvent::Message(message) => {
                    assert_eq!(message.len(), SIZE);
                    received.set(received.get() + 1);
                    if received.get() == MESSAGES {
                        socket.close(None);
                    }
                }
                _ => {}
            }
        }
    });
    assert_eq!(bench.run(), Finished::Idle);
    assert_eq!(received.get(), MESSAGES);
    let highest = *highest.borrow();
    assert!(
        (RECEIVE_HIGH_WATER..RECEIVE_HIGH_WATER + 2 * SIZE).contains(&highest),
        "{highest} bytes were held"
    );
    peer.join().unwrap();
}
