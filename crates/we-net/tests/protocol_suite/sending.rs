//! The outbox: what is written, in what order, by which memory, and how it is counted.

use std::io::IoSlice;
use std::num::NonZeroUsize;
use std::time::Instant;

use we_net::protocol::{
    Config, Connection, FrameHeader, Message, MessageRef, OpCode, Payload, Refusal, Role,
};

use crate::support::*;

fn fragmenting(role: Role, size: usize) -> Connection {
    Connection::new(
        role,
        Config {
            fragment_size: NonZeroUsize::new(size),
            ..Config::default()
        },
    )
}

/// The addresses and lengths of what the connection shows.
fn shown(connection: &mut Connection) -> Vec<(*const u8, usize)> {
    let mut slices = [IoSlice::new(&[]); 16];
    let filled = connection.output(&mut slices);
    slices[..filled]
        .iter()
        .map(|s| (s.as_ptr(), s.len()))
        .collect()
}

#[test]
fn connection_is_small() {
    // With the two pointers of its socket this is what a server pays for an idle connection.
    let size = size_of::<Connection>();
    println!(
        "Connection: {size} bytes, Event: {}",
        size_of::<we_net::protocol::Event>()
    );
    assert!(size <= 512, "{size} bytes");
}

#[test]
fn connection_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Connection>();
}

#[test]
fn large_payload_is_written_from_the_callers_memory() {
    let now = Instant::now();
    for role in ROLES {
        let mut connection = Connection::new(role, Config::default());
        let payload = Payload::from(vec![7; 100_000]);
        let address = payload.as_ptr();
        connection.send(now, Message::Binary(payload)).unwrap();
        let shown = shown(&mut connection);
        assert_eq!(shown[1..], [(address, 100_000)], "{role:?}");
        let frames = written_frames(&mut connection, now);
        assert_eq!(frames, [Frame::new(OpCode::Binary, vec![7; 100_000])]);
    }
}

#[test]
fn small_messages_are_gathered_into_one_slice() {
    let now = Instant::now();
    let mut connection = server();
    for _ in 0..100 {
        connection.send(now, Message::text("hello")).unwrap();
    }
    assert_eq!(shown(&mut connection).len(), 1);
    assert_eq!(
        written_frames(&mut connection, now),
        vec![Frame::text("hello"); 100]
    );
}

#[test]
fn messages_small_and_large_keep_their_order() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = Connection::new(role, Config::default());
        let mut expected = Vec::new();
        for n in 0..200usize {
            let payload = vec![n as u8; n * n * 7 % 20_000];
            expected.push(Frame::new(OpCode::Binary, &payload));
            if n % 3 == 0 {
                let message = MessageRef::Binary(&payload);
                connection.send_ref(now, message).unwrap();
            } else {
                connection.send(now, Message::binary(payload)).unwrap();
            }
        }
        assert_eq!(written_frames(&mut connection, now), expected);
        assert_eq!(connection.buffered_amount(), 0);
    }
}

#[test]
fn long_messages_are_cut_into_fragments() {
    for role in ROLES {
        for len in [0, 9, 10, 11, 20, 95] {
            let now = Instant::now();
            let mut connection = fragmenting(role, 10);
            let text: String = "abcdefghij".repeat(10)[..len].to_owned();
            connection.send(now, Message::text(text.as_str())).unwrap();
            let frames = written_frames(&mut connection, now);
            assert_eq!(frames.len(), len.div_ceil(10).max(1));
            for (at, frame) in frames.iter().enumerate() {
                let first = at == 0;
                let opcode = if first {
                    OpCode::Text
                } else {
                    OpCode::Continuation
                };
                assert_eq!(frame.opcode, opcode);
                assert_eq!(frame.fin, at + 1 == frames.len());
                assert!(frame.payload.len() <= 10);
            }
            let whole: Vec<u8> = frames.into_iter().flat_map(|frame| frame.payload).collect();
            assert_eq!(whole, text.as_bytes());
        }
    }
}

