//! A Close frame, an offence or the end behind messages: what comes first is dealt with first.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use we_net::protocol::{
    Closure, Config, Connection, ConnectionError, Event, Message, OpCode, Refusal, Role, State,
};

use super::*;

/// Feeds what a peer sends in one segment: these messages, and a Close frame behind them.
fn receive_with_close(connection: &mut Connection, now: Instant, messages: &[&str]) {
    let mut frames: Vec<Frame> = messages.iter().map(|text| Frame::text(text)).collect();
    frames.push(Frame::new(OpCode::Close, b"\x0B\xB8why"));
    let bytes = bytes_to(connection.role(), &frames);
    connection.receive(now, &bytes);
}

fn close_received() -> Option<Event> {
    Some(Event::CloseReceived(Some(close_frame(3000, "why"))))
}

#[test]
fn message_and_close_in_one_segment_is_answered_before_the_close() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        receive_with_close(&mut connection, now, &["question"]);
        assert_eq!(connection.state(), State::Open);
        assert!(!connection.wants_write());
        let message = connection.poll_event();
        assert_eq!(message, Some(Event::Message(Message::text("question"))));
        connection.send(now, Message::text("answer")).unwrap();

        assert_eq!(connection.poll_event(), close_received());
        assert_eq!(connection.state(), State::Closing);
        let error = connection.send(now, Message::text("late")).unwrap_err();
        assert_eq!(error.refusal, Refusal::Closing);
        assert_eq!(
            written_frames(&mut connection, now),
            [
                Frame::text("answer"),
                Frame::new(OpCode::Close, b"\x0B\xB8why")
            ]
        );
        assert_eq!(connection.wants_shutdown(), role == Role::Server);
        connection.receive_eof(now);
        assert_eq!(closure(&mut connection), clean(3000, "why"));
    }
}

#[test]
fn several_messages_before_a_close_are_all_answered_before_it() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        let texts = ["one", "two", "three"];
        receive_with_close(&mut connection, now, &texts);
        // Nothing that follows the Close frame counts.
        connection.receive(now, &Frame::text("no").to(role));
        let mut written = Vec::new();
        for text in texts {
            let event = connection.poll_event();
            assert_eq!(event, Some(Event::Message(Message::text(text))));
            connection.send(now, Message::text(text)).unwrap();
            connection.ping(now, b"still here").unwrap();
            written.extend(written_frames(&mut connection, now));
        }
        assert_eq!(connection.poll_event(), close_received());
        assert_eq!(connection.poll_event(), None);
        written.extend(written_frames(&mut connection, now));
        let ping = || Frame::new(OpCode::Ping, "still here");
        let expected = texts.map(|text| [ping(), Frame::text(text)]).concat();
        let (close, before) = written.split_last().unwrap();
        assert_eq!(before, expected);
        assert_eq!(code_of(close), 3000);
        connection.receive_eof(now);
        assert_eq!(closure(&mut connection), clean(3000, "why"));
    }
}

#[test]
fn close_with_no_message_in_front_is_answered_without_a_caller() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        let ping = Frame::new(OpCode::Ping, "?");
        let bytes = bytes_to(role, &[ping, Frame::close(1001)]);
        connection.receive(now, &bytes);
        assert_eq!(connection.state(), State::Closing);
        let pong = Frame::new(OpCode::Pong, "?");
        assert_eq!(
            written_frames(&mut connection, now),
            [pong, Frame::close(1001)]
        );
        connection.receive_eof(now);
        assert_eq!(events(&mut connection).len(), 3);
    }
}

#[test]
fn close_behind_messages_counts_at_once_when_ours_went_first() {
    let now = Instant::now();
    let mut connection = connection(Role::Client);
    connection.close(now, Some(close_frame(1000, "")));
    write_all(&mut connection, now);
    receive_with_close(&mut connection, now, &["last"]);
    // The Close frames are exchanged, whether or not the caller has seen it.
    assert_eq!(connection.state(), State::Closing);
    assert_eq!(connection.poll_timeout(), Some(now + TIMEOUTS.tcp_close));
    connection.receive_eof(now);
    let last = connection.poll_event();
    assert_eq!(last, Some(Event::Message(Message::text("last"))));
    assert_eq!(connection.poll_event(), close_received());
    assert_eq!(closure(&mut connection), clean(3000, "why"));
    assert!(!connection.wants_write());
}

