//! DEFLATE read as [RFC 1951](https://www.rfc-editor.org/rfc/rfc1951) defines it, slowly: a witness of
//! what a compressor has written that is not of the compressor's own library, and that measures how far back it refers.

/// Reads one message after the other and forgets nothing.
#[derive(Default)]
pub struct Inflater {
    out: Vec<u8>,
    furthest: usize,
}

impl Inflater {
    /// The data of a message. Panics where it is not DEFLATE.
    pub fn message(&mut self, compressed: &[u8]) -> &[u8] {
        let begin = self.out.len();
        let data = [compressed, &[0, 0, 0xFF, 0xFF]].concat();
        let mut bits = Bits::new(&data);
        while !bits.is_at_end() {
            assert_eq!(bits.take(1), 0, "no block is the last one");
            match bits.take(2) {
                0 => self.stored(&mut bits),
                1 => self.compressed(&mut bits, &Codes::fixed()),
                2 => {
                    let codes = Codes::read(&mut bits);
                    self.compressed(&mut bits, &codes);
                }
                kind => panic!("blocks of type {kind} do not exist"),
            }
        }
        &self.out[begin..]
    }

    /// The longest distance that any match has had.
    pub fn furthest(&self) -> usize {
        self.furthest
    }

    /// Section 3.2.4.
    fn stored(&mut self, bits: &mut Bits) {
        bits.skip_to_byte();
        let (len, complement) = (bits.take(16), bits.take(16));
        assert_eq!(len, complement ^ 0xFFFF);
        self.out.extend((0..len).map(|_| bits.take(8) as u8));
    }

    /// Section 3.2.5.
    fn compressed(&mut self, bits: &mut Bits, codes: &Codes) {
        loop {
            let symbol = codes.literals.read(bits);
            match symbol {
                0..=255 => self.out.push(symbol as u8),
                256 => return,
                _ => {
                    let length = match symbol {
                        // The longest has a code to itself, without extra bits.
                        285 => 258,
                        _ => value(bits, symbol - 257, 4, 3),
                    };
                    let symbol = codes.distances.read(bits);
                    let distance = value(bits, symbol, 2, 1);
                    self.furthest = self.furthest.max(distance);
                    for _ in 0..length {
                        self.out.push(self.out[self.out.len() - distance]);
                    }
                }
            }
        }
    }
}

/// What the length or distance code `symbol` means: `per_bit` codes, and twice as many for the first step, for each number
/// of extra bits, from `first` on.
fn value(bits: &mut Bits, symbol: usize, per_bit: usize, first: usize) -> usize {
    if symbol < 2 * per_bit {
        return first + symbol;
    }
    let extra = symbol / per_bit - 1;
    first + ((per_bit + symbol % per_bit) << extra) + bits.take(extra)
}

struct Bits<'a> {
    data: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// The next bits, least significant first.
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, place| {
            let bit = self.data[self.at / 8] >> (self.at % 8) & 1;
            self.at += 1;
            value | usize::from(bit) << place
        })
    }

    fn skip_to_byte(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn is_at_end(&self) -> bool {
        self.at == 8 * self.data.len()
    }
}

struct Codes {
    literals: Huffman,
    distances: Huffman,
}

impl Codes {
    /// Section 3.2.6.
    fn fixed() -> Self {
        let lengths = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
        Self {
            literals: Huffman::new(&lengths),
            distances: Huffman::new(&[5; 30]),
        }
    }

    /// Section 3.2.7.
    fn read(bits: &mut Bits) -> Self {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = bits.take(5) + 257;
        let distances = bits.take(5) + 1;
        let count = bits.take(4) + 4;
        let mut lengths = [0; 19];
        for place in &ORDER[..count] {
            lengths[*place] = bits.take(3);
        }
        let code = Huffman::new(&lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match code.read(bits) {
                16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
                17 => (0, 3 + bits.take(3)),
                18 => (0, 11 + bits.take(7)),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        assert_eq!(lengths.len(), literals + distances);
        Self {
            literals: Huffman::new(&lengths[..literals]),
            distances: Huffman::new(&lengths[literals..]),
        }
    }
}

/// A prefix code: for each length, its symbols in order (section 3.2.2).
struct Huffman(Vec<Vec<usize>>);

impl Huffman {
    fn new(lengths: &[usize]) -> Self {
        let mut symbols = vec![Vec::new(); 16];
        for (symbol, length) in lengths.iter().enumerate() {
            if *length > 0 {
                symbols[*length].push(symbol);
            }
        }
        Self(symbols)
    }

    fn read(&self, bits: &mut Bits) -> usize {
        let (mut code, mut first) = (0, 0);
        for symbols in &self.0[1..] {
            code = code << 1 | bits.take(1);
            first <<= 1;
            if code - first < symbols.len() {
                return symbols[code - first];
            }
            first += symbols.len();
        }
        panic!("no symbol has this code");
    }
}
