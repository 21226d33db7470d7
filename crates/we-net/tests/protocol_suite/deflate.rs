//! permessage-deflate beyond the vectors of `fixtures/frames/rfc7692.txt`: every message survives
//! every setting, windows are kept to, no bytes do harm, bombs stop at the limit.

use std::time::Instant;

use proptest::prelude::*;
use we_net::protocol::deflate::{
    CompressionLevel, DeflateConfig, DeflateParams, PerMessageDeflate, WindowBits,
};
use we_net::protocol::{
    Config, Connection, Event, Limits, Message, OpCode, Payload, Role, Rsv, State,
};

use crate::inflate::Inflater;
use crate::support::*;

fn connection(role: Role, limits: Limits, config: &DeflateConfig) -> Connection {
    let params = DeflateParams {
        server_no_context_takeover: config.server_no_context_takeover,
        client_no_context_takeover: config.client_no_context_takeover,
        server_max_window_bits: config.server_max_window_bits,
        client_max_window_bits: config.client_max_window_bits,
    };
    with_limits(role, limits)
        .with_extension(Box::new(PerMessageDeflate::new(role, config, &params)))
}

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// The frames in which `sender` sends these messages, each sent when the one before was written.
fn sent(sender: Role, config: &DeflateConfig, messages: &[Message]) -> Vec<Frame> {
    let now = Instant::now();
    let mut connection = connection(sender, Limits::default(), config);
    let mut frames = Vec::new();
    for message in messages {
        connection.send(now, message.clone()).unwrap();
        frames.extend(written_frames(&mut connection, now));
    }
    frames
}

/// Bytes without repetition or structure.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn json(number: usize) -> Message {
    Message::text(format!(
        r#"{{"type":"message","room":"lobby","from":"user{number}","text":"the quick brown fox jumps over {number} lazy dogs","tags":["a","b"]}}"#
    ))
}

fn window() -> impl Strategy<Value = WindowBits> {
    (8..=15u8).prop_map(|bits| WindowBits::new(bits).unwrap())
}