#[test]
fn eof_right_behind_message_and_close_still_lets_the_answer_out() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        receive_with_close(&mut connection, now, &["question"]);
        connection.receive_eof(now);
        assert_eq!(connection.state(), State::Open);
        assert!(matches!(connection.poll_event(), Some(Event::Message(_))));
        connection.send(now, Message::text("answer")).unwrap();
        assert_eq!(connection.poll_event(), close_received());
        assert_eq!(connection.poll_event(), None);
        assert_eq!(written_frames(&mut connection, now).len(), 2);
        assert_eq!(closure(&mut connection), clean(3000, "why"));
    }
}

#[test]
fn lazy_caller_does_not_hold_up_the_end() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = connection(role);
        receive_with_close(&mut connection, start, &["question"]);
        assert_eq!(connection.poll_timeout(), Some(start + TIMEOUTS.closing));
        assert!(matches!(connection.poll_event(), Some(Event::Message(_))));
        // What is only queued gains no time; what the peer takes does.
        let mut now = start + Duration::from_secs(20);
        connection.send(now, Message::text("slow")).unwrap();
        assert_eq!(connection.poll_timeout(), Some(start + TIMEOUTS.closing));
        write_all(&mut connection, now);
        now += TIMEOUTS.closing;
        assert_eq!(connection.poll_timeout(), Some(now));

        connection.handle_timeout(now);
        assert!(connection.is_terminated() && !connection.wants_write());
        let error = connection.send(now, Message::text("late")).unwrap_err();
        assert_eq!(error.refusal, Refusal::Closed);
        assert_eq!(connection.poll_event(), close_received());
        assert_eq!(
            closure(&mut connection),
            Closure {
                clean: false,
                error: Some(ConnectionError::ClosingTimeout),
                ..clean(3000, "why")
            }
        );
        assert_eq!(connection.poll_event(), None);
        assert!(!connection.wants_write());
    }
}

#[test]
fn pending_output_stays_bounded_before_a_close_is_answered() {
    let now = Instant::now();
    let mut connection = Connection::new(Role::Server, Config::server());
    receive_with_close(&mut connection, now, &["question"]);
    let half = Message::binary(vec![0; 9 << 20]);
    connection.send(now, half.clone()).unwrap();
    let error = connection.send(now, half).unwrap_err();
    assert_eq!(error.refusal, Refusal::Full);
}

#[test]
fn closing_before_the_peers_close_is_taken_answers_it() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        receive_with_close(&mut connection, now, &["question"]);
        connection.receive_eof(now);
        connection.close(now, Some(close_frame(4001, "mine")));
        assert_eq!(connection.state(), State::Closing);
        assert_eq!(events(&mut connection).len(), 2);
        assert_eq!(
            written_frames(&mut connection, now),
            [Frame::new(OpCode::Close, b"\x0F\xA1mine")]
        );
        assert_eq!(closure(&mut connection), clean(3000, "why"));
    }
}

#[test]
fn failing_before_the_peers_close_is_taken_tells_both_sides() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        receive_with_close(&mut connection, now, &["nonsense"]);
        let frame = close_frame(1008, "nonsense");
        connection.fail(now, frame.clone());
        assert_eq!(connection.poll_timeout(), Some(now + TIMEOUTS.failing));
        assert_eq!(events(&mut connection).len(), 2);
        assert_eq!(
            written_frames(&mut connection, now),
            [Frame::new(OpCode::Close, b"\x03\xF0nonsense")]
        );
        connection.receive_eof(now);
        assert_eq!(
            closure(&mut connection),
            Closure {
                clean: false,
                error: Some(ConnectionError::Local(frame)),
                ..clean(3000, "why")
            }
        );
    }
}

#[test]
fn end_before_the_peers_close_is_taken_has_its_code_and_is_not_clean() {
    for role in ROLES {
        let now = Instant::now();
        let broken = ConnectionError::Transport(ErrorKind::ConnectionReset.into());
        for error in [broken, ConnectionError::Aborted] {
            let mut connection = connection(role);
            receive_with_close(&mut connection, now, &["question"]);
            match error {
                ConnectionError::Aborted => connection.abort(),
                _ => connection.transport_failed(now, ErrorKind::ConnectionReset),
            }
            assert_eq!(connection.state(), State::Closed);
            assert!(matches!(connection.poll_event(), Some(Event::Message(_))));
            assert_eq!(connection.poll_event(), close_received());
            let closed = closure(&mut connection);
            assert_eq!((closed.clean, closed.code), (false, 3000));
            assert_eq!(closed.error, Some(error));
            assert!(!connection.wants_write());
        }
    }
}

