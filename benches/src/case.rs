//! What is measured, and the bytes for it: the same for every library.

use std::fmt;
use std::sync::Arc;

/// The lengths of payloads: a price, the longest short header, a record, a page, the longest 16-bit length and one, a
/// picture.
pub const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

/// What a library has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Bytes to messages.
    Decode,
    /// Messages, each with a payload of its own, to bytes.
    Encode,
}

/// Which end does it: servers unmask and do not mask, clients mask and do not unmask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of ASCII alone.
    Text,
    /// Text with letters of two and three bytes, as most of the world writes.
    Mixed,
    Binary,
}

impl Kind {
    pub fn is_text(self) -> bool {
        self != Self::Binary
    }
}

/// One line of the table.
#[derive(Clone)]
pub struct Case {
    pub task: Task,
    pub role: Role,
    pub kind: Kind,
    pub compressed: bool,
    pub payload: Arc<[u8]>,
    /// Whole frames one after the other, for decoding.
    pub tape: Arc<[u8]>,
}

impl Case {
    pub fn new(task: Task, role: Role, kind: Kind, size: usize) -> Self {
        let payload = payload(kind, size);
        let tape = match task {
            Task::Decode => tape(&payload, kind, role),
            Task::Encode => Arc::default(),
        };
        Self {
            task,
            role,
            kind,
            compressed: false,
            payload,
            tape,
        }
    }

    /// With `permessage-deflate`, each message by itself.
    pub fn compressed(task: Task, role: Role, size: usize) -> Self {
        let mut case = Self::new(task, role, Kind::Text, size);
        case.compressed = true;
        if task == Task::Decode {
            case.tape = crate::library::compressed_tape(&case);
        }
        case
    }

    /// Every case with compression. Roles differ by the mask alone, which costs nothing beside it.
    pub fn all_compressed() -> impl Iterator<Item = Self> {
        let sizes = [1 << 10, 16 << 10, 64 << 10];
        [Task::Decode, Task::Encode]
            .into_iter()
            .flat_map(move |task| sizes.map(|size| Self::compressed(task, Role::Server, size)))
    }

    /// Every case without compression.
    pub fn all() -> impl Iterator<Item = Self> {
        use Kind::{Binary, Mixed, Text};
        let tasks = [
            (Task::Decode, [Text, Mixed, Binary].as_slice()),
            // What is text when it goes out has been checked before.
            (Task::Encode, [Text, Binary].as_slice()),
        ];
        tasks.into_iter().flat_map(|(task, kinds)| {
            [Role::Server, Role::Client]
                .into_iter()
                .flat_map(move |role| {
                    kinds.iter().flat_map(move |&kind| {
                        SIZES.map(move |size| Self::new(task, role, kind, size))
                    })
                })
        })
    }

    pub fn size(&self) -> usize {
        self.payload.len()
    }

    /// The length of a frame, header included.
    pub fn frame_len(&self) -> usize {
        let masked = match self.task {
            Task::Decode => self.role == Role::Server,
            Task::Encode => self.role == Role::Client,
        };
        let length = match self.size() {
            0..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
        2 + length + if masked { 4 } else { 0 } + self.size()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap_or_default()
    }

    /// How many messages are queued before what they have become is written, as in one turn of an event loop.
    pub fn turn(&self) -> u64 {
        ((64 << 10) / self.size()).clamp(1, 16) as u64
    }

    /// How many messages are made before the clock starts: what the second-level cache has room for.
    pub fn prepared(&self) -> u64 {
        ((1 << 20) / self.size()).clamp(1, 2048) as u64
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = match self.task {
            Task::Decode => "decode",
            Task::Encode => "encode",
        };
        let role = match self.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        let kind = match self.kind {
            Kind::Text => "text",
            Kind::Mixed => "mixed",
            Kind::Binary => "binary",
        };
        let deflate = if self.compressed { " deflate" } else { "" };
        let size = size_name(self.size());
        write!(f, "{task} {role} {kind}{deflate} {size}")
    }
}

/// `1 KiB`, `125 B`.
pub fn size_name(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        0x400..0x10_0000 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// Records of JSON, or bytes without a pattern.
fn payload(kind: Kind, size: usize) -> Arc<[u8]> {
    if kind == Kind::Binary {
        return random(size).collect();
    }
    let mut text = String::with_capacity(size + 64);
    let mut numbers = random(usize::MAX);
    while text.len() < size {
        let [a, b] = [(); 2].map(|()| u16::from(numbers.next().unwrap_or_default()) * 41);
        text.push_str(&match kind {
            Kind::Mixed => {
                format!(r#"{{"id":{a},"größe":{b},"stadt":"Köln","都市":"京都","ok":true}},"#)
            }
            _ => format!(r#"{{"id":{a},"size":{b},"town":"Cologne","ok":true}},"#),
        });
    }
    text.truncate(text.floor_char_boundary(size));
    text.extend(std::iter::repeat_n('x', size - text.len()));
    text.into_bytes().into()
}

/// Frames of this payload, 1 MiB of them (four of the longest): more than a reader's buffer, less than the caches.
fn tape(payload: &[u8], kind: Kind, role: Role) -> Arc<[u8]> {
    let target = if payload.len() < 1 << 20 { 1 } else { 4 } << 20;
    let mut keys = random(usize::MAX);
    let mut tape = Vec::with_capacity(target + payload.len() + 14);
    while tape.len() < target {
        let key = (role == Role::Server).then(|| [(); 4].map(|()| keys.next().unwrap_or_default()));
        push_frame(&mut tape, kind, payload, key);
    }
    tape.into()
}

fn push_frame(tape: &mut Vec<u8>, kind: Kind, payload: &[u8], key: Option<[u8; 4]>) {
    let mask_bit = u8::from(key.is_some()) << 7;
    tape.push(if kind.is_text() { 0x81 } else { 0x82 });
    match payload.len() {
        len @ 0..126 => tape.push(mask_bit | len as u8),
        len @ 126..0x1_0000 => {
            tape.push(mask_bit | 126);
            tape.extend((len as u16).to_be_bytes());
        }
        len => {
            tape.push(mask_bit | 127);
            tape.extend((len as u64).to_be_bytes());
        }
    }
    let key = key.inspect(|key| tape.extend(key)).unwrap_or_default();
    tape.extend(payload.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b));
}

/// The same bytes each time.
fn random(len: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x2545_F491_u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(len)
}
