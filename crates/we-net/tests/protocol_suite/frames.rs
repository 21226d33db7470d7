//! What hostile peers send, rule by rule: framing, limits, text, close bodies. Single byte strings
//! are in `fixtures/frames`; here are the rules that need many frames, all values of a field, or a
//! look at the output.

use std::time::{Duration, Instant};

use we_net::protocol::{
    CloseCode, Config, Connection, ConnectionError, Event, Limits, Message, OpCode, ProtocolError,
    Refusal, Role, Rsv, Timeouts,
};

use crate::support::*;

const OPCODES: [OpCode; 6] = [
    OpCode::Continuation,
    OpCode::Text,
    OpCode::Binary,
    OpCode::Close,
    OpCode::Ping,
    OpCode::Pong,
];

fn closed_error(connection: &mut Connection) -> ConnectionError {
    let now = Instant::now();
    write_all(connection, now);
    connection.receive_eof(now);
    match events(connection).pop() {
        Some(Event::Closed(closure)) => closure.error.expect("an error"),
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn frame_masked_against_the_role_fails_with_1002_whatever_its_opcode() {
    for role in ROLES {
        let wrong = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        for opcode in OPCODES {
            let now = Instant::now();
            let mut connection = Connection::new(role, Config::default());
            let bytes = Frame::new(opcode, "").to(wrong);
            assert_eq!(receive(&mut connection, now, &bytes), []);
            assert_failed(&mut connection, now, 1002);
        }
    }
}

#[test]
fn reserved_bits_without_an_extension_fail_with_1002_in_every_combination() {
    for role in ROLES {
        for bits in 1..8u8 {
            for opcode in OPCODES {
                let now = Instant::now();
                let mut connection = Connection::new(role, Config::default());
                let mut bytes = Frame::new(opcode, "").to(role);
                bytes[0] |= bits << 4;
                assert_eq!(receive(&mut connection, now, &bytes), []);
                assert_failed(&mut connection, now, 1002);
            }
        }
    }
}

#[test]
fn reserved_opcodes_fail_with_1002_by_their_first_byte() {
    for role in ROLES {
        for opcode in (3..8).chain(11..16) {
            let now = Instant::now();
            let mut connection = Connection::new(role, Config::default());
            assert_eq!(receive(&mut connection, now, &[0x80 | opcode]), []);
            assert_failed(&mut connection, now, 1002);
        }
    }
}

#[test]
fn control_frame_fragmented_or_over_125_bytes_fails_with_1002_by_its_second_byte() {
    for role in ROLES {
        let mask_bit = if role == Role::Server { 0x80 } else { 0 };
        for opcode in [0x8, 0x9, 0xA] {
            for bytes in [
                [opcode, mask_bit],
                [0x80 | opcode, mask_bit | 126],
                [0x80 | opcode, mask_bit | 127],
            ] {
                let now = Instant::now();
                let mut connection = Connection::new(role, Config::default());
                assert_eq!(receive(&mut connection, now, &bytes), []);
                assert_failed(&mut connection, now, 1002);
            }
        }
    }
}

#[test]
fn non_minimal_lengths_fail_with_1002() {
    for len in (0..126u16).chain([u16::MAX]) {
        let mut long = vec![0x82, 127];
        long.extend(u64::from(len).to_be_bytes());
        let mut medium = vec![0x82, 126];
        medium.extend(len.to_be_bytes());
        for bytes in [long, medium] {
            let now = Instant::now();
            let mut connection = client();
            if bytes.len() == 4 && len > 125 {
                continue;
            }
            assert_eq!(receive(&mut connection, now, &bytes), []);
            assert_failed(&mut connection, now, 1002);
        }
    }
}

#[test]
fn length_with_the_top_bit_fails_with_1002() {
    for role in ROLES {
        let mask_bit = if role == Role::Server { 0x80 } else { 0 };
        let now = Instant::now();
        let mut connection = with_limits(
            role,
            Limits {
                max_message_size: usize::MAX,
                ..Limits::default()
            },
        );
        let bytes = [0x82, mask_bit | 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(receive(&mut connection, now, &bytes), []);
        assert_failed(&mut connection, now, 1002);
    }
}

#[test]
fn message_sequence_is_enforced_with_1002() {
    let text = || Frame::text("a");
    let binary = || Frame::new(OpCode::Binary, "a");
    let next = || Frame::new(OpCode::Continuation, "a");
    let ping = || Frame::new(OpCode::Ping, "a");
    let offences: [&[Frame]; 8] = [
        &[next()],
        &[next().not_fin()],
        &[text(), next()],
        &[text().not_fin(), text()],
        &[text().not_fin(), binary()],
        &[binary().not_fin(), next().not_fin(), binary().not_fin()],
        &[text().not_fin(), ping(), next(), next()],
        &[text().not_fin(), ping(), text()],
    ];
    for role in ROLES {
        for frames in offences {
            let now = Instant::now();
            let mut connection = Connection::new(role, Config::default());
            receive(&mut connection, now, &bytes_to(role, frames));
            assert_failed(&mut connection, now, 1002);
        }
    }
}

#[test]
fn error_names_the_offence() {
    let cases: [(&[u8], ProtocolError); 4] = [
        (&[0x83], ProtocolError::ReservedOpcode(3)),
        (&[0x81, 0x80, 0, 0, 0, 0], ProtocolError::MaskedServerFrame),
        (&[0x88, 1, 3], ProtocolError::CloseBodyTooShort),
        (
            &[0xC9, 0],
            ProtocolError::ReservedBits {
                rsv: Rsv::RSV1,
                opcode: OpCode::Ping,
            },
        ),
    ];
    for (bytes, offence) in cases {
        let mut connection = client();
        connection.receive(Instant::now(), bytes);
        assert_eq!(closed_error(&mut connection), offence.into());
    }
    assert_eq!(
        ProtocolError::ReservedBits {
            rsv: Rsv::RSV1 | Rsv::RSV3,
            opcode: OpCode::Ping
        }
        .to_string(),
        "the peer set RSV1+RSV3 on a Ping frame without an extension that allows it"
    );
}

#[test]
fn declared_length_allocates_nothing() {
    // An allocation of this size would abort the test.
    for role in ROLES {
        let now = Instant::now();
        let mut connection = with_limits(
            role,
            Limits {
                max_message_size: usize::MAX,
                ..Limits::default()
            },
        );
        let mut bytes = vec![0x82, 127];
        bytes.extend((1u64 << 62).to_be_bytes());
        if role == Role::Server {
            bytes[1] |= 0x80;
            bytes.extend(KEY);
        }
        bytes.extend([0; 1000]);
        assert_eq!(receive(&mut connection, now, &bytes), []);
        for _ in 0..100 {
            assert_eq!(receive(&mut connection, now, &[0; 1000]), []);
        }
        assert!(!connection.wants_write());
    }
}

#[test]
fn message_over_the_limit_fails_with_1009_before_its_payload_arrives() {
    for role in ROLES {
        let limits = Limits {
            max_message_size: 1000,
            ..Limits::default()
        };
        let whole = |len| vec![Frame::new(OpCode::Binary, vec![7; len])];
        let cut = |first, second| {
            vec![
                Frame::new(OpCode::Binary, vec![7; first]).not_fin(),
                Frame::new(OpCode::Continuation, vec![7; second]),
            ]
        };
        for frames in [whole(1000), cut(1000, 0), cut(0, 1000), cut(400, 600)] {
            let mut connection = with_limits(role, limits);
            let events = receive(&mut connection, Instant::now(), &bytes_to(role, &frames));
            assert_eq!(events, [Event::Message(Message::binary(vec![7; 1000]))]);
        }
        for frames in [whole(1001), cut(1000, 1), cut(0, 1001), cut(401, 600)] {
            let now = Instant::now();
            let mut connection = with_limits(role, limits);
            let mut bytes = bytes_to(role, &frames);
            bytes.truncate(bytes.len() - frames.last().unwrap().payload.len());
            assert_eq!(receive(&mut connection, now, &bytes), []);
            assert_failed(&mut connection, now, 1009);
        }
    }
}

#[test]
fn endless_small_fragments_fail_with_1008() {
    for payload in ["", "x"] {
        let now = Instant::now();
        let mut connection = with_limits(
            Role::Client,
            Limits {
                max_small_fragments: 100,
                ..Limits::default()
            },
        );
        let first = Frame::new(OpCode::Binary, payload)
            .not_fin()
            .to(Role::Client);
        let next = Frame::new(OpCode::Continuation, payload)
            .not_fin()
            .to(Role::Client);
        assert_eq!(receive(&mut connection, now, &first), []);
        for _ in 1..100 {
            assert_eq!(receive(&mut connection, now, &next), []);
            assert!(!connection.wants_write());
        }
        connection.receive(now, &next);
        assert_failed(&mut connection, now, 1008);
    }
}

#[test]
fn fragment_count_is_for_each_message_and_leaves_real_traffic_alone() {
    let now = Instant::now();
    let mut connection = with_limits(
        Role::Client,
        Limits {
            max_small_fragments: 3,
            ..Limits::default()
        },
    );
    let message = |size: usize, count: usize| {
        let fragment = vec![7; size];
        let mut frames = vec![Frame::new(OpCode::Binary, &fragment).not_fin()];
        frames.resize(count, Frame::new(OpCode::Continuation, &fragment).not_fin());
        frames.push(Frame::new(OpCode::Continuation, ""));
        bytes_to(Role::Client, &frames)
    };
    for _ in 0..3 {
        assert_eq!(receive(&mut connection, now, &message(1, 3)).len(), 1);
    }
    // 4 MiB in fragments of 64 bytes, as the Autobahn test suite sends it.
    let events = receive(&mut connection, now, &message(64, 65536));
    assert_eq!(events, [Event::Message(Message::binary(vec![7; 4 << 20]))]);
}

#[test]
fn ping_flood_is_answered_once_with_the_newest() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = Connection::new(role, Config::default());
        for n in 0..10_000u32 {
            let ping = Frame::new(OpCode::Ping, n.to_be_bytes()).to(role);
            assert_eq!(receive(&mut connection, now, &ping).len(), 1);
        }
        assert_eq!(
            written_frames(&mut connection, now),
            [Frame::new(OpCode::Pong, 9999u32.to_be_bytes())]
        );
    }
}

#[test]
fn pings_that_come_together_are_answered_one_by_one_until_they_are_a_flood() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = Connection::new(role, Config::default());
        let frames = |opcode, numbers: std::ops::Range<u8>| -> Vec<Frame> {
            numbers.map(|n| Frame::new(opcode, [n])).collect()
        };
        // Each round begins anew: what has been answered does not count.
        for (pings, pongs) in [
            (10, 0..10),
            (16, 0..16),
            (17, 16..17),
            (40, 39..40),
            (2, 0..2),
        ] {
            let bytes = bytes_to(role, &frames(OpCode::Ping, 0..pings));
            receive(&mut connection, now, &bytes);
            assert_eq!(
                written_frames(&mut connection, now),
                frames(OpCode::Pong, pongs)
            );
        }
    }
}

