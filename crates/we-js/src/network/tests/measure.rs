//! Measurements, run by hand: what a round trip costs, and how much of it a hand-over between threads would add.
//!
//! `cargo test -p we-js --lib measure -- --ignored --nocapture --test-threads 1`

use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::Instant;

use tokio::sync::oneshot;

use super::peer::Peer;
use super::{SocketEvent, Tcp, connect};
use crate::event_loop::tests::Bench;

/// Round trips of one run.
const ROUNDS: u32 = 20_000;

/// Plays ping-pong and returns the microseconds of a round trip.
fn ping_pong(bench: &mut Bench) -> f64 {
    let (address, peer) = Peer::spawn(Peer::echo);
    let (rounds, start) = (Cell::new(0), Rc::new(Cell::new(Instant::now())));
    let taken = Rc::new(Cell::new(0.0));
    let _slot = connect(bench, Tcp(address), {
        let taken = taken.clone();
        move |slot, event, _| {
            let socket = slot.borrow();
            let socket = socket.as_ref().unwrap();
            match event {
                SocketEvent::Open { .. } => {
                    start.set(Instant::now());
                    socket.send("ping".into());
                }
                SocketEvent::Message(_) if rounds.get() < ROUNDS => {
                    rounds.set(rounds.get() + 1);
                    socket.send("ping".into());
                }
                SocketEvent::Message(_) => {
                    let rounds = f64::from(rounds.get());
                    taken.set(start.get().elapsed().as_secs_f64() * 1e6 / rounds);
                    socket.close(None);
                }
                _ => {}
            }
        }
    });
    bench.run();
    peer.join().unwrap();
    taken.get()
}

#[test]
#[ignore = "a measurement"]
fn measure_ping_pong_in_place() {
    for _ in 0..5 {
        let mut bench = Bench::new();
        println!("in place: {:.1} µs a round trip", ping_pong(&mut bench));
    }
}

#[test]
#[ignore = "a measurement"]
fn measure_ping_pong_with_hand_over() {
    for _ in 0..5 {
        let mut bench = Bench::new();
        let state = bench.state();
        let network = state.network();
        let runtime = network.runtime().unwrap();
        // As if the standby always drove.
        network.shared.standby_takes_over();
        let (end, ended) = oneshot::channel::<()>();
        let driver = thread::spawn(move || runtime.block_on(ended));
        println!("hand-over: {:.1} µs a round trip", ping_pong(&mut bench));
        drop(end);
        let _ = driver.join().unwrap();
    }
}

/// The floor: two blocking threads with nothing between them and their sockets but the protocol.
#[test]
#[ignore = "a measurement"]
fn measure_ping_pong_of_blocking_threads() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..count]).unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 64];
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut buffer[..4]).unwrap();
        }
        let taken = start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
        println!("blocking threads: {taken:.1} µs a round trip");
    }
    drop(stream);
    echo.join().unwrap();
}
