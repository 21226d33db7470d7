//! The modules that the repository has are those of the sources that it has.

use crate::common::fixture;

/// What the program `cksum` prints (POSIX): a CRC of the bytes and their number.
fn cksum(bytes: &[u8]) -> u32 {
    let mut len = bytes.len();
    let mut lengths = Vec::new();
    while len > 0 {
        lengths.push(len as u8);
        len >>= 8;
    }
    let mut crc = 0_u32;
    for byte in bytes.iter().chain(&lengths) {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            let carry = crc >> 31;
            crc = (crc << 1) ^ (carry * 0x04c1_1db7);
        }
    }
    !crc
}

#[test]
fn guests_are_built_from_these_sources() {
    let sums = std::fs::read_to_string(fixture("SOURCES")).unwrap();
    assert!(sums.lines().count() >= 9);
    for line in sums.lines() {
        let [sum, len, path] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let source = std::fs::read(fixture("../..").join(path)).unwrap();
        assert_eq!(
            (cksum(&source).to_string(), source.len().to_string()),
            (sum.to_owned(), len.to_owned()),
            "{path} has changed: `make guests` builds the modules anew"
        );
    }
}
