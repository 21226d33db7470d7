//! `we-net` measured beside other WebSocket libraries, in memory and in one process.
//!
//! | module | what it holds |
//! |---|---|
//! | [`case`] | what is measured: task, role, kind of payload, length, and the bytes for it |
//! | [`memory`] | the transport: a tape that is read over and over, a sink that counts |
//! | [`library`] | each library doing a [`case::Case`] in the way that its documentation advises for speed |
//! | [`floor`] | what no library can do without: `memcpy`, `simdutf8` |
//! | [`measure`] | interleaved rounds and their medians |
//! | [`hot_paths`] | what every message goes through, for counting instructions |
//! | [`parts`] | masking and UTF-8 by themselves |
//!
//! `make bench` prints the table, `make bench-instructions` counts instructions, `cargo bench` in this folder runs
//! criterion. See `docs/performance.md`.

pub mod case;
pub mod floor;
pub mod hot_paths;
pub mod library;
pub mod measure;
pub mod memory;
pub mod parts;
