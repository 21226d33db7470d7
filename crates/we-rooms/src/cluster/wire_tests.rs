#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

fn all() -> Vec<Record> {
    let at = Stamp {
        generation: u64::MAX,
        seq: 7,
    };
    let mut negotiated = Box::<Negotiated>::default();
    negotiated.resource = "/ws/gr%C3%BCn?x".into();
    negotiated.host = "example.com".into();
    negotiated.peer_addr = Some("[::1]:80".parse().unwrap());
    negotiated.headers.append("Cookie", "a=b").unwrap();
    negotiated.headers.append("X-Odd", [0xff, 0x80]).unwrap();
    let mut spoken = negotiated.clone();
    spoken.subprotocol = Some("chat".into());
    let frame = CloseFrame::new(CloseCode::POLICY, "grün").unwrap();
    let text = || Message::text("grüß dich");
    let whats = vec![
        What::Join { generation: 1 },
        What::Leave { generation: 2 },
        What::Connect {
            at,
            client: 1,
            negotiated,
        },
        What::Connect {
            at,
            client: 2,
            negotiated: spoken,
        },
        What::Message {
            at,
            client: 3,
            message: text(),
        },
        What::Disconnect { at, client: 4 },
        What::Welcome {
            generation: 5,
            seq: 6,
        },
        What::Rejoin { generation: 7 },
        What::Taken {
            generation: 8,
            seq: 9,
        },
        What::Admit { at, client: 10 },
        What::Send {
            at,
            client: 11,
            message: Message::binary(vec![0, 255]),
        },
        What::Close {
            at,
            client: 12,
            frame: None,
        },
        What::Close {
            at,
            client: 13,
            frame: Some(frame.clone()),
        },
        What::Owner { seq: 14 },
        What::Everyone {
            seq: 15,
            except: None,
            message: text(),
        },
        What::Everyone {
            seq: 16,
            except: Some((NodeId(17), 18)),
            message: Message::text(""),
        },
        What::Again { seq: 19 },
        What::End {
            seq: 20,
            frame: Some(frame),
        },
        What::Over,
    ];
    let rooms = whats.into_iter().map(|what| Record::Room {
        room: RoomName::new("grün/blau").unwrap(),
        epoch: 1 << 53,
        what,
    });
    [Record::Beat, Record::Bye]
        .into_iter()
        .chain(rooms)
        .collect()
}

const NODE: NodeId = NodeId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn packet(records: &[Record]) -> Vec<u8> {
    let mut packet = begin_packet(NODE);
    for record in records {
        packet.extend(encode(record));
    }
    packet
}

fn read(packet: Vec<u8>) -> (Vec<Record>, Result<(), Malformed>) {
    let mut records = Vec::new();
    let result = decode(packet, |from, record| {
        assert_eq!(from, NODE);
        records.push(record);
    });
    (records, result)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(packet(&all())), (all(), Ok(())));
    for record in all() {
        let alone = std::slice::from_ref(&record);
        assert_eq!(read(packet(alone)), (alone.to_vec(), Ok(())));
    }
}

#[test]
fn a_part_of_a_record_is_malformed() {
    for record in all() {
        let whole = packet(&[record]);
        for end in begin_packet(NODE).len() + 1..whole.len() {
            let (records, result) = read(whole[..end].to_vec());
            assert_eq!((records.len(), result), (0, Err(Malformed)), "{end}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(read(longer).1, Err(Malformed));
    }
}

#[test]
fn what_comes_before_malformed_bytes_counts() {
    let mut bytes = packet(&[Record::Beat]);
    bytes.extend(u32::MAX.to_le_bytes());
    assert_eq!(read(bytes), (vec![Record::Beat], Err(Malformed)));
}

#[test]
fn a_small_message_does_not_keep_a_large_packet() {
    let small = Record::Room {
        room: RoomName::new("x").unwrap(),
        epoch: 1,
        what: What::Everyone {
            seq: 1,
            except: None,
            message: Message::text("small"),
        },
    };
    let bytes = packet(&[small, all().remove(9)]);
    let range = bytes.as_ptr_range();
    decode(bytes, |_, record| {
        if let Record::Room {
            what: What::Everyone { message, .. },
            ..
        } = record
        {
            assert!(!range.contains(&message.as_bytes().as_ptr()));
        }
    })
    .unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(bytes.clone(), |_, _| {});
        let mut framed = begin_packet(NODE);
        framed.extend(length(bytes.len()));
        framed.extend(bytes);
        let _ = decode(framed, |_, _| {});
    }

    #[test]
    fn damaged_packets_are_read_without_a_panic(
        index in 0..all().len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = packet(&[all().remove(index)]);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decode(bytes.clone(), |_, _| {});
        bytes.truncate(cut.index(bytes.len()));
        let _ = decode(bytes, |_, _| {});
    }

    #[test]
    fn what_is_read_is_what_would_be_written(
        index in 0..all().len(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = packet(&[all().remove(index)]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut records = Vec::new();
        if decode(bytes, |_, record| records.push(record)).is_ok() {
            let mut again = begin_packet(NODE);
            records.iter().for_each(|record| again.extend(encode(record)));
            // White space around the value of a header is the one thing that is dropped.
            let mut twice = Vec::new();
            decode(again, |_, record| twice.push(record)).unwrap();
            prop_assert_eq!(records, twice);
        }
    }
}
