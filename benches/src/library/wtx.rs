//! `wtx`: frames that refer to its read buffer, and that mask in place what they refer to. It has no batches; header
//! and payload go out in one vectored write.

use std::hint::black_box;

use futures_executor::block_on;
use wtx::collection::Vector;
use wtx::rng::{Xorshift64, simple_seed};
use wtx::web_socket::{Frame, OpCode, WebSocket, WebSocketBuffer, WebSocketPayloadOrigin};

use super::{Job, check_received, clocked, in_turns};
use crate::case::{Case, Role, Task};
use crate::memory::Memory;

pub fn job(case: &Case) -> Option<Job> {
    if case.compressed {
        return None;
    }
    Some(match case.role {
        Role::Server => job_as::<false>(case),
        Role::Client => job_as::<true>(case),
    })
}

fn job_as<const IS_CLIENT: bool>(case: &Case) -> Job {
    let mut socket: WebSocket<(), Xorshift64, Memory, WebSocketBuffer, IS_CLIENT> = WebSocket::new(
        (),
        false,
        Xorshift64::from(simple_seed()),
        Memory::new(&case.tape),
        WebSocketBuffer::new(),
    );
    let case = case.clone();
    let opcode = if case.kind.is_text() {
        OpCode::Text
    } else {
        OpCode::Binary
    };
    match case.task {
        Task::Decode => {
            let mut buffer = Vector::new();
            Box::new(move |n| {
                clocked(|| {
                    block_on(async {
                        let mut bytes = 0;
                        for _ in 0..n {
                            buffer.clear();
                            let origin = WebSocketPayloadOrigin::Adaptive;
                            if let Ok(frame) = socket.read_frame(&mut buffer, origin).await {
                                bytes += black_box(frame.payload()).len() as u64;
                            }
                        }
                        check_received(&case, n, bytes);
                    });
                })
            })
        }
        Task::Encode => Box::new(move |n| {
            in_turns(
                &case,
                n,
                || case.payload.to_vec(),
                |turn| {
                    block_on(async {
                        for mut payload in turn {
                            let mut frame =
                                Frame::<_, IS_CLIENT>::new_fin(opcode, &mut payload[..]);
                            assert!(socket.write_frame(&mut frame).await.is_ok());
                        }
                    });
                },
            )
        }),
    }
}
