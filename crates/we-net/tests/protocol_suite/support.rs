//! What the protocol tests share: frames made by hand, and short ways to feed a connection and to
//! drain it.

use std::io::IoSlice;
use std::time::Instant;

use we_net::protocol::{
    CloseCode, CloseFrame, Config, Connection, Event, FrameHeader, Limits, MaskKey, OpCode, Role,
    Rsv,
};

/// The key of every frame that tests make by hand.
pub const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// A frame as its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub rsv: Rsv,
    pub opcode: OpCode,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(opcode: OpCode, payload: impl AsRef<[u8]>) -> Self {
        Self {
            fin: true,
            rsv: Rsv::NONE,
            opcode,
            payload: payload.as_ref().to_vec(),
        }
    }

    pub fn text(text: &str) -> Self {
        Self::new(OpCode::Text, text)
    }

    pub fn close(code: u16) -> Self {
        Self::new(OpCode::Close, code.to_be_bytes())
    }

    pub fn not_fin(self) -> Self {
        Self { fin: false, ..self }
    }

    pub fn rsv(self, rsv: Rsv) -> Self {
        Self { rsv, ..self }
    }

    /// The frame's bytes as the peer of `role` sends them.
    pub fn to(&self, role: Role) -> Vec<u8> {
        let mask = (role == Role::Server).then_some(MaskKey::new(KEY));
        let header = FrameHeader {
            fin: self.fin,
            rsv: self.rsv,
            opcode: self.opcode,
            mask,
            payload_len: self.payload.len() as u64,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend(mask_by_definition(&self.payload, mask));
        bytes
    }
}

/// Section 5.3, octet by octet.
pub fn mask_by_definition(payload: &[u8], mask: Option<MaskKey>) -> Vec<u8> {
    let key = mask.map_or([0; 4], MaskKey::to_bytes);
    payload
        .iter()
        .enumerate()
        .map(|(i, octet)| octet ^ key[i % 4])
        .collect()
}

/// The bytes of frames one after another, as the peer of `role` sends them.
pub fn bytes_to(role: Role, frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.to(role)).collect()
}

/// Takes `bytes` that an endpoint has written apart, checking that they are whole frames.
pub fn parse_frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, len) = FrameHeader::parse(bytes).unwrap().expect("a whole header");
        let end = len + usize::try_from(header.payload_len).unwrap();
        frames.push(Frame {
            fin: header.fin,
            rsv: header.rsv,
            opcode: header.opcode,
            payload: mask_by_definition(&bytes[len..end], header.mask),
        });
        bytes = &bytes[end..];
    }
    frames
}

pub fn client() -> Connection {
    Connection::new(Role::Client, Config::default())
}

pub fn server() -> Connection {
    Connection::new(Role::Server, Config::default())
}

pub fn with_limits(role: Role, limits: Limits) -> Connection {
    let config = Config {
        limits,
        ..Config::default()
    };
    Connection::new(role, config)
}

/// Feeds `bytes` and returns the events.
pub fn receive(connection: &mut Connection, now: Instant, bytes: &[u8]) -> Vec<Event> {
    connection.receive(now, bytes);
    events(connection)
}

pub fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

/// The bytes of slices one after another.
pub fn gather(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.to_vec()).collect()
}

/// Writes up to `limit` bytes of the output.
pub fn write_some(connection: &mut Connection, now: Instant, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < limit && connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 3];
        let filled = connection.output(&mut slices);
        assert!(filled > 0, "wants to write and shows nothing");
        let shown = gather(&slices[..filled]);
        let taken = shown.len().min(limit - bytes.len());
        bytes.extend_from_slice(&shown[..taken]);
        connection.output_written(now, taken);
    }
    bytes
}

/// Writes all output.
pub fn write_all(connection: &mut Connection, now: Instant) -> Vec<u8> {
    write_some(connection, now, usize::MAX)
}

/// Writes all output and takes it apart.
pub fn written_frames(connection: &mut Connection, now: Instant) -> Vec<Frame> {
    parse_frames(&write_all(connection, now))
}

/// The code in the body of a Close frame.
pub fn code_of(frame: &Frame) -> u16 {
    assert_eq!(frame.opcode, OpCode::Close);
    u16::from_be_bytes([frame.payload[0], frame.payload[1]])
}

pub fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame::new(CloseCode::new(code).unwrap(), reason).unwrap()
}

/// Checks that the connection has failed with this code: nothing was delivered, a Close frame tells
/// the peer, further input is ignored, and the end is not clean.
pub fn assert_failed(connection: &mut Connection, now: Instant, code: u16) {
    let frames = written_frames(connection, now);
    let close = frames.last().expect("a Close frame");
    assert_eq!(code_of(close), code, "{close:?}");
    assert!(std::str::from_utf8(&close.payload[2..]).is_ok());

    let more = Frame::text("ignored").to(connection.role());
    assert_eq!(receive(connection, now, &more), []);
    assert!(connection.wants_shutdown());
    connection.receive_eof(now);
    match events(connection).as_slice() {
        [Event::Closed(closure)] => {
            assert!(!closure.clean);
            assert_eq!((closure.code, closure.reason.as_str()), (1006, ""));
            let error = closure.error.as_ref().expect("an error");
            assert_eq!(
                error.close_code().map(CloseCode::get),
                Some(code),
                "{error}"
            );
        }
        other => panic!("not closed: {other:?}"),
    }
    assert!(connection.is_terminated());
}
