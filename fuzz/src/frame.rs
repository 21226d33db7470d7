//! Frame headers: a header is what it is however many bytes are there, and is written as it was
//! read.

use we_net::protocol::FrameHeader;

pub fn run(data: &[u8]) {
    let longest = data.len().min(FrameHeader::MAX_LEN + 2);
    let whole = FrameHeader::parse(data);
    match whole {
        Ok(Some((header, len))) => {
            assert!((2..=FrameHeader::MAX_LEN).contains(&len));
            assert_eq!(*header.encode(), data[..len]);
            assert!(header.payload_len < 1 << 63);
            assert!(!header.opcode.is_control() || (header.fin && header.payload_len <= 125));
        }
        Ok(None) => assert!(data.len() < FrameHeader::MAX_LEN),
        Err(_) => {}
    }
    // More bytes change nothing of what is known.
    let mut known = Ok(None);
    for end in 0..=longest {
        let now = FrameHeader::parse(&data[..end]);
        assert!(known == Ok(None) || known == now, "{known:?}, then {now:?}");
        known = now;
    }
    assert_eq!(known, whole);
}
