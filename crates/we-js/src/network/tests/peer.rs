//! The other end of a connection: a plain blocking socket with the protocol's state machine.

use std::io::{IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use we_net::protocol::{Config, Connection, Event, Message, Role};

/// One accepted connection.
pub(crate) struct Peer {
    stream: TcpStream,
    connection: Connection,
}

impl Peer {
    /// Listens on a free port and runs `script` with the first connection, on a thread of its own.
    pub(crate) fn spawn<T: Send + 'static>(
        script: impl FnOnce(Peer) -> T + Send + 'static,
    ) -> (SocketAddr, JoinHandle<T>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            // So that a test that goes wrong ends.
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
                .set_write_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            script(Peer {
                stream,
                connection: Connection::new(Role::Server, Config::default()),
            })
        });
        (address, thread)
    }

    /// A peer that sends every message back and answers a Close, until the connection is over.
    pub(crate) fn echo(mut self) {
        while let Some(event) = self.next() {
            if let Event::Message(message) = event {
                self.send(message);
            }
        }
    }

    pub(crate) fn send(&mut self, message: impl Into<Message>) {
        self.connection
            .send(Instant::now(), message.into())
            .unwrap();
        self.flush();
    }

    /// Sends a message and, in the same segment, these bytes, of which the state machine knows nothing.
    pub(crate) fn send_with(&mut self, message: impl Into<Message>, bytes: &[u8]) {
        self.connection
            .send(Instant::now(), message.into())
            .unwrap();
        let mut segment = Vec::new();
        while self.connection.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.connection.output(&mut slices);
            let count = segment.write_vectored(&slices[..filled]).unwrap();
            self.connection.output_written(Instant::now(), count);
        }
        segment.extend_from_slice(bytes);
        self.stream.write_all(&segment).unwrap();
    }

    pub(crate) fn ping(&mut self, payload: &[u8]) {
        self.connection.ping(Instant::now(), payload).unwrap();
        self.flush();
    }

    pub(crate) fn close(&mut self, frame: impl Into<Option<we_net::protocol::CloseFrame>>) {
        self.connection.close(Instant::now(), frame.into());
        self.flush();
    }

    /// The next event; `None` when the connection is over.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(event) = self.connection.poll_event() {
                return Some(event);
            }
            // The event before may have had consequences.
            self.flush();
            if self.connection.is_terminated() {
                return None;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.connection.receive_eof(Instant::now()),
                Ok(count) => self.connection.receive(Instant::now(), &buffer[..count]),
                Err(error) => self.connection.transport_failed(Instant::now(), error),
            }
        }
    }

    /// The next text message, past everything else.
    #[track_caller]
    pub(crate) fn expect_text(&mut self, expected: &str) {
        loop {
            match self.next().expect("the connection ended") {
                Event::Message(Message::Text(text)) => return assert_eq!(&*text, expected),
                Event::Closed(closure) => panic!("closed: {closure:?}"),
                _ => {}
            }
        }
    }

    /// The code of the client's Close frame, or `None` if it has no body. Answers it and sees the connection end well.
    #[track_caller]
    pub(crate) fn expect_close(&mut self) -> Option<u16> {
        let code = self.expect_close_code();
        while let Some(event) = self.next() {
            if let Event::Closed(closure) = event {
                assert!(closure.clean, "{closure:?}");
            }
        }
        code
    }

    /// The code of the client's Close frame, or `None` if it has no body.
    #[track_caller]
    pub(crate) fn expect_close_code(&mut self) -> Option<u16> {
        loop {
            match self.next().expect("no Close frame") {
                Event::CloseReceived(frame) => return frame.map(|frame| frame.code.get()),
                Event::Closed(closure) => panic!("no Close frame: {closure:?}"),
                _ => {}
            }
        }
    }

    fn flush(&mut self) {
        while self.connection.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let filled = self.connection.output(&mut slices);
            match self.stream.write_vectored(&slices[..filled]) {
                Ok(count) => self.connection.output_written(Instant::now(), count),
                Err(error) => self.connection.transport_failed(Instant::now(), error),
            }
        }
        if self.connection.wants_shutdown() {
            // The client may be gone already.
            let _ = self.stream.shutdown(std::net::Shutdown::Write);
        }
    }
}
