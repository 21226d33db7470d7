//! `permessage-deflate`: messages compressed by DEFLATE
//! ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)).
//!
//! [`PerMessageDeflate`] is the extension of one connection, made of what its two ends have agreed
//! on; [`handshake`](crate::handshake) is how they agree.
//!
//! ```
//! use std::time::Instant;
//! use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate};
//! use we_net::protocol::{Config, Connection, Message, Role};
//!
//! let deflate = PerMessageDeflate::new(Role::Server, &DeflateConfig::default(), &DeflateParams::default());
//! let mut server = Connection::new(Role::Server, Config::server()).with_extension(Box::new(deflate));
//! server.send(Instant::now(), Message::text("again and ".repeat(100)))?;
//! # let mut slices = [std::io::IoSlice::new(&[]); 4];
//! # let filled = server.output(&mut slices);
//! # assert!(slices[..filled].iter().map(|slice| slice.len()).sum::<usize>() < 40);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # When a message is compressed
//!
//! Each message from [`DeflateConfig::threshold`] on, unless that would make it no shorter: then it
//! goes out as it is, and after several such messages in a row most are not even tried (at most 15
//! of 16), until one gets shorter again.
//!
//! # What it costs
//!
//! A connection takes no memory for compression before the first message that needs it. Then it
//! takes, of its own and until it ends, unless the end that compresses forgets its window after each
//! message (`…_no_context_takeover`):
//!
//! | for | window of 15 bits | 12 | 9 |
//! |---|---|---|---|
//! | compressing | 372 KiB | 162 KiB | 148 KiB |
//! | decompressing | 47 KiB | 47 KiB | 47 KiB |
//!
//! Without take-over the connections of a thread share compressors and decompressors: per thread at
//! most four of each wait for use. A connection then has a decompressor only while a compressed
//! message has arrived in part, and never a compressor. So a server with many connections sets
//! [`DeflateConfig::shared`].
//!
//! What a peer sends is counted while it is decompressed, and decompression stops at
//! [`Limits::max_message_size`](super::Limits::max_message_size): a bomb costs no more than a
//! message of that size.
//!
//! # A window of 8 bits
//!
//! zlib and its kin cannot compress with a window of 256 bytes (they take 512 instead, which the
//! peer's decompressor may not have). Where 8 is agreed on, messages are compressed in pieces of 256
//! bytes that do not refer to each other: correct, and about as useful as such a window is.
//!
//! # Secrets
//!
//! The length of a compressed message tells something of what is in it. An application that puts
//! secrets and what an attacker chooses into one message, or without
//! [`no_context_takeover`](DeflateConfig::server_no_context_takeover) into one connection, should
//! not compress ([section 8](https://www.rfc-editor.org/rfc/rfc7692#section-8)). This is why clients
//! and servers made by this library compress only if they are told to.

mod compressor;
mod config;
mod decompressor;
mod pool;

pub use config::{CompressionLevel, DeflateConfig, DeflateParams, WindowBits};

use std::fmt;

use self::compressor::{Compressor, Settings};
use self::decompressor::Decompressor;
use super::connection::Role;
use super::extension::{Decoding, Encoded, Extension, ExtensionError};
use super::frame::Rsv;
use super::message::MessageKind;
use super::payload::{Payload, PayloadSink};

/// What a sender leaves out of the end of each message
/// ([section 7.2.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1)).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The largest number of messages that go out untried after one that did not get shorter.
const MAX_UNTRIED: u8 = 15;

/// The extension on one connection.
pub struct PerMessageDeflate {
    outgoing: Outgoing,
    incoming: Incoming,
}

