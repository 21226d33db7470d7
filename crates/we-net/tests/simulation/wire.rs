//! Reads the bytes between two endpoints with eyes of its own, so that a mistake which writer and
//! reader of the library share does not go unseen: sections 5.1 to 5.5 of RFC 6455, and that
//! nothing follows a Close frame.

use we_net::protocol::Role;

/// What distinguishes the number of a Ping that a connection has sent by itself.
pub const KEEP_ALIVE: u64 = 1 << 63;

/// The number in the payload of a Ping or a Pong.
pub fn number(payload: &[u8]) -> u64 {
    match payload.strip_prefix(b"we-alive") {
        Some(number) => KEEP_ALIVE | u64::from(u32::from_be_bytes(number.try_into().unwrap())),
        None => u64::from_be_bytes(payload[..8].try_into().unwrap()),
    }
}

/// One direction of a connection, as far as it has been seen.
pub struct Wire {
    masked: bool,
    compressed: bool,
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The payload of the control frame that is under way.
    control: Vec<u8>,
    in_message: bool,
    /// Payload bytes of data frames.
    pub payload: u64,
    /// The same with their headers.
    pub framed: u64,
    /// The same with headers that are not whole yet.
    pub pieces: u64,
    /// Whole messages.
    pub messages: usize,
    /// Whole control frames.
    pub controls: usize,
    /// The numbers in the Pings and Pongs.
    pub pings: Vec<u64>,
    pub pongs: Vec<u64>,
    /// Of these Pongs, those that answer Pings of keep-alive.
    pub signs: usize,
    /// The body of the Close frame.
    pub close: Option<Vec<u8>>,
}

struct Frame {
    fin: bool,
    opcode: u8,
    key: [u8; 4],
    /// How much of the payload has been seen.
    seen: usize,
    len: usize,
}

impl Wire {
    /// What this role sends; with RSV1 allowed where compression is negotiated.
    pub fn from(role: Role, compressed: bool) -> Self {
        Self {
            masked: role == Role::Client,
            compressed,
            header: Vec::new(),
            frame: None,
            control: Vec::new(),
            in_message: false,
            payload: 0,
            framed: 0,
            pieces: 0,
            messages: 0,
            controls: 0,
            pings: Vec::new(),
            pongs: Vec::new(),
            signs: 0,
            close: None,
        }
    }

    /// The code of the Close frame that was seen: 1005 if it has none.
    pub fn close_code(&self) -> Option<u16> {
        let body = self.close.as_ref()?;
        Some(match body.as_slice() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 1005,
        })
    }

    pub fn see(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            let Some(frame) = &mut self.frame else {
                assert!(self.close.is_none(), "a byte after the Close frame");
                self.header.push(*first);
                self.pieces += u64::from(self.header[0] & 8 == 0);
                bytes = rest;
                self.begin_frame();
                continue;
            };
            let (chunk, rest) = bytes.split_at(bytes.len().min(frame.len - frame.seen));
            bytes = rest;
            if frame.opcode & 8 == 0 {
                self.payload += chunk.len() as u64;
                self.framed += chunk.len() as u64;
                self.pieces += chunk.len() as u64;
            } else {
                let unmask = |(i, byte): (usize, &u8)| byte ^ frame.key[(frame.seen + i) % 4];
                self.control.extend(chunk.iter().enumerate().map(unmask));
            }
            frame.seen += chunk.len();
            self.end_frame();
        }
    }

    fn begin_frame(&mut self) {
        let [first, second, rest @ ..] = self.header.as_slice() else {
            return;
        };
        let masked = second & 0x80 != 0;
        assert_eq!(masked, self.masked, "the mask bit");
        let extended = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if rest.len() < extended + 4 * usize::from(masked) {
            return;
        }
        let (len, key) = rest.split_at(extended);
        let declared = len
            .iter()
            .fold(0, |len, byte| len << 8 | usize::from(*byte));
        let len = match extended {
            0 => usize::from(second & 0x7F),
            _ => declared,
        };
        let least = [0, 126, 0x1_0000][[0, 2, 8].iter().position(|of| *of == extended).unwrap()];
        assert!(len >= least, "{len} in {extended} bytes");
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
        assert!(first & 0x30 == 0, "RSV2 or RSV3");
        if first & 0x40 != 0 {
            assert!(self.compressed && matches!(opcode, 1 | 2), "RSV1");
        }
        match opcode {
            0 => assert!(self.in_message, "a continuation of nothing"),
            1 | 2 => assert!(!self.in_message, "a message within another"),
            8..=10 => assert!(fin && len <= 125, "a control frame"),
            _ => panic!("opcode {opcode}"),
        }
        if opcode & 8 == 0 {
            self.framed += self.header.len() as u64;
        }
        self.frame = Some(Frame {
            fin,
            opcode,
            key: key.try_into().unwrap_or_default(),
            seen: 0,
            len,
        });
        self.header.clear();
        self.end_frame();
    }

    /// If the frame is whole.
    fn end_frame(&mut self) {
        let Some(frame) = self.frame.take_if(|frame| frame.seen == frame.len) else {
            return;
        };
        if frame.opcode & 8 == 0 {
            self.in_message = !frame.fin;
            self.messages += usize::from(frame.fin);
            return;
        }
        self.controls += 1;
        let payload = std::mem::take(&mut self.control);
        match frame.opcode {
            9 => self.pings.push(number(&payload)),
            10 => {
                let pong = number(&payload);
                self.signs += usize::from(pong & KEEP_ALIVE != 0);
                self.pongs.push(pong);
            }
            _ => self.close = Some(payload),
        }
    }
}
