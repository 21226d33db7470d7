//! The tables of the standard and more, each whole and cut at every place.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// What streams are made of, and what might pass for it.
const WORDS: &[&[u8]] = &[
    b"data",
    b"event",
    b"id",
    b"retry",
    b"data:",
    b"event:",
    b"id:",
    b"retry:",
    b":",
    b" ",
    b"\n",
    b"\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"1",
    b"23",
    b"x",
    b"\xEF\xBB\xBF",
    b"\xEF",
    b"\xE2\x82\xAC",
    b"\xFF",
    b"something longer",
];

/// The events of a stream that comes in these pieces: type, data and id, joined by `|`.
fn events_of(pieces: &[&[u8]]) -> Vec<String> {
    let mut stream = EventStream::new();
    read(&mut stream, pieces).unwrap()
}

fn read(stream: &mut EventStream, pieces: &[&[u8]]) -> Result<Vec<String>, EventTooLong> {
    let mut events = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        while let Some(event) = stream.next_event(&mut piece)? {
            let ServerSentEvent {
                kind,
                data,
                last_event_id,
            } = event;
            events.push(format!("{kind}|{data}|{last_event_id}"));
        }
        assert!(piece.is_empty());
    }
    Ok(events)
}

/// Whole, byte by byte, and cut at each place into two, with an empty piece between.
#[track_caller]
fn expect(stream: &[u8], events: &[&str]) {
    let shown = String::from_utf8_lossy(stream);
    assert_eq!(events_of(&[stream]), events, "{shown:?}");
    let bytes: Vec<_> = stream.chunks(1).collect();
    assert_eq!(events_of(&bytes), events, "{shown:?} byte by byte");
    for cut in 0..=stream.len() {
        let (one, other) = stream.split_at(cut);
        assert_eq!(
            events_of(&[one, b"", other]),
            events,
            "{shown:?} cut at {cut}"
        );
    }
}

/// The examples of
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.
#[test]
fn the_examples_of_the_standard() {
    expect(
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        &["message|YHOO\n+2\n10|"],
    );
    expect(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &[
            "message|first event|1",
            "message|second event|",
            "message| third event|",
        ],
    );
    expect(
        b"data\n\ndata\ndata\n\ndata:",
        &["message||", "message|\n|"],
    );
    expect(
        b"data:test\n\ndata: test\n\n",
        &["message|test|", "message|test|"],
    );
}

#[test]
fn lines_end_with_lf_cr_or_both() {
    for stream in [
        &b"data:a\ndata:b\n\n"[..],
        b"data:a\rdata:b\r\r",
        b"data:a\r\ndata:b\r\n\r\n",
        b"data:a\rdata:b\n\r",
        b"data:a\r\ndata:b\r\r\n",
    ] {
        expect(stream, &["message|a\nb|"]);
    }
    // An LF after CR and LF is a line of its own, and so is a CR after a CR.
    expect(
        b"data:a\r\n\ndata:b\r\rdata:c\n\r\ndata:d\n\n",
        &["message|a|", "message|b|", "message|c|", "message|d|"],
    );
    // The CR alone ends the line: the event is not kept until the next byte.
    assert_eq!(events_of(&[b"data:a\r\r"]), ["message|a|"]);
}

#[test]
fn one_byte_order_mark_at_the_beginning_means_nothing() {
    let mark = "\u{feff}";
    for (stream, events) in [
        (format!("{mark}data:1\n\ndata:2\n\n"), &["1", "2"][..]),
        (format!("{mark}{mark}data:1\n\ndata:2\n\n"), &["2"]),
        (format!("data:1\n\n{mark}data:2\n\ndata:3\n\n"), &["1", "3"]),
        (format!("data:{mark}1\n\n"), &["\u{feff}1"]),
        (format!("{mark}\ndata:1\n\n"), &["1"]),
    ] {
        let events: Vec<_> = events.iter().map(|it| format!("message|{it}|")).collect();
        let events: Vec<_> = events.iter().map(String::as_str).collect();
        expect(stream.as_bytes(), &events);
    }
    // Half a mark is none.
    expect(b"\xEF\xBBdata:1\n\ndata:2\n\n", &["message|2|"]);
}

#[test]
fn fields_are_known_by_their_exact_names() {
    expect(
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
        &["message|\0\n 2\n1\n3\n\n4|"],
    );
    expect(
        b"data :1\neventx:1\nretr:1\n:data:1\n: data\ndata:x:y\n\n",
        &["message|x:y|"],
    );
    expect(b"data:\t1\ndata: \ndata:2\n\n", &["message|\t1\n\n2|"]);
}

#[test]
fn a_type_is_of_one_event() {
    expect(
        b"event:a\nevent: b\ndata:1\n\ndata:2\n\nevent:c\n\ndata:3\n\nevent: \ndata:4\n\n",
        &["b|1|", "message|2|", "message|3|", "message|4|"],
    );
}

#[test]
fn an_id_stays_until_another_comes() {
    expect(
        b"id:1\ndata:a\n\ndata:b\n\nid:2\n\ndata:c\n\nid:x\0y\ndata:d\n\nid\ndata:e\n\n",
        &[
            "message|a|1",
            "message|b|1",
            "message|c|2",
            "message|d|2",
            "message|e|",
        ],
    );
    let mut stream = EventStream::resumed("7".into());
    assert_eq!(
        read(&mut stream, &[b"data:a\n\nid:8\n"]).unwrap(),
        ["message|a|7"]
    );
    // It counts when the event is complete.
    assert_eq!(&**stream.last_event_id(), "7");
    assert!(read(&mut stream, &[b"\n"]).unwrap().is_empty());
    assert_eq!(&**stream.last_event_id(), "8");
}

