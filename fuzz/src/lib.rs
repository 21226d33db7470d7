//! What is fuzzed: one function for each target, from bytes to a panic if a promise is broken.
//!
//! They are called by libFuzzer (`fuzz_targets/`, `make fuzz`) for as long as one likes, and by a
//! test of `we-net` (`crates/we-net/tests/fuzz.rs`), on stable Rust, over the inputs in `seeds/` and
//! a bounded number of their mutations.

pub mod connection;
pub mod differential;
pub mod extensions;
pub mod frame;
pub mod request;
pub mod response;
pub mod url;

/// A target by its name, which is that of its file and of its folder in `seeds/`.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

pub const TARGETS: [Target; 7] = [
    Target {
        name: "frame",
        run: frame::run,
    },
    Target {
        name: "connection",
        run: connection::run,
    },
    Target {
        name: "response",
        run: response::run,
    },
    Target {
        name: "request",
        run: request::run,
    },
    Target {
        name: "extensions",
        run: extensions::run,
    },
    Target {
        name: "url",
        run: url::run,
    },
    Target {
        name: "differential",
        run: differential::run,
    },
];

/// Takes the first byte off: what a target chooses by it is not part of the input proper.
fn choice(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}

/// Cuts `bytes` in pieces whose lengths follow from the bytes themselves.
fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let first = bytes.first()?;
        let len = (usize::from(*first) % 7 + 1).min(bytes.len());
        let (piece, rest) = bytes.split_at(len);
        bytes = rest;
        Some(piece)
    })
}
