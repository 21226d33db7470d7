//! A caller that owns what it reads into ([`Connection::next_event`], [`Connection::read_payload`]) gets the same as one
//! that lends its bytes ([`Connection::receive`]), however the transport cuts them, and keeps it while it reads on.

use std::ops::Range;
use std::time::Instant;

use proptest::prelude::*;
use tokio::io::ReadBuf;
use we_net::protocol::{
    CloseCode, Closure, Config, Connection, Event, Message, OpCode, ReadBuffer, Role,
};

use crate::support::*;

/// A transport that gives so many bytes at a time.
struct Tape<'a> {
    bytes: &'a [u8],
    lens: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl<'a> Tape<'a> {
    fn new(bytes: &'a [u8], lens: &'a [usize]) -> Self {
        let lens = lens.iter().cycle();
        Self { bytes, lens }
    }

    fn read(&mut self, room: &mut [u8]) -> usize {
        let len = self.lens.next().copied().unwrap_or(1);
        let len = len.min(room.len()).min(self.bytes.len());
        let (read, rest) = self.bytes.split_at(len);
        room[..len].copy_from_slice(read);
        self.bytes = rest;
        len
    }
}

/// What came of it.
struct Outcome {
    /// All events, each kept until the end.
    events: Vec<Event>,
    /// How often a payload was read to where it belongs.
    direct: u32,
}

fn read_all(connection: &mut Connection, mut tape: Tape<'_>, capacity: usize) -> Outcome {
    let now = Instant::now();
    let mut buffer = ReadBuffer::with_capacity(capacity);
    let mut events = Vec::new();
    let mut direct = 0;
    loop {
        events.extend(std::iter::from_fn(|| {
            connection.next_event(now, &mut buffer)
        }));
        if tape.bytes.is_empty() {
            return Outcome { events, direct };
        }
        let mut read = |room: &mut ReadBuf<'_>| {
            let len = tape.read(room.initialize_unfilled());
            room.advance(len);
        };
        if connection.read_payload(|| now, &mut read) {
            direct += 1;
            continue;
        }
        let size = connection.read_size(&buffer);
        let before = buffer.unread().len();
        buffer.read_with(size, |room| {
            assert!(!room.is_empty());
            tape.read(room)
        });
        assert!(buffer.unread().len() > before);
    }
}

fn frame() -> impl Strategy<Value = Frame> {
    let len = prop_oneof![
        4 => 0..300usize,
        2 => 4000..40_000usize,
        1 => 16_384..16_390usize,
        1 => 60_000..200_000usize,
    ];
    let text = (len.clone(), prop::sample::select(vec!["a", "ä", "€", "😀"]))
        .prop_map(|(len, letter)| Frame::text(&letter.repeat(len / letter.len())));
    let binary = (len, any::<u8>()).prop_map(|(len, seed)| {
        let byte = |i: usize| (i as u8).wrapping_mul(31).wrapping_add(seed);
        Frame::new(OpCode::Binary, (0..len).map(byte).collect::<Vec<_>>())
    });
    prop_oneof![
        4 => text,
        4 => binary,
        1 => Just(Frame::new(OpCode::Ping, "ping")),
        1 => Just(Frame::new(OpCode::Pong, "")),
    ]
}