impl PerMessageDeflate {
    /// The extension for one end of a connection, which has agreed with the other on `params`. Takes
    /// no memory yet.
    #[must_use]
    pub fn new(role: Role, config: &DeflateConfig, params: &DeflateParams) -> Self {
        let server_forgets = params.server_no_context_takeover;
        let client_forgets = params.client_no_context_takeover;
        // An end may do less than was agreed on.
        let (window, forgets, peer_forgets) = match role {
            Role::Server => (
                params
                    .server_max_window_bits
                    .min(config.server_max_window_bits),
                server_forgets || config.server_no_context_takeover,
                client_forgets,
            ),
            Role::Client => (
                params
                    .client_max_window_bits
                    .min(config.client_max_window_bits),
                client_forgets || config.client_no_context_takeover,
                server_forgets,
            ),
        };
        Self {
            outgoing: Outgoing {
                settings: Settings {
                    level: config.level,
                    window,
                },
                forgets,
                threshold: config.threshold,
                compressor: None,
                untried: 0,
                pause: 0,
            },
            incoming: Incoming {
                forgets: peer_forgets,
                decompressor: None,
            },
        }
    }
}

impl Extension for PerMessageDeflate {
    fn reserved_bits(&self) -> Rsv {
        Rsv::RSV1
    }

    fn begin(&mut self, _: MessageKind, rsv: Rsv) -> Result<Decoding, ExtensionError> {
        Ok(if rsv.contains(Rsv::RSV1) {
            Decoding::Extension
        } else {
            Decoding::Identity
        })
    }

    fn decode(&mut self, data: &[u8], out: &mut PayloadSink<'_>) -> Result<(), ExtensionError> {
        self.incoming.decode(data, out)
    }

    fn finish(&mut self, _: &mut PayloadSink<'_>) -> Result<(), ExtensionError> {
        self.incoming.finish()
    }

    fn encode(&mut self, _: MessageKind, payload: &[u8]) -> Option<Encoded> {
        let payload = self.outgoing.encode(payload)?;
        Some(Encoded {
            rsv: Rsv::RSV1,
            payload,
        })
    }
}

impl fmt::Debug for PerMessageDeflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerMessageDeflate")
            .field("settings", &self.outgoing.settings)
            .field("forgets", &self.outgoing.forgets)
            .field("peer_forgets", &self.incoming.forgets)
            .finish_non_exhaustive()
    }
}

struct Outgoing {
    settings: Settings,
    /// Whether the window is forgotten after each message.
    forgets: bool,
    threshold: usize,
    /// `None` before the first message, and always if the window is forgotten.
    compressor: Option<Box<Compressor>>,
    /// How many messages are still to go out untried.
    untried: u8,
    /// How many that was the last time.
    pause: u8,
}

impl Outgoing {
    fn encode(&mut self, message: &[u8]) -> Option<Payload> {
        if message.len() < self.threshold {
            return None;
        }
        if self.untried > 0 {
            self.untried -= 1;
            return None;
        }
        let compressed = if self.forgets {
            pool::with_compressor(self.settings, |compressor| compressor.compress(message))
        } else {
            let settings = self.settings;
            self.compressor
                .get_or_insert_with(|| Box::new(Compressor::new(settings)))
                .compress(message)
        };
        match compressed {
            Some(_) => self.pause = 0,
            None => {
                self.untried = self.pause;
                self.pause = (2 * self.pause + 1).min(MAX_UNTRIED);
            }
        }
        compressed
    }
}

struct Incoming {
    /// Whether the peer forgets its window after each message.
    forgets: bool,
    /// `None` before the first compressed message, and between two if the peer forgets.
    decompressor: Option<Box<Decompressor>>,
}

impl Incoming {
    fn decode(&mut self, data: &[u8], out: &mut PayloadSink<'_>) -> Result<(), ExtensionError> {
        let forgets = self.forgets;
        self.decompressor
            .get_or_insert_with(|| {
                Box::new(match forgets {
                    true => pool::take_decompressor(),
                    false => Decompressor::new(),
                })
            })
            .decompress(data, out)
    }

    fn finish(&mut self) -> Result<(), ExtensionError> {
        let Some(decompressor) = &mut self.decompressor else {
            return Ok(());
        };
        decompressor.finish()?;
        if self.forgets
            && let Some(decompressor) = self.decompressor.take()
        {
            pool::put_decompressor(*decompressor);
        }
        Ok(())
    }
}
