//! `tokio-websockets`: a sink and a stream of messages. Its messages are parts of its read buffer, which it does not
//! copy from.

use std::hint::black_box;

use bytes::BytesMut;
use futures_executor::block_on;
use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Message, Payload, ServerBuilder};

use super::{Job, check_received, check_written, clocked, in_turns};
use crate::case::{self, Case, Task};
use crate::memory::Memory;

fn message(case: &Case) -> Message {
    let payload = Payload::from(BytesMut::from(&case.payload[..]));
    if case.kind.is_text() {
        Message::text(payload)
    } else {
        Message::binary(payload)
    }
}

pub fn job(case: &Case) -> Option<Job> {
    if case.compressed {
        return None;
    }
    let memory = Memory::new(&case.tape);
    let mut socket = match case.role {
        case::Role::Server => ServerBuilder::new().serve(memory),
        case::Role::Client => ClientBuilder::new().take_over(memory),
    };
    let case = case.clone();
    Some(match case.task {
        Task::Decode => Box::new(move |n| {
            clocked(|| {
                block_on(async {
                    let mut bytes = 0;
                    for _ in 0..n {
                        if let Some(Ok(message)) = socket.next().await {
                            bytes += black_box(message).as_payload().len() as u64;
                        }
                    }
                    check_received(&case, n, bytes);
                });
            })
        }),
        Task::Encode => Box::new(move |n| {
            let before = socket.get_ref().written();
            let time = in_turns(
                &case,
                n,
                || message(&case),
                |turn| {
                    block_on(async {
                        for message in turn {
                            assert!(socket.feed(message).await.is_ok());
                        }
                        assert!(socket.flush().await.is_ok());
                    });
                },
            );
            check_written(&case, n, socket.get_ref().written() - before);
            time
        }),
    })
}
