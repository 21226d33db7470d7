//! Properties over all inputs: what one endpoint encodes the other decodes, however it is cut; and
//! no bytes whatever make an endpoint panic, hang or hoard memory.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use we_net::protocol::{
    Config, Connection, Event, FrameHeader, Limits, MaskKey, Message, OpCode, Role, Rsv,
};

use crate::support::*;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        // A failure prints its input; that belongs in a test, not in a file of seeds.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn message() -> impl Strategy<Value = Message> {
    let len = prop_oneof![0..300usize, 120..130usize, 65_530..65_540usize];
    prop_oneof![
        2 => any::<String>().prop_map(Message::text),
        2 => (len, any::<u8>()).prop_map(|(len, seed)| {
            let byte = |i: usize| (i as u8).wrapping_mul(31).wrapping_add(seed);
            Message::binary((0..len).map(byte).collect::<Vec<_>>())
        }),
    ]
}

fn small_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "\\PC{0,30}".prop_map(Message::text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Message::binary),
        Just(Message::binary(vec![3; 130])),
    ]
}

fn encode(sender: Role, fragment_size: Option<usize>, messages: &[Message]) -> Vec<u8> {
    let now = Instant::now();
    let config = Config {
        fragment_size: fragment_size.and_then(NonZeroUsize::new),
        ..Config::default()
    };
    let mut connection = Connection::new(sender, config);
    for message in messages {
        connection.send(now, message.clone()).unwrap();
    }
    write_all(&mut connection, now)
}

fn decode<'a>(sender: Role, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Message> {
    let receiver = match sender {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    let mut connection = Connection::new(receiver, Config::default());
    for chunk in chunks {
        connection.receive(Instant::now(), chunk);
    }
    assert!(!connection.wants_write(), "failed: {connection:?}");
    events(&mut connection)
        .into_iter()
        .map(|event| match event {
            Event::Message(message) => message,
            other => panic!("{other:?}"),
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn headers_survive_encoding_in_their_shortest_form(
        bits in 0..8u8,
        opcode in prop::sample::select(vec![OpCode::Text, OpCode::Binary, OpCode::Continuation]),
        fin in any::<bool>(),
        mask in prop::option::of(any::<[u8; 4]>()),
        payload_len in prop_oneof![0..200u64, 65_500..65_600u64, 0..=u64::MAX >> 1],
    ) {
        let rsv = [Rsv::RSV1, Rsv::RSV2, Rsv::RSV3]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| bits & (1 << bit) != 0)
            .fold(Rsv::NONE, |rsv, (_, bit)| rsv | bit);
        let mask = mask.map(MaskKey::new);
        let header = FrameHeader { fin, rsv, opcode, mask, payload_len };
        let bytes = header.encode();
        let length = match payload_len {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        };
        prop_assert_eq!(bytes.len(), 2 + length + if mask.is_some() { 4 } else { 0 });
        prop_assert_eq!(FrameHeader::parse(&bytes), Ok(Some((header, bytes.len()))));
    }

    #[test]
    fn messages_survive_a_cut_at_every_byte(
        sender in role(),
        fragment_size in prop::option::of(1..40usize),
        messages in prop::collection::vec(small_message(), 1..4),
    ) {
        let bytes = encode(sender, fragment_size, &messages);
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            prop_assert_eq!(&decode(sender, [head, tail].into_iter()), &messages);
        }
        prop_assert_eq!(&decode(sender, bytes.chunks(1)), &messages);
    }

    #[test]
    fn messages_survive_random_cuts(
        sender in role(),
        fragment_size in prop::option::of(1..70_000usize),
        messages in prop::collection::vec(message(), 1..6),
        lens in prop::collection::vec(1..20_000usize, 1..30),
    ) {
        let fragment_size = fragment_size.map(|size| size.max(50));
        let bytes = encode(sender, fragment_size, &messages);
        let mut rest = bytes.as_slice();
        let mut lens = lens.iter().cycle();
        let chunks = std::iter::from_fn(|| {
            let len = rest.len().min(*lens.next()?);
            let (chunk, after) = rest.split_at(len);
            rest = after;
            (len > 0).then_some(chunk)
        });
        prop_assert_eq!(decode(sender, chunks), messages);
    }
}