/// A message in one frame or in fragments, with a Ping in between.
fn fragmented() -> impl Strategy<Value = Vec<Frame>> {
    (
        frame(),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    )
        .prop_map(|(frame, cuts)| {
            if frame.opcode.is_control() {
                return vec![frame];
            }
            let mut cuts: Vec<_> = cuts
                .iter()
                .map(|cut| cut.index(frame.payload.len() + 1))
                .collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([frame.payload.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let mut frames: Vec<_> = starts
                .zip(ends)
                .enumerate()
                .map(|(at, (start, end))| {
                    let opcode = if at == 0 {
                        frame.opcode
                    } else {
                        OpCode::Continuation
                    };
                    Frame::new(opcode, &frame.payload[start..end]).not_fin()
                })
                .collect();
            frames.last_mut().unwrap().fin = true;
            if frames.len() > 1 {
                frames.insert(1, Frame::new(OpCode::Ping, "between"));
            }
            frames
        })
}

/// The bytes of some frames, perhaps with one of them changed.
fn stream(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec(fragmented(), 1..8);
    let change = prop::option::weighted(0.3, (any::<prop::sample::Index>(), 1..=255u8));
    (frames, any::<bool>(), change).prop_map(move |(frames, closes, change)| {
        let mut frames = frames.concat();
        frames.extend(closes.then(|| Frame::close(1000)));
        let mut bytes = bytes_to(role, &frames);
        if let Some((at, flip)) = change {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn owned_and_lent_bytes_lead_to_the_same(
        (role, bytes) in prop::sample::select(&ROLES[..]).prop_flat_map(|role| (Just(role), stream(role))),
        lens in prop::collection::vec(prop_oneof![1..20usize, 1..30_000usize, Just(usize::MAX)], 1..20),
        capacity in prop::sample::select(vec![1usize, 100, 20_000, 64 << 10, 300_000]),
    ) {
        let now = Instant::now();
        let mut lent = Connection::new(role, Config::default());
        lent.receive(now, &bytes);
        let expected = events(&mut lent);

        let mut owned = Connection::new(role, Config::default());
        let outcome = read_all(&mut owned, Tape::new(&bytes, &lens), capacity);
        prop_assert_eq!(outcome.events, expected);
        prop_assert_eq!(owned.state(), lent.state());
        prop_assert_eq!(end(&mut owned), end(&mut lent));
    }
}

/// How it ends when the transport does.
fn end(connection: &mut Connection) -> Option<Closure> {
    let now = Instant::now();
    write_all(connection, now);
    connection.receive_eof(now);
    write_all(connection, now);
    events(connection)
        .into_iter()
        .find_map(|event| match event {
            Event::Closed(closure) => Some(closure),
            _ => None,
        })
}

/// Reads these bytes, and says which addresses they could have been read to.
fn read(buffer: &mut ReadBuffer, bytes: &[u8]) -> Range<usize> {
    let mut lies = 0..0;
    buffer.read_with(usize::MAX, |room| {
        room[..bytes.len()].copy_from_slice(bytes);
        let room = room.as_ptr_range();
        lies = room.start as usize..room.end as usize;
        bytes.len()
    });
    lies
}

#[test]
fn long_messages_are_parts_of_the_buffer() {
    let payloads = [7, 8].map(|byte| vec![byte; 10_000]);
    for role in ROLES {
        let frames = payloads
            .each_ref()
            .map(|payload| Frame::new(OpCode::Binary, payload));
        let mut buffer = ReadBuffer::with_capacity(64 << 10);
        let mut connection = Connection::new(role, Config::default());
        let bytes = bytes_to(role, &frames);
        let lies = read(&mut buffer, &bytes);
        let mut kept = Vec::new();
        while let Some(Event::Message(message)) = connection.next_event(Instant::now(), &mut buffer)
        {
            assert!(
                lies.contains(&(message.as_bytes().as_ptr() as usize)),
                "{role:?}"
            );
            kept.push(message);
        }
        // While they are kept nothing is read to where they lie.
        for _ in 0..10 {
            buffer.read_with(usize::MAX, |room| {
                room.fill(9);
                0
            });
        }
        assert_eq!(kept, payloads.clone().map(Message::binary));
    }
}

#[test]
fn short_messages_keep_no_buffer() {
    let mut buffer = ReadBuffer::with_capacity(64 << 10);
    let bytes = Frame::new(OpCode::Binary, [7; 8000]).to(Role::Client);
    let lies = read(&mut buffer, &bytes);
    let mut connection = Connection::new(Role::Client, Config::default());
    let event = connection.next_event(Instant::now(), &mut buffer);
    let Some(Event::Message(message)) = event else {
        panic!("{event:?}");
    };
    assert!(!lies.contains(&(message.as_bytes().as_ptr() as usize)));
}

#[test]
fn the_rest_of_a_long_message_is_read_to_where_it_belongs() {
    for role in ROLES {
        let payload: Vec<u8> = (0..1_000_000u32).map(|i| i as u8).collect();
        let bytes = Frame::new(OpCode::Binary, &payload).to(role);
        let mut connection = Connection::new(role, Config::default());
        let outcome = read_all(&mut connection, Tape::new(&bytes, &[usize::MAX]), 64 << 10);
        assert_eq!(outcome.events, [Event::Message(Message::binary(payload))]);
        assert!(outcome.direct > 3, "{}", outcome.direct);
    }
}

#[test]
fn an_impossible_byte_in_a_long_text_ends_it_before_its_end() {
    for role in ROLES {
        let mut text = vec![b'a'; 1_000_000];
        text[300_000] = 0xFF;
        let bytes = Frame::new(OpCode::Text, &text).to(role);
        let mut connection = Connection::new(role, Config::default());
        let half = &bytes[..500_000];
        let outcome = read_all(&mut connection, Tape::new(half, &[usize::MAX]), 64 << 10);
        assert_eq!(outcome.events, []);
        let frames = written_frames(&mut connection, Instant::now());
        let code = CloseCode::INVALID_DATA.get().to_be_bytes();
        assert!(frames[0].payload.starts_with(&code), "{frames:?}");
    }
}
