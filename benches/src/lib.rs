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
//! | [`runtimes`] | the shell and other JavaScript runtimes, for the benchmarks that are scripts |
//! | [`processes`] | servers of other programs, and the memory of their processes |
//!
//! `make bench` prints the table, `make bench-javascript` and `make bench-serve` those of scripts, `make bench-instructions` counts
//! instructions, `cargo bench` in this folder runs criterion. See `docs/performance.md`.

pub mod case;
pub mod floor;
pub mod hot_paths;
pub mod library;
pub mod measure;
pub mod memory;
pub mod parts;
pub mod processes;
pub mod runtimes;
