//! `tungstenite`: blocking, with a write buffer that it fills before it writes.

use std::hint::black_box;

use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::{Job, check_received, check_written, clocked, in_turns};
use crate::case::{self, Case, Task};
use crate::memory::Memory;

fn message(case: &Case) -> Message {
    let bytes = Bytes::from(case.payload.to_vec());
    if !case.kind.is_text() {
        return Message::Binary(bytes);
    }
    Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default())
}

pub fn job(case: &Case) -> Option<Job> {
    if case.compressed {
        return None;
    }
    let role = match case.role {
        case::Role::Server => Role::Server,
        case::Role::Client => Role::Client,
    };
    let mut socket = WebSocket::from_raw_socket(Memory::new(&case.tape), role, None);
    let case = case.clone();
    Some(match case.task {
        Task::Decode => Box::new(move |n| {
            clocked(|| {
                let mut bytes = 0;
                for _ in 0..n {
                    bytes += socket
                        .read()
                        .map_or(0, |message| black_box(message).len() as u64);
                }
                check_received(&case, n, bytes);
            })
        }),
        Task::Encode => Box::new(move |n| {
            let before = socket.get_ref().written();
            let time = in_turns(
                &case,
                n,
                || message(&case),
                |turn| {
                    for message in turn {
                        assert!(socket.write(message).is_ok());
                    }
                    assert!(socket.flush().is_ok());
                },
            );
            check_written(&case, n, socket.get_ref().written() - before);
            time
        }),
    })
}