#[test]
fn peer_that_pings_and_never_reads_costs_one_pong_and_one_to_come() {
    let now = Instant::now();
    let mut connection = server();
    let ping = |n: u32| Frame::new(OpCode::Ping, n.to_be_bytes()).to(Role::Server);
    receive(&mut connection, now, &ping(0));
    // The transport takes one byte of the first Pong and then no more.
    let mut written = write_some(&mut connection, now, 1);
    for n in 1..=10_000 {
        receive(&mut connection, now, &ping(n));
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let filled = connection.output(&mut slices);
        let shown: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        assert_eq!(shown, 5);
    }
    written.extend(write_all(&mut connection, now));
    let pong = |n: u32| Frame::new(OpCode::Pong, n.to_be_bytes());
    assert_eq!(parse_frames(&written), [pong(0), pong(10_000)]);
}

#[test]
fn pending_output_is_bounded_and_a_peer_that_stops_reading_is_dropped() {
    let mut now = Instant::now();
    let config = Config {
        limits: Limits {
            max_pending_output: 1000,
            ..Limits::default()
        },
        timeouts: Timeouts {
            stalled_write: Some(Duration::from_secs(30)),
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let mut connection = Connection::new(Role::Server, config);
    let message = Message::binary(vec![7; 400]);
    assert_eq!(connection.send(now, message.clone()), Ok(()));
    assert_eq!(connection.send(now, message.clone()), Ok(()));
    let error = connection.send(now, message.clone()).unwrap_err();
    assert_eq!((error.refusal, error.message), (Refusal::Full, message));

    // Progress starts the time anew.
    let deadline = connection.poll_timeout().unwrap();
    assert_eq!(deadline, now + Duration::from_secs(30));
    now = deadline - Duration::from_secs(1);
    write_some(&mut connection, now, 1);
    connection.handle_timeout(deadline);
    assert!(!connection.is_terminated());

    now += Duration::from_secs(30);
    assert_eq!(connection.poll_timeout(), Some(now));
    connection.handle_timeout(now);
    assert!(connection.is_terminated() && !connection.wants_write());
    assert_eq!(
        closed_error(&mut connection),
        ConnectionError::PeerNotReading
    );
}

#[test]
fn stalled_write_timer_rests_while_nothing_waits() {
    let now = Instant::now();
    let mut connection = Connection::new(Role::Server, Config::server());
    assert_eq!(connection.poll_timeout(), None);
    connection.send(now, Message::text("x")).unwrap();
    assert!(connection.poll_timeout().is_some());
    write_all(&mut connection, now);
    assert_eq!(connection.poll_timeout(), None);
    // A Pong that is owed is output too.
    receive(
        &mut connection,
        now,
        &Frame::new(OpCode::Ping, "").to(Role::Server),
    );
    assert!(connection.poll_timeout().is_some());
}

#[test]
fn every_client_frame_has_a_key_of_its_own() {
    let now = Instant::now();
    let config = Config {
        fragment_size: std::num::NonZeroUsize::new(10),
        ..Config::default()
    };
    let mut connection = Connection::new(Role::Client, config);
    for _ in 0..100 {
        connection.send(now, Message::binary(vec![0; 100])).unwrap();
    }
    // The payload is zero, so what is on the wire is the key.
    let bytes = write_all(&mut connection, now);
    let keys: std::collections::HashSet<&[u8]> =
        bytes.chunks(2 + 4 + 10).map(|frame| &frame[2..6]).collect();
    assert_eq!(bytes.len(), 1000 * 16);
    assert!(keys.len() >= 999, "{} keys in 1000 frames", keys.len());
}

#[test]
fn invalid_utf8_fails_with_1007_at_the_first_impossible_byte_inside_a_fragment() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = Connection::new(role, Config::default());
        let text = "κόσμε".as_bytes();
        let mut payload = text.to_vec();
        payload.extend(b"\xED\xA0\x80edited");
        payload.resize(1000, b'x');
        let bytes = Frame::new(OpCode::Text, &payload).not_fin().to(role);
        let header = bytes.len() - payload.len();
        // Up to the lead byte of the surrogate nothing is wrong; its second byte is impossible.
        assert_eq!(
            receive(&mut connection, now, &bytes[..header + text.len() + 1]),
            []
        );
        assert!(!connection.wants_write());
        assert_eq!(
            receive(&mut connection, now, &bytes[header + text.len() + 1..][..1]),
            []
        );
        assert_failed(&mut connection, now, 1007);
    }
}

