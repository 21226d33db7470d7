//! The extension hook, proven with a toy: run-length encoding on RSV2.

use std::time::Instant;

use we_net::protocol::extension::{Decoding, Encoded};
use we_net::protocol::payload::PayloadSink;
use we_net::protocol::{
    Config, Connection, Event, Extension, ExtensionError, Limits, Message, MessageKind, OpCode,
    Payload, Role, Rsv,
};

use crate::support::*;

/// A message with RSV2 is pairs of a count and a byte. The pairs may be cut anywhere.
#[derive(Default)]
struct RunLength {
    count: Option<u8>,
}

impl Extension for RunLength {
    fn reserved_bits(&self) -> Rsv {
        Rsv::RSV2
    }

    fn begin(&mut self, kind: MessageKind, rsv: Rsv) -> Result<Decoding, ExtensionError> {
        match (kind, rsv.contains(Rsv::RSV2)) {
            (_, false) => Ok(Decoding::Identity),
            (MessageKind::Binary, true) => Ok(Decoding::Extension),
            (MessageKind::Text, true) => Err(ExtensionError::Protocol("text with RSV2".into())),
        }
    }

    fn decode(&mut self, data: &[u8], out: &mut PayloadSink<'_>) -> Result<(), ExtensionError> {
        for &byte in data {
            match self.count.take() {
                None => self.count = Some(byte),
                Some(count) => out.extend_from_slice(&vec![byte; usize::from(count)])?,
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut PayloadSink<'_>) -> Result<(), ExtensionError> {
        match self.count.take() {
            None => Ok(out.extend_from_slice(b"!")?),
            Some(_) => Err(ExtensionError::InvalidData("half a pair".into())),
        }
    }

    fn encode(&mut self, kind: MessageKind, payload: &[u8]) -> Option<Encoded> {
        if kind == MessageKind::Text {
            return None;
        }
        let (last, runs) = payload.split_last()?;
        assert_eq!(*last, b'!', "the toy restores a final '!'");
        let encoded: Vec<u8> = runs.iter().flat_map(|byte| [1, *byte]).collect();
        Some(Encoded {
            rsv: Rsv::RSV2,
            payload: Payload::from(encoded),
        })
    }
}

fn extended(role: Role, limit: usize) -> Connection {
    with_limits(
        role,
        Limits {
            max_message_size: limit,
            ..Limits::default()
        },
    )
    .with_extension(Box::new(RunLength::default()))
}

fn binary(payload: &[u8]) -> Frame {
    Frame::new(OpCode::Binary, payload)
}

#[test]
fn message_is_decoded_across_fragments_and_chunks() {
    for role in ROLES {
        for chunk in 1..20 {
            let now = Instant::now();
            let mut connection = extended(role, 100);
            let bytes = bytes_to(
                role,
                &[
                    binary(b"\x03a\x02").rsv(Rsv::RSV2).not_fin(),
                    Frame::new(OpCode::Ping, ""),
                    Frame::new(OpCode::Continuation, b"b\x01c"),
                    binary(b"\x03a"),
                    Frame::text("as it is"),
                ],
            );
            for chunk in bytes.chunks(chunk) {
                connection.receive(now, chunk);
            }
            assert_eq!(
                events(&mut connection),
                [
                    Event::Ping(Payload::new()),
                    Event::Message(Message::binary(b"aaabbc!")),
                    Event::Message(Message::binary(b"\x03a")),
                    Event::Message(Message::text("as it is")),
                ]
            );
        }
    }
}

#[test]
fn bits_of_the_extension_fail_with_1002_on_any_but_the_first_frame_of_a_message() {
    for role in ROLES {
        for frames in [
            vec![Frame::new(OpCode::Ping, "").rsv(Rsv::RSV2)],
            vec![Frame::new(OpCode::Close, "").rsv(Rsv::RSV2)],
            vec![
                binary(b"\x01a").rsv(Rsv::RSV2).not_fin(),
                Frame::new(OpCode::Continuation, b"").rsv(Rsv::RSV2),
            ],
            vec![binary(b"").rsv(Rsv::RSV1)],
            vec![binary(b"").rsv(Rsv::RSV1 | Rsv::RSV2)],
            vec![Frame::text("").rsv(Rsv::RSV2)],
        ] {
            let now = Instant::now();
            let mut connection = extended(role, 100);
            assert_eq!(receive(&mut connection, now, &bytes_to(role, &frames)), []);
            assert_failed(&mut connection, now, 1002);
        }
    }
}

#[test]
fn limit_counts_decoded_bytes_while_they_are_decoded() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = extended(role, 251);
        let exact = binary(&[250, b'x']).rsv(Rsv::RSV2).to(role);
        assert_eq!(receive(&mut connection, now, &exact).len(), 1);
        // One byte too many by the very end of the message.
        let over = binary(&[251, b'x']).rsv(Rsv::RSV2).to(role);
        assert_eq!(receive(&mut connection, now, &over), []);
        assert_failed(&mut connection, now, 1009);

        // A bomb is stopped within its first frame.
        let mut connection = extended(role, 1000);
        let bomb = binary(&[255; 2000]).rsv(Rsv::RSV2).not_fin().to(role);
        assert_eq!(receive(&mut connection, now, &bomb[..30]), []);
        assert_failed(&mut connection, now, 1009);
    }
}

#[test]
fn declared_length_of_an_encoded_message_is_not_held_against_the_limit() {
    let now = Instant::now();
    let mut connection = extended(Role::Client, 3);
    let bytes = binary(b"\x01a\x00x\x00x\x01b")
        .rsv(Rsv::RSV2)
        .to(Role::Client);
    let events = receive(&mut connection, now, &bytes);
    assert_eq!(events, [Event::Message(Message::binary(b"ab!"))]);
}

#[test]
fn corrupt_data_fails_with_the_code_that_the_extension_chose() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = extended(role, 100);
        let bytes = binary(b"\x01").rsv(Rsv::RSV2).to(role);
        assert_eq!(receive(&mut connection, now, &bytes), []);
        assert_failed(&mut connection, now, 1007);
    }
}

#[test]
fn encoded_message_has_its_bits_on_the_first_fragment_and_counts_as_it_was_accepted() {
    for role in ROLES {
        let now = Instant::now();
        let config = Config {
            fragment_size: std::num::NonZeroUsize::new(4),
            ..Config::default()
        };
        let mut sender = Connection::new(role, config).with_extension(Box::<RunLength>::default());
        sender.send(now, Message::binary(b"abcde!")).unwrap();
        sender.send(now, Message::text("ok")).unwrap();
        assert_eq!(sender.buffered_amount(), 8);
        let bytes = write_all(&mut sender, now);
        assert_eq!(sender.buffered_amount(), 0);
        let bits: Vec<_> = parse_frames(&bytes).iter().map(|frame| frame.rsv).collect();
        assert_eq!(bits, [Rsv::RSV2, Rsv::NONE, Rsv::NONE, Rsv::NONE]);

        let peer = if role == Role::Client {
            Role::Server
        } else {
            Role::Client
        };
        let mut receiver = extended(peer, 100);
        assert_eq!(
            receive(&mut receiver, now, &bytes),
            [
                Event::Message(Message::binary(b"abcde!")),
                Event::Message(Message::text("ok"))
            ]
        );
    }
}
