//! The Encoding standard's interfaces: <https://encoding.spec.whatwg.org/#api>
//!
//! The encodings themselves are those of the `encoding_rs` crate, which browsers use too. Buffers may be
//! shared, as the standard says, and resizable, as it is [about to][resizable].
//!
//! [resizable]: https://github.com/whatwg/encoding/pull/362

mod decoder;
mod encoder;
mod streams;

#[cfg(test)]
mod tests;

pub(crate) use decoder::TextDecoder;
pub(crate) use encoder::TextEncoder;
pub(crate) use streams::{TextDecoderStream, TextEncoderStream};