#[test]
fn close_codes_are_accepted_as_the_registry_stands_and_others_fail_with_1002() {
    for code in 0..=u16::MAX {
        let now = Instant::now();
        let mut connection = client();
        let events = receive(&mut connection, now, &Frame::close(code).to(Role::Client));
        if matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            let code = CloseCode::new(code).unwrap();
            assert_eq!(events, [Event::CloseReceived(Some(code.into()))]);
        } else {
            assert_eq!(events, []);
            assert_failed(&mut connection, now, 1002);
        }
    }
}

#[test]
fn messages_before_an_offence_in_the_same_bytes_are_delivered() {
    let now = Instant::now();
    let mut connection = client();
    let mut bytes = bytes_to(Role::Client, &[Frame::text("one"), Frame::text("two")]);
    bytes.extend([0x83, 0]);
    let events = receive(&mut connection, now, &bytes);
    assert_eq!(
        events,
        [
            Event::Message(Message::text("one")),
            Event::Message(Message::text("two"))
        ]
    );
    assert_failed(&mut connection, now, 1002);
}

#[test]
fn bytes_are_taken_up_to_the_events_that_are_wanted() {
    for role in ROLES {
        let frames = [
            Frame::text("one"),
            Frame::text("two"),
            Frame::close(1000),
            Frame::text("three"),
        ];
        let bytes = bytes_to(role, &frames);
        let (mut connection, mut rest) = (Connection::new(role, Config::default()), &bytes[..]);
        let now = Instant::now();
        for text in ["one", "two"] {
            connection.receive_up_to(now, &mut rest, 1);
            // The second call finds what it wants, and takes nothing.
            let left = rest.len();
            connection.receive_up_to(now, &mut rest, 1);
            assert_eq!(rest.len(), left);
            assert_eq!(
                events(&mut connection),
                [Event::Message(Message::text(text))]
            );
        }
        connection.receive_up_to(now, &mut rest, 1);
        assert!(rest.is_empty(), "what comes after a Close frame is kept");
        assert!(matches!(
            events(&mut connection)[..],
            [Event::CloseReceived(_)]
        ));
    }
}