/// Bytes that look like frames, more or less.
fn frame_like(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x80, 0x00, 0x89, 0x8A]),
        1 => Just(0x88u8),
        1 => any::<u8>(),
    ];
    let mask_bit = if role == Role::Server { 0x80u8 } else { 0 };
    let len = prop_oneof![
        8 => (0..10u8).prop_map(|len| vec![len]),
        1 => (0..200u8).prop_map(|len| vec![126, 0, len]),
        1 => any::<u64>().prop_map(|len| [&[127], &len.to_be_bytes()[..]].concat()),
        1 => any::<u8>().prop_map(|len| vec![len]),
    ];
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        "\\PC{0,6}".prop_map(String::into_bytes),
        Just(vec![3, 0xE8]),
    ];
    (first, len, payload).prop_map(move |(first, mut len, payload)| {
        len[0] ^= mask_bit;
        let mut bytes = vec![first];
        bytes.extend(len);
        if role == Role::Server {
            bytes.extend([0; 4]);
        }
        bytes.extend(payload);
        bytes
    })
}

fn hostile() -> impl Strategy<Value = (Role, Vec<u8>)> {
    role().prop_flat_map(|role| {
        let bytes = prop_oneof![
            1 => prop::collection::vec(any::<u8>(), 0..500),
            4 => prop::collection::vec(frame_like(role), 0..40).prop_map(|frames| frames.concat()),
        ];
        (Just(role), bytes)
    })
}

fn pong_to(event: &Event) -> Option<Frame> {
    match event {
        Event::Ping(payload) => Some(Frame::new(OpCode::Pong, payload)),
        _ => None,
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::Message(message) => message.len(),
        Event::Ping(payload) | Event::Pong(payload) => payload.len(),
        Event::CloseReceived(_) | Event::Closed(_) => 0,
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn no_bytes_do_harm((role, bytes) in hostile(), chunk in 1..50usize) {
        let mut now = Instant::now();
        let limits = Limits { max_message_size: 300, max_small_fragments: 20, ..Limits::default() };
        let mut whole = with_limits(role, limits);
        let mut cut = with_limits(role, limits);

        let at_once = receive(&mut whole, now, &bytes);
        let mut in_pieces = Vec::new();
        for chunk in bytes.chunks(chunk) {
            in_pieces.extend(receive(&mut cut, now, chunk));
        }
        // How the bytes were cut is of no account.
        prop_assert_eq!(&at_once, &in_pieces);
        prop_assert_eq!(whole.state(), cut.state());

        // What comes out is no more than what went in, and the answers to Pings and to the end
        // besides: all of a few Pings, of a flood the newest.
        prop_assert!(at_once.iter().map(weight).sum::<usize>() <= bytes.len());
        let mut frames = written_frames(&mut cut, now);
        if frames.last().is_some_and(|frame| frame.opcode == OpCode::Close) {
            frames.pop();
        }
        let mut pings: Vec<_> = at_once.iter().filter_map(pong_to).collect();
        if pings.len() > 16 {
            pings.drain(..pings.len() - 1);
        }
        prop_assert_eq!(frames, pings);

        // Whatever has happened, the connection ends when its transport is silent.
        cut.close(now, None);
        write_all(&mut cut, now);
        for _ in 0..3 {
            now += Duration::from_secs(3600);
            cut.handle_timeout(now);
        }
        prop_assert!(cut.is_terminated());
        let end = events(&mut cut);
        prop_assert!(matches!(end.as_slice(), [Event::Closed(_)]), "{:?}", end);
    }
}