#[test]
fn large_fragments_share_the_callers_memory() {
    let now = Instant::now();
    let mut connection = fragmenting(Role::Client, 10_000);
    let payload = Payload::from(vec![7; 25_000]);
    let start = payload.as_ptr();
    connection.send(now, Message::Binary(payload)).unwrap();
    let shown = shown(&mut connection);
    assert_eq!(shown[1], (start, 10_000));
    assert_eq!(shown[3], (start.wrapping_add(10_000), 10_000));
    let frames = written_frames(&mut connection, now);
    let lens: Vec<_> = frames.iter().map(|frame| frame.payload.len()).collect();
    assert_eq!(lens, [10_000, 10_000, 5_000]);
    assert!(
        frames
            .iter()
            .all(|frame| frame.payload.iter().all(|&byte| byte == 7))
    );
}

#[test]
fn buffered_amount_is_exact_at_every_byte() {
    for role in ROLES {
        for fragment_size in [7, 5000, usize::MAX] {
            let now = Instant::now();
            let mut connection = fragmenting(role, fragment_size);
            for len in [0usize, 1, 20, 126, 6000] {
                connection.send(now, Message::binary(vec![9; len])).unwrap();
            }
            connection.ping(now, b"not counted").unwrap();
            connection.close(now, Some(close_frame(1000, "not counted")));
            let mut left = 6147;
            assert_eq!(connection.buffered_amount(), left);

            // Which bytes are message payload is known from a second look at the same bytes.
            let mut written = Vec::new();
            let mut frame_end = 0;
            let (mut payload_start, mut counts) = (0, false);
            while connection.wants_write() {
                written.extend(write_some(&mut connection, now, 1));
                let at = written.len() - 1;
                if counts && (payload_start..frame_end).contains(&at) {
                    left -= 1;
                }
                assert_eq!(connection.buffered_amount(), left, "after byte {at}");
                if frame_end <= at
                    && let Some((header, len)) = FrameHeader::parse(&written[frame_end..]).unwrap()
                {
                    payload_start = frame_end + len;
                    frame_end = payload_start + header.payload_len as usize;
                    counts = !header.opcode.is_control();
                }
            }
            assert_eq!(left, 0);
        }
    }
}

#[test]
fn pong_passes_waiting_messages_but_only_between_frames() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = Connection::new(role, Config::default());
        for text in ["one", "two", "three"] {
            connection.send(now, Message::text(text)).unwrap();
        }
        connection
            .send(now, Message::binary(vec![1; 9000]))
            .unwrap();
        let mut written = write_some(&mut connection, now, 3);
        receive(
            &mut connection,
            now,
            &Frame::new(OpCode::Ping, "?").to(role),
        );
        written.extend(write_all(&mut connection, now));
        assert_eq!(
            parse_frames(&written),
            [
                Frame::text("one"),
                Frame::new(OpCode::Pong, "?"),
                Frame::text("two"),
                Frame::text("three"),
                Frame::new(OpCode::Binary, vec![1; 9000]),
            ]
        );
    }
}

#[test]
fn frames_stay_whole_wherever_pings_and_partial_writes_meet() {
    for cut in 0..40 {
        for step in 1..6 {
            let now = Instant::now();
            let mut connection = client();
            connection.send(now, Message::text("first")).unwrap();
            connection.send(now, Message::text("second")).unwrap();
            let mut written = write_some(&mut connection, now, cut);
            connection.ping(now, b"a").unwrap();
            written.extend(write_some(&mut connection, now, step));
            connection.ping(now, b"b").unwrap();
            receive(
                &mut connection,
                now,
                &Frame::new(OpCode::Ping, "?").to(Role::Client),
            );
            written.extend(write_some(&mut connection, now, step));
            written.extend(write_all(&mut connection, now));
            let frames = parse_frames(&written);
            assert_eq!(frames.len(), 5);
            let position = |frame: Frame| frames.iter().position(|f| *f == frame).unwrap();
            assert!(position(Frame::text("first")) < position(Frame::text("second")));
            let ping = |payload: &str| Frame::new(OpCode::Ping, payload);
            assert!(position(ping("a")) < position(ping("b")));
            position(Frame::new(OpCode::Pong, "?"));
        }
    }
}

