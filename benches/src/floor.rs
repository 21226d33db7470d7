//! What no library can do without, once the bytes are in memory: a copy of the payload, and for text that comes a look at
//! each byte of it.

use std::hint::black_box;

use crate::case::{Case, Role, Task};
use crate::library::{Job, clocked, in_turns};

/// `memcpy` of each payload, and `simdutf8` over it if it is text; `None` where nothing of the kind has to be done: what
/// a server sends goes out as it is.
pub fn job(case: &Case) -> Option<Job> {
    match (case.task, case.role) {
        _ if case.compressed => None,
        (Task::Decode, _) => Some(decode(case)),
        (Task::Encode, Role::Client) => Some(encode(case)),
        (Task::Encode, Role::Server) => None,
    }
}

/// Where a copy of `source` begins in a block. At some distances of the two modulo 4096 `memcpy` is ten times slower.
fn offset(source: &[u8], block: &[u8]) -> usize {
    (source.as_ptr() as usize).wrapping_sub(block.as_ptr() as usize) % 4096
}

fn copy<'a>(source: &[u8], block: &'a mut [u8]) -> &'a [u8] {
    let start = offset(source, block);
    let block = &mut block[start..start + source.len()];
    block.copy_from_slice(source);
    black_box(block)
}

/// From frame to frame of a tape without masks, into one block that stays.
fn decode(case: &Case) -> Job {
    let (size, is_text) = (case.size(), case.kind.is_text());
    let plain = Case::new(Task::Decode, Role::Client, case.kind, size);
    let stride = plain.frame_len();
    let mut block = vec![0; size + 4096];
    let mut at = 0;
    Box::new(move |n| {
        clocked(|| {
            for _ in 0..n {
                if at == plain.tape.len() {
                    at = 0;
                }
                at += stride;
                let payload = copy(&plain.tape[at - size..at], &mut block);
                if is_text {
                    assert!(simdutf8::basic::from_utf8(payload).is_ok());
                }
            }
        })
    })
}

fn encode(case: &Case) -> Job {
    let case = case.clone();
    let mut block = vec![0; case.size() + 4096];
    Box::new(move |n| {
        in_turns(
            &case,
            n,
            || case.payload.to_vec(),
            |turn| {
                for payload in turn {
                    copy(&payload, &mut block);
                }
            },
        )
    })
}
