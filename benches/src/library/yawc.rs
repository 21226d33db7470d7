//! `yawc`: frames, through a codec of tokio's kind that gathers them.

use std::hint::black_box;

use bytes::Bytes;
use futures_executor::block_on;
use futures_util::SinkExt;
use yawc::{CompressionLevel, Frame, Options, Role, WebSocket};

use super::{Job, check_received, clocked, in_turns};
use crate::case::{self, Case, Task};
use crate::memory::Memory;

fn frame(case: &Case) -> Frame {
    let bytes = Bytes::from(case.payload.to_vec());
    if case.kind.is_text() {
        Frame::text(bytes)
    } else {
        Frame::binary(bytes)
    }
}

pub fn job(case: &Case) -> Option<Job> {
    let role = match case.role {
        case::Role::Server => Role::Server,
        case::Role::Client => Role::Client,
    };
    // Text is checked, as by the others.
    let mut options = Options::default()
        .with_limits(16 << 20, 32 << 20)
        .with_utf8();
    if case.compressed {
        options = options
            .with_compression_level(CompressionLevel::fast())
            .server_no_context_takeover()
            .client_no_context_takeover();
    }
    let memory = Memory::new(&case.tape);
    let agreed = case
        .compressed
        .then_some("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    let mut socket = WebSocket::from_stream_with_extensions(memory, role, agreed, options).ok()?;
    let case = case.clone();
    Some(match case.task {
        Task::Decode => Box::new(move |n| {
            clocked(|| {
                block_on(async {
                    let mut bytes = 0;
                    for _ in 0..n {
                        if let Ok(frame) = socket.next_frame().await {
                            bytes += black_box(frame).payload().len() as u64;
                        }
                    }
                    check_received(&case, n, bytes);
                });
            })
        }),
        Task::Encode => Box::new(move |n| {
            in_turns(
                &case,
                n,
                || frame(&case),
                |turn| {
                    block_on(async {
                        for frame in turn {
                            assert!(socket.feed(frame).await.is_ok());
                        }
                        assert!(socket.flush().await.is_ok());
                    });
                },
            )
        }),
    })
}
