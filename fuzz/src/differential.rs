//! Our connection beside tungstenite's: of the same bytes both make the same messages, or both fail.
//!
//! Where they may differ, and why:
//! - A length that is not in the shortest form fails here
//!   ([5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2): "the minimal number of bytes MUST
//!   be used"), one in 16 bits or more fails a control frame; tungstenite takes both.
//! - We fail at the first byte that shows an offence, tungstenite when the frame is whole: of input
//!   that ends within a frame we may know more.
//! - What a Close frame holds is compared only as far as it ends the connection in both:
//!   tungstenite answers a forbidden close code with 1002 and goes on as after any Close frame, and
//!   does not know 1014, which was registered later.

use std::io::{self, Read, Write};
use std::time::Instant;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, WebSocket};
use we_net::protocol::{
    Config, Connection, ConnectionError, Event, Limits, Message, ProtocolError, Role,
};

const MAX_MESSAGE: usize = 1000;

/// How reading ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// By the end of the input.
    Input,
    /// By a Close frame.
    Close,
    /// By an offence.
    Failure(Option<ConnectionError>),
}

pub fn run(data: &[u8]) {
    let Some((options, data)) = super::choice(data) else {
        return;
    };
    let role = if options & 1 == 0 {
        Role::Client
    } else {
        Role::Server
    };
    let (ours, our_end) = read_with_ours(role, data);
    let (theirs, their_end) = read_with_theirs(role, data);
    let why = || format!("ours {ours:?} {our_end:?}, theirs {theirs:?} {their_end:?}");

    let stricter = match &our_end {
        Ending::Failure(Some(ConnectionError::Protocol(error))) => matches!(
            error,
            ProtocolError::NonMinimalLength(_)
                | ProtocolError::ControlFrameTooLong(_)
                | ProtocolError::InvalidCloseCode(_)
        ),
        _ => false,
    };
    if stricter {
        assert!(theirs.starts_with(&ours), "{}", why());
        return;
    }
    assert_eq!(ours, theirs, "{}", why());
    match (&our_end, &their_end) {
        (Ending::Failure(_), Ending::Failure(_) | Ending::Input)
        | (Ending::Close, Ending::Close)
        | (Ending::Input, Ending::Input) => {}
        _ => panic!("{}", why()),
    }
}

fn read_with_ours(role: Role, data: &[u8]) -> (Vec<Message>, Ending) {
    let config = Config {
        limits: Limits {
            max_message_size: MAX_MESSAGE,
            max_small_fragments: u32::MAX,
            ..Limits::default()
        },
        ..Config::default()
    };
    let now = Instant::now();
    let mut connection = Connection::new(role, config);
    connection.receive(now, data);
    let mut messages = Vec::new();
    let mut ending = None;
    while let Some(event) = connection.poll_event() {
        match event {
            Event::Message(message) => messages.push(message),
            Event::CloseReceived(_) => ending = Some(Ending::Close),
            Event::Ping(_) | Event::Pong(_) | Event::Closed(_) => {}
        }
    }
    connection.receive_eof(now);
    connection.abort();
    while let Some(event) = connection.poll_event() {
        if let (Event::Closed(closure), None) = (event, &ending) {
            ending = Some(match closure.error {
                Some(ConnectionError::UnexpectedEof) => Ending::Input,
                error => Ending::Failure(error),
            });
        }
    }
    (messages, ending.expect("an end"))
}

/// A peer that says this, and takes whatever it is told.
struct Transport<'a>(&'a [u8]);

impl Read for Transport<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Transport<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_with_theirs(role: Role, data: &[u8]) -> (Vec<Message>, Ending) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(MAX_MESSAGE))
        // Without a limit it allocates whatever length a frame declares.
        .max_frame_size(Some(MAX_MESSAGE));
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    let mut socket = WebSocket::from_raw_socket(Transport(data), role, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => messages.push(Message::text(text.as_str())),
            Ok(tungstenite::Message::Binary(bytes)) => messages.push(Message::binary(&*bytes)),
            Ok(tungstenite::Message::Close(_)) => return (messages, Ending::Close),
            Ok(_) => {}
            // The input has ended.
            Err(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ))
            | Err(Error::Io(_)) => return (messages, Ending::Input),
            Err(_) => return (messages, Ending::Failure(None)),
        }
    }
}