prop_compose! {
    fn settings()(
        server_no_context_takeover in any::<bool>(),
        client_no_context_takeover in any::<bool>(),
        server_max_window_bits in window(),
        client_max_window_bits in window(),
        level in 1..=9u8,
        threshold in prop_oneof![Just(0), 0..400usize],
    ) -> DeflateConfig {
        DeflateConfig {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            level: CompressionLevel::new(level).unwrap(),
            threshold,
        }
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(ROLES.to_vec())
}

/// Text and bytes of all sorts: short, long, repetitive, with repetition from far away, and such
/// that cannot be compressed.
fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "\\PC{0,60}".prop_map(Message::text),
        ("[ab ]{1,20}", 0..4000usize).prop_map(|(piece, times)| Message::text(piece.repeat(times))),
        (0..20_000usize).prop_map(|len| Message::binary(noise(len))),
        (1..2000usize, 1..60usize)
            .prop_map(|(period, times)| { Message::binary(noise(period).repeat(times)) }),
        (0..100usize).prop_map(json),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn messages_survive_every_setting_and_every_cut(
        sender in role(),
        config in settings(),
        fragment_size in prop::option::of(50..70_000usize),
        messages in prop::collection::vec(message(), 1..8),
        lens in prop::collection::vec(1..5000usize, 1..20),
    ) {
        let now = Instant::now();
        let params = DeflateParams {
            server_no_context_takeover: config.server_no_context_takeover,
            client_no_context_takeover: config.client_no_context_takeover,
            server_max_window_bits: config.server_max_window_bits,
            client_max_window_bits: config.client_max_window_bits,
        };
        let mut from = Connection::new(sender, Config {
            fragment_size: fragment_size.and_then(std::num::NonZeroUsize::new),
            ..Config::default()
        }).with_extension(Box::new(PerMessageDeflate::new(sender, &config, &params)));
        let mut to = connection(other(sender), Limits::default(), &config);
        for message in &messages {
            from.send(now, message.clone()).unwrap();
        }
        let bytes = write_all(&mut from, now);
        prop_assert_eq!(from.buffered_amount(), 0);
        let mut rest = bytes.as_slice();
        for len in lens.iter().cycle() {
            let (chunk, after) = rest.split_at(rest.len().min(*len));
            to.receive(now, chunk);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let received = events(&mut to);
        prop_assert_eq!(to.state(), State::Open);
        let expected: Vec<_> = messages.into_iter().map(Event::Message).collect();
        prop_assert_eq!(received, expected);
    }

    #[test]
    fn compressor_keeps_to_its_window(
        sender in role(),
        config in settings(),
        messages in prop::collection::vec(message(), 1..6),
    ) {
        let bits = match sender {
            Role::Server => config.server_max_window_bits,
            Role::Client => config.client_max_window_bits,
        };
        let forgets = match sender {
            Role::Server => config.server_no_context_takeover,
            Role::Client => config.client_no_context_takeover,
        };
        let mut witness = Inflater::default();
        let frames = sent(sender, &config, &messages);
        for (frame, message) in frames.iter().zip(&messages) {
            if !frame.rsv.contains(Rsv::RSV1) {
                prop_assert_eq!(&frame.payload, message.as_bytes());
                continue;
            }
            prop_assert!(frame.payload.len() < message.len());
            prop_assert!(message.len() >= config.threshold);
            if forgets {
                witness = Inflater::default();
            }
            prop_assert_eq!(witness.message(&frame.payload), message.as_bytes());
            prop_assert!(witness.furthest() <= 1 << bits.get(), "{} bytes back", witness.furthest());
        }
    }
}

/// Frames with payloads that are DEFLATE, nearly, or not at all.
fn frame_like() -> impl Strategy<Value = Frame> {
    let opcode = prop::sample::select(vec![OpCode::Text, OpCode::Binary, OpCode::Continuation]);
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(vec![
            &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00][..],
            &[0xF2, 0x00, 0x11, 0x00, 0x00],
            &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
            &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48],
            &[0x00],
            &[0x03, 0x00],
            &[0x00, 0x00, 0xFF, 0xFF],
            &[0x62, 0x18, 0x05, 0xA3, 0x60, 0x14, 0x8C, 0x82, 0x51, 0x00],
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    (opcode, any::<bool>(), any::<bool>(), payload).prop_map(|(opcode, fin, rsv1, payload)| {
        let first = opcode != OpCode::Continuation;
        Frame {
            fin,
            rsv: if rsv1 && first { Rsv::RSV1 } else { Rsv::NONE },
            opcode,
            payload,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_do_harm(
        role in role(),
        config in settings(),
        frames in prop::collection::vec(frame_like(), 0..20),
        chunk in 1..50usize,
    ) {
        let now = Instant::now();
        let limits = Limits { max_message_size: 300, ..Limits::default() };
        let bytes = bytes_to(role, &frames);
        let mut whole = connection(role, limits, &config);
        let mut cut = connection(role, limits, &config);
        let at_once = receive(&mut whole, now, &bytes);
        let mut in_pieces = Vec::new();
        for chunk in bytes.chunks(chunk) {
            in_pieces.extend(receive(&mut cut, now, chunk));
        }
        prop_assert_eq!(&at_once, &in_pieces);
        prop_assert_eq!(whole.state(), cut.state());
        for event in at_once {
            if let Event::Message(message) = event {
                prop_assert!(message.len() <= 300);
            }
        }
    }
}

/// DEFLATE of this many zeros, as a message's payload.
fn compressed_zeros(len: usize) -> Vec<u8> {
    let config = DeflateConfig {
        level: CompressionLevel::BEST,
        ..DeflateConfig::default()
    };
    let frames = sent(Role::Server, &config, &[Message::binary(vec![0; len])]);
    assert_eq!(frames.len(), 1);
    frames[0].payload.clone()
}

#[test]
fn bomb_stops_at_the_limit_and_not_one_byte_later() {
    let len = 10 << 20;
    let bomb = Frame::new(OpCode::Binary, compressed_zeros(len)).rsv(Rsv::RSV1);
    assert!(bomb.payload.len() < 20_000);
    for role in ROLES {
        for config in [DeflateConfig::default(), DeflateConfig::shared()] {
            let now = Instant::now();
            let limits = |max_message_size| Limits {
                max_message_size,
                ..Limits::default()
            };
            let mut exact = connection(role, limits(len), &config);
            let event = Event::Message(Message::binary(vec![0; len]));
            assert_eq!(receive(&mut exact, now, &bomb.to(role)), [event]);

            let mut one_less = connection(role, limits(len - 1), &config);
            assert_eq!(receive(&mut one_less, now, &bomb.to(role)), []);
            assert_failed(&mut one_less, now, 1009);

            // It stops within the data, not at its end.
            let mut small = connection(role, limits(100_000), &config);
            let mut taken = 0;
            for chunk in bomb.to(role).chunks(50) {
                small.receive(now, chunk);
                assert_eq!(events(&mut small), []);
                if small.state() != State::Open {
                    break;
                }
                taken += chunk.len();
            }
            assert!(taken < 500, "{taken} bytes of {}", bomb.payload.len());
            assert_failed(&mut small, now, 1009);
        }
    }
}

#[test]
fn bomb_in_a_bomb_is_opened_once() {
    let inner = compressed_zeros(10 << 20);
    let outer = sent(
        Role::Server,
        &DeflateConfig::default(),
        &[Message::binary(inner.clone())],
    );
    assert!(outer[0].rsv.contains(Rsv::RSV1));
    let limits = Limits {
        max_message_size: inner.len(),
        ..Limits::default()
    };
    let mut client = connection(Role::Client, limits, &DeflateConfig::default());
    let bytes = outer[0].to(Role::Client);
    assert_eq!(
        receive(&mut client, Instant::now(), &bytes),
        [Event::Message(Message::binary(inner))]
    );
}

#[test]
fn window_that_is_kept_shortens_what_is_repeated() {
    let messages: Vec<_> = (0..20).map(json).collect();
    for sender in ROLES {
        let total = |config: &DeflateConfig| -> usize {
            let config = DeflateConfig {
                threshold: 0,
                ..*config
            };
            let frames = sent(sender, &config, &messages);
            frames.iter().map(|frame| frame.payload.len()).sum()
        };
        let (kept, forgotten) = (
            total(&DeflateConfig::default()),
            total(&DeflateConfig::shared()),
        );
        assert!(3 * kept < forgotten, "{kept}, {forgotten}");
    }
}

#[test]
fn short_messages_and_noise_go_out_as_they_are() {
    let config = DeflateConfig::default();
    let below = Message::text("a".repeat(config.threshold - 1));
    let at = Message::text("a".repeat(config.threshold));
    let noise = Message::binary(noise(5000));
    for sender in ROLES {
        let messages = [
            below.clone(),
            at.clone(),
            Message::binary(Payload::new()),
            noise.clone(),
            at.clone(),
        ];
        let frames = sent(sender, &config, &messages);
        let compressed: Vec<_> = frames.iter().map(|frame| frame.rsv == Rsv::RSV1).collect();
        assert_eq!(compressed, [false, true, false, false, true]);
    }
}

#[test]
fn compressor_rests_when_it_does_not_pay_and_tries_again() {
    let noise = Message::binary(noise(1000));
    let text = Message::text("text ".repeat(100));
    let mut messages = vec![noise; 10];
    messages.extend(vec![text; 40]);
    let frames = sent(Role::Server, &DeflateConfig::default(), &messages);
    let compressed: Vec<_> = frames.iter().map(|frame| frame.rsv == Rsv::RSV1).collect();
    let first = compressed
        .iter()
        .position(|compressed| *compressed)
        .unwrap();
    assert!((10..26).contains(&first), "{first}");
    assert!(compressed[first..].iter().all(|compressed| *compressed));
}

#[test]
fn message_that_is_given_up_half_way_leaves_nothing_behind() {
    // Half of it gets shorter, so its compressed data is long.
    let half = noise(100_000)
        .chunks(50)
        .flat_map(|chunk| [chunk, &[b' '; 50]].concat())
        .collect::<Vec<_>>();
    // Compressed, the first has a little more than the 16 KiB that are taken from the compressor at a time.
    let messages = [Message::binary(noise(16_000)), Message::binary(half)];
    for level in 1..=9 {
        for bits in 8..=15 {
            let config = DeflateConfig {
                server_max_window_bits: WindowBits::new(bits).unwrap(),
                level: CompressionLevel::new(level).unwrap(),
                ..DeflateConfig::default()
            };
            let frames = sent(Role::Server, &config, &messages);
            assert_eq!(frames[0].payload, messages[0].as_bytes());
            assert_eq!(frames[1].rsv, Rsv::RSV1);
            assert_eq!(
                Inflater::default().message(&frames[1].payload),
                messages[1].as_bytes()
            );
        }
    }
}

#[test]
fn end_may_forget_its_window_without_being_asked_to() {
    // The client's configuration says so, although the server has not asked for it.
    let config = DeflateConfig {
        client_no_context_takeover: true,
        threshold: 0,
        ..DeflateConfig::default()
    };
    let deflate = PerMessageDeflate::new(Role::Client, &config, &DeflateParams::default());
    let mut client = client().with_extension(Box::new(deflate));
    let now = Instant::now();
    let mut lens = Vec::new();
    for _ in 0..2 {
        client.send(now, json(1)).unwrap();
        lens.push(written_frames(&mut client, now)[0].payload.len());
    }
    assert_eq!(lens[0], lens[1]);
}

#[test]
fn text_is_checked_while_it_is_inflated() {
    let bad = [b"ok ".repeat(1000), vec![0xFF], b"ok ".repeat(1000)].concat();
    let config = DeflateConfig {
        threshold: 0,
        ..DeflateConfig::default()
    };
    for role in ROLES {
        let frame = &sent(other(role), &config, &[Message::binary(bad.clone())])[0];
        let text = Frame {
            opcode: OpCode::Text,
            ..frame.clone()
        };
        let now = Instant::now();
        let mut connection = connection(role, Limits::default(), &config);
        let bytes = text.to(role);
        // All but the last bytes: the message has not ended.
        assert_eq!(receive(&mut connection, now, &bytes[..bytes.len() - 3]), []);
        assert_failed(&mut connection, now, 1007);
    }
}
