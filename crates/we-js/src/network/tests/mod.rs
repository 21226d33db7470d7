//! Tests of the network half: a loop on one thread, a peer on another, real sockets between them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod busy;
mod ending;
mod life;
mod measure;
mod peer;
mod whole;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use boa_engine::Context;
use tokio::net::TcpStream;
use we_net::protocol::{Config, Connection, Message, Role};
use we_net::transport::Driver;

use super::dial::Opened;
use super::{Delivery, Dial, SocketEvent, SocketHandle};
use crate::event_loop::tests::Bench;

/// Connects without an opening handshake, which is not what is tested here.
pub(super) struct Tcp(pub(super) SocketAddr);

impl Dial for Tcp {
    type Stream = TcpStream;
    type Error = io::Error;

    async fn dial(self) -> io::Result<Opened<TcpStream>> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(Opened {
            driver: Driver::new(stream, Connection::new(Role::Client, Config::default())),
            protocol: "chat".to_owned(),
            extensions: String::new(),
        })
    }
}

/// The socket of a test, where its listeners find it.
pub(super) type Slot = Rc<RefCell<Option<SocketHandle>>>;

/// Opens a socket to `peer` and has its events handled by `listener`, which finds the socket in the slot.
pub(super) fn connect(
    bench: &Bench,
    dial: impl Dial,
    listener: impl Fn(&Slot, SocketEvent, &mut Context) + 'static,
) -> Slot {
    let slot = Slot::default();
    let socket = bench.state().network().connect(dial, Delivery::Pushed);
    let id = socket.id();
    *slot.borrow_mut() = Some(socket);
    bench.on_socket_event({
        let slot = slot.clone();
        move |event_id, event, context| {
            assert_eq!(event_id, id);
            listener(&slot, event, context);
        }
    });
    slot
}

/// One line for each event, as the tests compare them.
pub(super) fn describe(event: &SocketEvent) -> String {
    match event {
        SocketEvent::Open { protocol, .. } => format!("open {protocol}"),
        SocketEvent::Message(Message::Text(text)) => format!("text {}", &**text),
        SocketEvent::Message(Message::Binary(bytes)) => format!("{} bytes", bytes.len()),
        SocketEvent::Flushed => "flushed".to_owned(),
        SocketEvent::Closing => "closing".to_owned(),
        SocketEvent::Closed(closed) => format!(
            "closed {} {} {:?}",
            if closed.clean { "cleanly" } else { "badly" },
            closed.code,
            closed.reason
        ),
    }
}

/// Keeps the thread busy, as a long computation of a script would, until the condition holds. Fails after ten seconds.
#[track_caller]
pub(super) fn compute_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "did not happen while the script was busy: {what}"
        );
        std::hint::spin_loop();
    }
}
