//! What the endpoints send each other: pieces of two long tapes, so that a message is known by
//! three numbers, and takes no memory until it is sent.

use std::sync::LazyLock;

use we_net::protocol::{Message, MessageKind, MessageRef};

use crate::random::Random;

const LEN: usize = 200_000;

/// Text of characters of one to four bytes, in no order that repeats soon.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut random = Random::new(1);
    let letters = ['a', 'b', ' ', 'ä', 'κ', '€', '水', '𝄞', '😀'];
    let mut text = String::with_capacity(LEN + 4);
    while text.len() < LEN {
        // Words that come again, for a compressor to find.
        let start = text.floor_char_boundary(random.below(text.len() + 1));
        let end = text.floor_char_boundary((start + random.below(12)).min(text.len()));
        text.push(random.pick(&letters));
        text.extend_from_within(start..end);
    }
    text
});

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(2);
    (0..LEN).map(|_| random.below(256) as u8).collect()
});

/// Makes the tapes, so that no endpoint pays for them.
pub fn prepare() {
    LazyLock::force(&TEXT);
    LazyLock::force(&BYTES);
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    kind: MessageKind,
    start: usize,
    end: usize,
}

impl Parcel {
    /// A message of about this length.
    pub fn random(random: &mut Random, len: usize) -> Self {
        let start = random.below(LEN - len);
        if random.chance(50) {
            Self {
                kind: MessageKind::Text,
                start: TEXT.floor_char_boundary(start),
                end: TEXT.floor_char_boundary(start + len),
            }
        } else {
            Self {
                kind: MessageKind::Binary,
                start,
                end: start + len,
            }
        }
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn as_ref(&self) -> MessageRef<'static> {
        match self.kind {
            MessageKind::Text => MessageRef::Text(&TEXT[self.start..self.end]),
            MessageKind::Binary => MessageRef::Binary(&BYTES[self.start..self.end]),
        }
    }

    pub fn to_message(self) -> Message {
        match self.as_ref() {
            MessageRef::Text(text) => Message::text(text),
            MessageRef::Binary(bytes) => Message::binary(bytes),
        }
    }

    pub fn is(&self, message: &Message) -> bool {
        MessageRef::from(message) == self.as_ref()
    }
}
