//! The paths that every message takes, for counting their instructions.

use std::hint::black_box;
use std::io::{IoSlice, Read};
use std::time::Instant;

use futures_executor::block_on;
use tokio::io::ReadBuf;
use we_net::protocol::{Config, Connection, Event, MaskKey, Message, MessageRef, ReadBuffer, Role};
use we_net::transport::Driver;

use crate::case::{self, Case, Kind, Task};
use crate::memory::Memory;

/// How often a path is run while it is counted: enough that what happens rarely (a block of masking keys, a read) has
/// its share.
pub const ITERATIONS: u64 = 2000;

pub struct HotPath {
    pub name: &'static str,
    pub work: fn(u64),
}

pub const HOT_PATHS: [HotPath; 14] = [
    path("decode server text 125 B", |n| {
        decode(case::Role::Server, Kind::Text, 125, n)
    }),
    path("decode server binary 125 B", |n| {
        decode(case::Role::Server, Kind::Binary, 125, n)
    }),
    path("decode server binary 16 KiB", |n| {
        decode(case::Role::Server, Kind::Binary, 16 << 10, n)
    }),
    path("decode client text 125 B", |n| {
        decode(case::Role::Client, Kind::Text, 125, n)
    }),
    path("decode client mixed 1 KiB", |n| {
        decode(case::Role::Client, Kind::Mixed, 1 << 10, n)
    }),
    path("decode client binary 125 B", |n| {
        decode(case::Role::Client, Kind::Binary, 125, n)
    }),
    path("decode client binary 64 KiB", |n| {
        decode(case::Role::Client, Kind::Binary, 64 << 10, n)
    }),
    path("encode server by reference 125 B", |n| {
        encode(Role::Server, 125, n)
    }),
    path("encode client by reference 125 B", |n| {
        encode(Role::Client, 125, n)
    }),
    path("encode client by reference 1 KiB", |n| {
        encode(Role::Client, 1 << 10, n)
    }),
    path("encode client owned 64 KiB", |n| {
        encode_owned(Role::Client, 64 << 10, n)
    }),
    path("mask 125 B", |n| mask(125, n)),
    path("mask 1 KiB", |n| mask(1 << 10, n)),
    path("driver ping-pong 125 B", ping_pong),
];

const fn path(name: &'static str, work: fn(u64)) -> HotPath {
    HotPath { name, work }
}

/// What is counted. Callgrind finds it by its name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    black_box(work)();
}

fn decode(role: case::Role, kind: Kind, size: usize, n: u64) {
    let case = Case::new(Task::Decode, role, kind, size);
    let mut memory = Memory::new(&case.tape);
    let mut connection = match role {
        case::Role::Server => Connection::new(Role::Server, Config::server()),
        case::Role::Client => Connection::new(Role::Client, Config::default()),
    };
    let mut buffer = ReadBuffer::with_capacity(64 << 10);
    let now = Instant::now();
    let mut events = 0;
    while events < n {
        let mut is_direct = false;
        measured(&mut || {
            let mut read = |room: &mut ReadBuf<'_>| memory.fill(room);
            is_direct = connection.read_payload(|| now, &mut read);
        });
        if !is_direct {
            let size = connection.read_size(&buffer);
            buffer.read_with(size, |room| memory.read(room).unwrap_or_default());
        }
        measured(&mut || {
            while events < n
                && let Some(event) = connection.next_event(now, &mut buffer)
            {
                black_box(event);
                events += 1;
            }
        });
    }
}

/// Queues sixteen messages, and has them taken at once.
fn encode(role: Role, size: usize, n: u64) {
    let mut connection = Connection::new(role, Config::server());
    let payload = vec![7; size];
    let now = Instant::now();
    for _ in 0..n / 16 {
        measured(&mut || {
            for _ in 0..16 {
                let _ = connection.send_ref(now, MessageRef::Binary(black_box(&payload)));
            }
            write_out(&mut connection, now);
        });
    }
}

fn encode_owned(role: Role, size: usize, n: u64) {
    let mut connection = Connection::new(role, Config::server());
    let payload = vec![7; size];
    let now = Instant::now();
    for _ in 0..n {
        let mut message = Some(Message::binary(payload.as_slice()));
        measured(&mut || {
            if let Some(message) = message.take() {
                let _ = connection.send(now, message);
            }
            write_out(&mut connection, now);
        });
    }
}

fn write_out(connection: &mut Connection, now: Instant) {
    while connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = connection.output(&mut slices);
        let written = slices[..filled].iter().map(|slice| slice.len()).sum();
        connection.output_written(now, black_box(written));
    }
}

fn mask(size: usize, n: u64) {
    let mut data = vec![7; size];
    measured(&mut || {
        for _ in 0..n {
            black_box(MaskKey::new([1, 2, 3, 4]).apply(black_box(&mut data)));
        }
    });
}

/// A server answers one message with another: read, event, send, write. The tape is one message, so each is read by
/// itself.
fn ping_pong(n: u64) {
    let mut case = Case::new(Task::Decode, case::Role::Server, Kind::Binary, 125);
    case.tape = case.tape[..case.frame_len()].into();
    let connection = Connection::new(Role::Server, Config::server());
    let mut driver = Driver::new(Memory::new(&case.tape), connection);
    measured(&mut || {
        block_on(async {
            for _ in 0..n {
                if let Some(Event::Message(message)) = driver.next_event().await {
                    assert!(driver.send(message).is_ok());
                }
            }
        });
    });
}