#[test]
fn what_no_empty_line_has_ended_is_no_event() {
    expect(b"data:1\n\nid:2\ndata:2\n", &["message|1|"]);
    expect(b"data:1", &[]);
    expect(b"", &[]);
}

#[test]
fn the_reconnection_time_is_of_digits() {
    for (value, milliseconds) in [
        (":3000", Some(3000)),
        (": 03000", Some(3000)),
        (":0", Some(0)),
        (
            ":5\nretry:5x\nretry:-1\nretry:+1\nretry:1.5\nretry:\u{661}\nretry\nretry:  1\nretry: \n",
            Some(5),
        ),
        ("", None),
        (":", None),
        (":18446744073709551616", Some(u64::MAX)),
    ] {
        let mut stream = EventStream::new();
        let text = format!("retry{value}\n");
        read(&mut stream, &[text.as_bytes()]).unwrap();
        assert_eq!(
            stream.reconnection_time(),
            milliseconds.map(Duration::from_millis),
            "{value}"
        );
    }
}

#[test]
fn what_is_not_utf_8_is_replaced() {
    expect(
        b"data:\xE2\x82\xAC \xE2\x82\ndata:\xFF\xF0\x9F\x99\x82\nevent:\xC3\nid:\xA4\n\n",
        &["\u{fffd}|\u{20ac} \u{fffd}\n\u{fffd}\u{1f642}|\u{fffd}"],
    );
}

/// Whether it comes whole or in pieces.
fn is_too_long(text: &str, limit: usize) -> bool {
    let whole = read(&mut EventStream::new().max_event(limit), &[text.as_bytes()]);
    let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
    let pieces = read(&mut EventStream::new().max_event(limit), &bytes);
    assert_eq!(whole, pieces, "{text:?}");
    whole == Err(EventTooLong { limit })
}

#[test]
fn an_event_is_bounded() {
    for (text, too_long) in [
        ("data:123456\n\n", false),
        ("data:12345678901\ndata:123\n", false),
        ("data:12345678901\ndata:1234\n", true),
        ("data:123456789012345\n\ndata:1\n\n", false),
        ("data:1234567890123456\n\n", true),
        ("event:12345678901\ndata:1234\n\n", false),
        ("event:12345678901\ndata:12345\n\n", true),
        // It stays, and so it counts each time.
        ("id:1234567890\ndata:1\n\ndata:123456\n\n", true),
        (&"data\n".repeat(16), false),
        (&"data\n".repeat(17), true),
        ("retry:12345678901234567\n", true),
        ("event:12345678901234567\n", true),
        ("id:12345678901234567\n", true),
        ("ID:12345678901234567\n", false),
    ] {
        assert_eq!(is_too_long(text, 16), too_long, "{text:?}");
    }
    // A line that goes on and on is given up before it ends.
    for name in ["data", "event", "id", "retry"] {
        let mut stream = EventStream::new().max_event(16);
        read(&mut stream, &[name.as_bytes(), b":"]).unwrap();
        let mut taken = 0;
        while read(&mut stream, &[b"1"]).is_ok() {
            taken += 1;
            assert!(taken <= 16 + PREFIX, "{name}");
        }
        assert!(taken >= 16, "{name}");
    }
}

#[test]
fn what_means_nothing_is_not_kept() {
    let long = "x".repeat(1000);
    for line in [
        format!(":{long}"),
        format!("dataset:{long}"),
        long.clone(),
        format!("\u{feff}:{long}"),
    ] {
        let mut stream = EventStream::new().max_event(16);
        let text = format!("{line}\ndata:1\n\n{line}");
        let pieces: Vec<_> = text.as_bytes().chunks(3).collect();
        let mut most = 0;
        for piece in &pieces {
            read(&mut stream, &[piece]).unwrap();
            most = most.max(stream.line.capacity());
        }
        assert!(most < 64, "{most} bytes of {line:?} kept");
        assert_eq!(
            read(&mut EventStream::new().max_event(16), &pieces).unwrap(),
            ["message|1|"]
        );
    }
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_means_nothing(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40),
        cuts in proptest::collection::vec(0..9_usize, 40),
    ) {
        let stream = words.concat();
        let mut pieces = Vec::new();
        let mut rest = &*stream;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let limit = |limit| EventStream::new().max_event(limit);
        prop_assert_eq!(read(&mut limit(1000), &pieces), read(&mut limit(1000), &[&stream]));
        prop_assert_eq!(read(&mut limit(12), &pieces), read(&mut limit(12), &[&stream]));
    }
}

/// A parser that looked at all of a line for each piece would take minutes.
#[test]
fn a_line_in_tiny_pieces_takes_time_by_its_length() {
    let mut stream = EventStream::new();
    let started = std::time::Instant::now();
    read(&mut stream, &[b"data:"]).unwrap();
    for _ in 0..300_000 {
        read(&mut stream, &[b"x"]).unwrap();
    }
    let mut rest = &b"\n\n"[..];
    let event = stream.next_event(&mut rest).unwrap().unwrap();
    assert_eq!(event.data.len(), 300_000);
    assert!(started.elapsed() < Duration::from_secs(60));
}