/// Feeds a message and, behind it, a frame with a reserved opcode.
fn receive_with_offence(connection: &mut Connection, now: Instant) {
    let message = Frame::text("question").to(connection.role());
    connection.receive(now, &[message.as_slice(), &[0x83]].concat());
    assert_eq!(connection.state(), State::Open);
    assert!(!connection.wants_write());
}

#[test]
fn messages_before_an_offence_are_answered_before_the_failure() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        receive_with_offence(&mut connection, now);
        assert!(matches!(connection.poll_event(), Some(Event::Message(_))));
        connection.send(now, Message::text("answer")).unwrap();
        assert_eq!(connection.poll_event(), None);
        assert_eq!(connection.state(), State::Closing);
        // The peer gets its time to read our Close frame, however late it leaves.
        let late = now + TIMEOUTS.failing;
        let written = written_frames(&mut connection, late);
        assert_eq!(written[0], Frame::text("answer"));
        assert_eq!((written.len(), code_of(&written[1])), (2, 1002));
        assert_eq!(connection.poll_timeout(), Some(late + TIMEOUTS.failing));
        assert!(connection.wants_shutdown());
        connection.receive_eof(late);
        let closed = closure(&mut connection);
        assert_eq!((closed.clean, closed.code), (false, 1006));
        assert!(matches!(closed.error, Some(ConnectionError::Protocol(_))));
    }
}

#[test]
fn caller_that_answers_later_learns_that_the_end_comes_next() {
    let close: &[u8] = b"\x88\x02\x0B\xB8";
    let masked_close: &[u8] = b"\x88\x82\0\0\0\0\x0B\xB8";
    for role in ROLES {
        let close = if role == Role::Client {
            close
        } else {
            masked_close
        };
        for (end, code) in [(close, 3000), (&[0x83], 1002)] {
            for has_message in [true, false] {
                let now = Instant::now();
                let mut connection = connection(role);
                connection.answer_later();
                if has_message {
                    connection.receive(now, &Frame::text("question").to(role));
                    assert!(!connection.ends_with_next_event());
                    assert!(matches!(connection.poll_event(), Some(Event::Message(_))));
                }
                // The message has been taken, but not yet dealt with.
                connection.receive(now, end);
                assert!(connection.ends_with_next_event());
                assert_eq!(connection.state(), State::Open);
                connection.send(now, Message::text("answer")).unwrap();
                connection.poll_event();
                assert!(!connection.ends_with_next_event());
                assert_eq!(connection.state(), State::Closing);
                let written = written_frames(&mut connection, now);
                assert_eq!(written[0], Frame::text("answer"));
                assert_eq!((written.len(), code_of(&written[1])), (2, code));
            }
        }
    }
}

#[test]
fn failure_waits_for_a_lazy_caller_only_so_long() {
    let start = Instant::now();
    let mut connection = connection(Role::Server);
    receive_with_offence(&mut connection, start);
    connection.receive_eof(start);
    let end = start + TIMEOUTS.failing;
    connection.send(start, Message::text("slow")).unwrap();
    write_all(&mut connection, start + Duration::from_secs(1));
    assert_eq!(connection.poll_timeout(), Some(end));
    connection.handle_timeout(end);
    assert_eq!(connection.state(), State::Closing);
    assert_eq!(connection.poll_timeout(), Some(end + TIMEOUTS.failing));
    let written = written_frames(&mut connection, end);
    assert_eq!((written.len(), code_of(&written[0])), (1, 1002));
    assert!(connection.is_terminated());
    assert_eq!(events(&mut connection).len(), 2);
}

#[test]
fn offence_behind_messages_is_the_reason_whatever_else_ends_the_connection() {
    let ends: [fn(&mut Connection, Instant); 4] = [
        |connection, now| connection.close(now, None),
        |connection, now| connection.fail(now, close_frame(1008, "")),
        |connection, now| connection.transport_failed(now, ErrorKind::BrokenPipe),
        |connection, _| connection.abort(),
    ];
    for end in ends {
        let now = Instant::now();
        let mut connection = connection(Role::Client);
        receive_with_offence(&mut connection, now);
        end(&mut connection, now);
        assert_ne!(connection.state(), State::Open);
        if !connection.is_terminated() {
            let written = written_frames(&mut connection, now);
            assert_eq!((written.len(), code_of(&written[0])), (1, 1002));
            connection.receive_eof(now);
        }
        assert!(matches!(connection.poll_event(), Some(Event::Message(_))));
        let closed = closure(&mut connection);
        assert_eq!((closed.clean, closed.code), (false, 1006));
        assert!(matches!(closed.error, Some(ConnectionError::Protocol(_))));
    }
}
