//! `we-net`.

use std::hint::black_box;
use std::io::{IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use futures_executor::block_on;
use tokio::io::ReadBuf;
use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate};
use we_net::protocol::{Config, Connection, Event, Message, Payload, ReadBuffer, Role, Text};
use we_net::transport::Driver;

use super::{Job, check_received, check_written, clocked, in_turns};
use crate::case::{self, Case, Task};
use crate::memory::Memory;

/// As much as the driver reads at once.
const BUFFER: usize = 64 << 10;

fn open(case: &Case) -> Connection {
    let (role, config) = match case.role {
        case::Role::Server => (Role::Server, Config::server()),
        case::Role::Client => (Role::Client, Config::default()),
    };
    let connection = Connection::new(role, config);
    if !case.compressed {
        return connection;
    }
    // Every message by itself: the same one over and over would compress to nothing.
    let params = DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..DeflateParams::default()
    };
    let deflate = PerMessageDeflate::new(role, &DeflateConfig::default(), &params);
    connection.with_extension(Box::new(deflate))
}

fn message(case: &Case) -> Message {
    if case.kind.is_text() {
        Message::Text(Text::from(case.text()))
    } else {
        Message::Binary(Payload::from(&case.payload[..]))
    }
}

/// The length of what an event brings.
fn taken(event: Event) -> u64 {
    match black_box(event) {
        Event::Message(message) => message.len() as u64,
        _ => 0,
    }
}

/// The state machine on a loop of its caller's, which reads, takes events, writes.
pub fn connection(case: &Case) -> Option<Job> {
    let (mut memory, mut connection) = (Memory::new(&case.tape), open(case));
    let case = case.clone();
    let mut buffer = ReadBuffer::with_capacity(BUFFER);
    let mut now = Instant::now();
    Some(match case.task {
        Task::Decode => Box::new(move |n| {
            clocked(|| {
                let (mut messages, mut bytes) = (0, 0);
                while messages < n {
                    if let Some(event) = connection.next_event(now, &mut buffer) {
                        messages += 1;
                        bytes += taken(event);
                        continue;
                    }
                    let mut read = |room: &mut ReadBuf<'_>| memory.fill(room);
                    if !connection.read_payload(Instant::now, &mut read) {
                        let size = connection.read_size(&buffer);
                        buffer.read_with(size, |room| memory.read(room).unwrap_or_default());
                        now = Instant::now();
                    }
                }
                check_received(&case, messages, bytes);
            })
        }),
        Task::Encode => Box::new(move |n| {
            let before = memory.written();
            let time = in_turns(
                &case,
                n,
                || message(&case),
                |turn| {
                    let now = Instant::now();
                    for message in turn {
                        assert!(connection.send(now, message).is_ok());
                    }
                    while connection.wants_write() {
                        // Mostly there are few.
                        let mut few = [IoSlice::new(&[]); 4];
                        let mut many;
                        let slices = match connection.output(&mut few) {
                            4 => {
                                many = [IoSlice::new(&[]); 64];
                                let filled = connection.output(&mut many);
                                &many[..filled]
                            }
                            filled => &few[..filled],
                        };
                        let written = memory.write_vectored(slices).unwrap_or_default();
                        connection.output_written(now, written);
                    }
                },
            );
            check_written(&case, n, memory.written() - before);
            time
        }),
    })
}

/// The state machine behind the driver, on a stream of tokio's kind.
pub fn driver(case: &Case) -> Option<Job> {
    let mut driver = Driver::new(Memory::new(&case.tape), open(case));
    let case = case.clone();
    let written = |driver: &Driver<Memory>| driver.stream().map_or(0, Memory::written);
    Some(match case.task {
        Task::Decode => Box::new(move |n| {
            clocked(|| {
                block_on(async {
                    let mut bytes = 0;
                    for _ in 0..n {
                        bytes += driver.next_event().await.map_or(0, taken);
                    }
                    check_received(&case, n, bytes);
                });
            })
        }),
        Task::Encode => Box::new(move |n| {
            let before = written(&driver);
            let time = in_turns(
                &case,
                n,
                || message(&case),
                |turn| {
                    for message in turn {
                        assert!(driver.send(message).is_ok());
                    }
                    block_on(driver.flush());
                },
            );
            check_written(&case, n, written(&driver) - before);
            time
        }),
    })
}

/// A tape of 1 MiB of text, compressed by the other end.
pub fn compressed_tape(case: &Case) -> Arc<[u8]> {
    let mut sender = open(&Case {
        role: match case.role {
            case::Role::Server => case::Role::Client,
            case::Role::Client => case::Role::Server,
        },
        ..case.clone()
    });
    let mut tape = Vec::new();
    let now = Instant::now();
    for _ in 0..((1 << 20) / case.size()).max(1) {
        assert!(sender.send(now, message(case)).is_ok());
        while sender.wants_write() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = sender.output(&mut slices);
            let written = tape.write_vectored(&slices[..filled]).unwrap_or_default();
            sender.output_written(now, written);
        }
    }
    tape.into()
}
