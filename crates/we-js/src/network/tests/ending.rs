//! What a script hears first when a write is done and the peer's Close frame is there: the one that came first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use we_net::protocol::{Config, Connection, Event, Role};
use we_net::transport::Driver;

use super::peer::Peer;
use super::{Opened, SocketEvent, Tcp, compute_until, connect, describe};
use crate::event_loop::tests::Bench;
use crate::network::Dial;

/// A Close frame of a server, with the code 4001.
const CLOSE: [u8; 4] = [0x88, 2, 0x0F, 0xA1];

#[test]
fn a_write_behind_the_peers_close_is_told_after_it() {
    let mut bench = Bench::new();
    let written = Arc::new(AtomicBool::new(false));
    let (address, peer) = Peer::spawn({
        let written = written.clone();
        move |mut peer| {
            peer.send_with("last words", &CLOSE);
            peer.expect_text("answer");
            written.store(true, Ordering::SeqCst);
            while !matches!(peer.next(), None | Some(Event::CloseReceived(_))) {}
        }
    });
    let log = bench.log.clone();
    let _slot = connect(&bench, Tcp(address), move |slot, event, _| {
        log.push(describe(&event));
        if let SocketEvent::Message(_) = event {
            let socket = slot.borrow();
            let socket = socket.as_ref().unwrap();
            socket.send("answer".into());
            socket.tell_when_flushed("answer".len() as u64);
            // The network has it all while the script has not yet heard of the Close frame.
            compute_until("the answer is written", || written.load(Ordering::SeqCst));
        }
    });
    assert_eq!(
        bench.log_of(""),
        [
            "open chat",
            "text last words",
            "closing",
            "flushed",
            "closed cleanly 4001 \"\""
        ]
    );
    peer.join().unwrap();
}

/// A peer that closes when it has what it waited for, so fast that writing and reading are one step.
struct ClosesWhenItHas(usize);

struct Wire {
    /// Bytes that are missing until the peer closes.
    missing: usize,
    stage: Stage,
    reader: Option<Waker>,
}

#[derive(PartialEq)]
enum Stage {
    Open,
    Closed,
    Ended,
}

impl Dial for ClosesWhenItHas {
    type Stream = Wire;
    type Error = io::Error;

    async fn dial(self) -> io::Result<Opened<Wire>> {
        let wire = Wire {
            missing: self.0,
            stage: Stage::Open,
            reader: None,
        };
        Ok(Opened {
            driver: Driver::new(wire, Connection::new(Role::Client, Config::default())),
            protocol: "chat".to_owned(),
            extensions: String::new(),
        })
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.stage {
            Stage::Open if self.missing == 0 => {
                buffer.put_slice(&CLOSE);
                self.stage = Stage::Closed;
                Poll::Ready(Ok(()))
            }
            Stage::Ended => Poll::Ready(Ok(())),
            _ => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.missing = self.missing.saturating_sub(bytes.len());
        if self.stage == Stage::Closed {
            // Our Close frame: the server ends the connection.
            self.stage = Stage::Ended;
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_write_that_the_peers_close_answers_is_told_before_it() {
    let mut bench = Bench::new();
    let log = bench.log.clone();
    // The header and the key of a short frame of a client take 6 bytes.
    let _slot = connect(&bench, ClosesWhenItHas(6 + 4), move |slot, event, _| {
        log.push(describe(&event));
        if let SocketEvent::Open { .. } = event {
            let socket = slot.borrow();
            let socket = socket.as_ref().unwrap();
            socket.send("done".into());
            socket.tell_when_flushed(4);
        }
    });
    assert_eq!(
        bench.log_of(""),
        [
            "open chat",
            "flushed",
            "closing",
            "closed cleanly 4001 \"\""
        ]
    );
}