#[test]
fn what_was_shown_stays_first_though_more_is_queued_before_it_is_written() {
    let now = Instant::now();
    let mut connection = server();
    connection.send(now, Message::text("shown")).unwrap();
    let mut slices = [IoSlice::new(&[]); 4];
    let filled = connection.output(&mut slices);
    let mut written = gather(&slices[..filled]);
    connection.ping(now, b"later").unwrap();
    connection.send(now, Message::text("more")).unwrap();
    connection.output_written(now, written.len());
    assert_eq!(connection.buffered_amount(), 4);
    written.extend(write_all(&mut connection, now));
    assert_eq!(
        parse_frames(&written),
        [
            Frame::text("shown"),
            Frame::new(OpCode::Ping, "later"),
            Frame::text("more")
        ]
    );
}

#[test]
fn pings_are_limited_in_length_and_number() {
    let now = Instant::now();
    let mut connection = client();
    assert_eq!(
        connection.ping(now, &[0; 126]),
        Err(Refusal::ControlTooLong)
    );
    let accepted = (0..1000)
        .take_while(|_| connection.ping(now, &[0; 125]).is_ok())
        .count();
    assert!((1..20).contains(&accepted), "{accepted}");
    assert_eq!(connection.ping(now, &[0; 125]), Err(Refusal::Full));
    write_all(&mut connection, now);
    assert_eq!(connection.ping(now, &[0; 125]), Ok(()));
}

#[test]
fn one_message_of_any_length_is_accepted_when_nothing_waits() {
    let now = Instant::now();
    let mut config = Config::default();
    config.limits.max_pending_output = 10;
    let mut connection = Connection::new(Role::Server, config);
    connection.send(now, Message::binary(vec![0; 100])).unwrap();
    let refused = connection.send_ref(now, MessageRef::Text(""));
    assert_eq!(refused, Err(Refusal::Full));
    // Of 102 bytes 6 are left: with its header the message is one too many, then it is not.
    write_some(&mut connection, now, 96);
    let refused = connection.send_ref(now, MessageRef::Text("abc"));
    assert_eq!(refused, Err(Refusal::Full));
    write_some(&mut connection, now, 1);
    assert_eq!(connection.send_ref(now, MessageRef::Text("abc")), Ok(()));
}

#[test]
fn headers_of_fragments_count_as_pending_output() {
    let now = Instant::now();
    for role in ROLES {
        let mask = 4 * usize::from(role == Role::Client);
        let mut config = Config {
            fragment_size: NonZeroUsize::new(10),
            ..Config::default()
        };
        // An empty message waits; the next one takes 100 bytes in 10 frames.
        let empty = 2 + mask;
        config.limits.max_pending_output = empty + 100 + 10 * (2 + mask);
        let mut connection = Connection::new(role, config);
        let refused = |connection: &mut Connection, len: usize| {
            let message = Message::binary(vec![0; len]);
            connection.send(now, message).is_err()
        };
        assert!(!refused(&mut connection, 0));
        assert!(refused(&mut connection, 101));
        assert!(!refused(&mut connection, 100));
        assert!(refused(&mut connection, 0));
    }
}

#[test]
fn server_never_masks_and_client_always_does() {
    let now = Instant::now();
    for role in ROLES {
        let mut connection = fragmenting(role, 50);
        connection.send(now, Message::binary(vec![0; 120])).unwrap();
        connection.ping(now, b"").unwrap();
        receive(&mut connection, now, &Frame::new(OpCode::Ping, "").to(role));
        connection.close(now, None);
        let bytes = write_all(&mut connection, now);
        let mut rest = bytes.as_slice();
        while let Some((header, len)) = FrameHeader::parse(rest).unwrap() {
            assert_eq!(header.mask.is_some(), role == Role::Client);
            rest = &rest[len + header.payload_len as usize..];
        }
    }
}

#[test]
fn mask_source_makes_output_repeatable() {
    let now = Instant::now();
    let mut connection = client().with_mask_source(|| [0x37, 0xFA, 0x21, 0x3D]);
    connection.send(now, Message::text("Hello")).unwrap();
    assert_eq!(
        write_all(&mut connection, now),
        [
            0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58
        ]
    );
}
