//! `fastwebsockets`: frames over a stream of tokio's kind; masks in place what it owns. It has no batches.

use std::hint::black_box;

use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket};
use futures_executor::block_on;

use super::{Job, check_received, clocked, in_turns};
use crate::case::{self, Case, Task};
use crate::memory::Memory;

pub fn job(case: &Case) -> Option<Job> {
    if case.compressed {
        return None;
    }
    let role = match case.role {
        case::Role::Server => Role::Server,
        case::Role::Client => Role::Client,
    };
    let mut socket = WebSocket::after_handshake(Memory::new(&case.tape), role);
    let case = case.clone();
    let opcode = if case.kind.is_text() {
        OpCode::Text
    } else {
        OpCode::Binary
    };
    Some(match case.task {
        Task::Decode => Box::new(move |n| {
            clocked(|| {
                block_on(async {
                    let mut bytes = 0;
                    for _ in 0..n {
                        if let Ok(frame) = socket.read_frame().await {
                            bytes += black_box(&frame.payload[..]).len() as u64;
                        }
                    }
                    check_received(&case, n, bytes);
                });
            })
        }),
        Task::Encode => Box::new(move |n| {
            let payload = || case.payload.to_vec();
            in_turns(&case, n, payload, |turn| {
                block_on(async {
                    for payload in turn {
                        let frame = Frame::new(true, opcode, None, Payload::Owned(payload));
                        assert!(socket.write_frame(frame).await.is_ok());
                    }
                    assert!(socket.flush().await.is_ok());
                });
            })
        }),
    })
}
