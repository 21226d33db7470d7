//! The closing handshake, failure, and the timers, for both roles (RFC 6455 section 7).

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use we_net::protocol::{
    Closure, Config, Connection, ConnectionError, Event, Message, OpCode, Refusal, Role, State,
    Timeouts,
};

use crate::support::*;

const TIMEOUTS: Timeouts = Timeouts {
    closing: Duration::from_secs(30),
    tcp_close: Duration::from_secs(2),
    failing: Duration::from_secs(3),
    stalled_write: None,
    idle: None,
};

fn connection(role: Role) -> Connection {
    Connection::new(
        role,
        Config {
            timeouts: TIMEOUTS,
            ..Config::default()
        },
    )
}

fn closure(connection: &mut Connection) -> Closure {
    match events(connection).as_slice() {
        [Event::Closed(closure)] => closure.clone(),
        other => panic!("not just closed: {other:?}"),
    }
}

fn clean(code: u16, reason: &str) -> Closure {
    Closure {
        clean: true,
        code,
        reason: reason.to_owned(),
        error: None,
    }
}

fn lost(error: ConnectionError) -> Closure {
    Closure {
        clean: false,
        code: 1006,
        reason: String::new(),
        error: Some(error),
    }
}

#[test]
fn close_that_we_start_is_clean_after_the_answer_and_the_end_of_the_transport() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.send(now, Message::text("last")).unwrap();
        connection.close(now, Some(close_frame(1000, "bye")));
        assert_eq!(connection.state(), State::Closing);
        assert_eq!(
            written_frames(&mut connection, now),
            [
                Frame::text("last"),
                Frame::new(OpCode::Close, b"\x03\xE8bye")
            ]
        );
        assert!(!connection.wants_shutdown());

        let answer = Frame::new(OpCode::Close, b"\x0F\xA0ok").to(role);
        assert_eq!(
            receive(&mut connection, now, &answer),
            [Event::CloseReceived(Some(close_frame(4000, "ok")))]
        );
        assert!(!connection.wants_write());
        // Section 7.1.1: the server ends the TCP connection, the client waits for it.
        assert_eq!(connection.wants_shutdown(), role == Role::Server);
        assert!(!connection.is_terminated());
        connection.receive_eof(now);
        assert_eq!(closure(&mut connection), clean(4000, "ok"));
        assert_eq!(connection.state(), State::Closed);
        assert_eq!(connection.poll_timeout(), None);
    }
}

#[test]
fn close_that_the_peer_starts_is_echoed_after_the_messages_that_wait() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.send(now, Message::text("last")).unwrap();
        let close = Frame::new(OpCode::Close, b"\x0B\xB8why");
        assert_eq!(
            receive(&mut connection, now, &close.to(role)),
            [Event::CloseReceived(Some(close_frame(3000, "why")))]
        );
        let error = connection.send(now, Message::text("late")).unwrap_err();
        assert_eq!(error.refusal, Refusal::Closing);
        assert_eq!(connection.ping(now, b""), Err(Refusal::Closing));
        assert_eq!(
            written_frames(&mut connection, now),
            [Frame::text("last"), close]
        );
        assert_eq!(connection.wants_shutdown(), role == Role::Server);
        connection.receive_eof(now);
        assert_eq!(closure(&mut connection), clean(3000, "why"));
    }
}

#[test]
fn close_without_a_body_is_1005_and_sent_without_a_body() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.close(now, None);
        let empty = Frame::new(OpCode::Close, "");
        let answer = empty.to(role);
        assert_eq!(written_frames(&mut connection, now), [empty]);
        receive(&mut connection, now, &answer);
        connection.receive_eof(now);
        assert_eq!(closure(&mut connection), clean(1005, ""));
    }
}

#[test]
fn peer_that_sends_close_and_ends_at_once_is_clean() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.receive(now, &Frame::close(1000).to(role));
        connection.receive_eof(now);
        assert_eq!(events(&mut connection).len(), 1);
        assert!(!connection.is_terminated());
        assert_eq!(written_frames(&mut connection, now), [Frame::close(1000)]);
        assert_eq!(closure(&mut connection), clean(1000, ""));
    }
}

#[test]
fn crossing_close_frames_are_clean() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.close(now, Some(close_frame(1001, "")));
        let written = write_some(&mut connection, now, 1);
        receive(&mut connection, now, &Frame::close(1000).to(role));
        let rest = write_all(&mut connection, now);
        // One Close frame only, ours.
        assert_eq!(
            parse_frames(&[written, rest].concat()),
            [Frame::close(1001)]
        );
        connection.receive_eof(now);
        assert_eq!(closure(&mut connection), clean(1000, ""));
    }
}

#[test]
fn closing_is_idempotent_and_refuses_messages() {
    let now = Instant::now();
    let mut connection = connection(Role::Client);
    connection.close(now, Some(close_frame(1000, "first")));
    connection.close(now, Some(close_frame(1001, "second")));
    let message = Message::text("late");
    let error = connection.send(now, message.clone()).unwrap_err();
    assert_eq!((error.refusal, error.message), (Refusal::Closing, message));
    assert_eq!(
        written_frames(&mut connection, now),
        [Frame::new(OpCode::Close, b"\x03\xE8first")]
    );
    connection.abort();
    connection.close(now, None);
    let error = connection.send(now, Message::text("late")).unwrap_err();
    assert_eq!(error.refusal, Refusal::Closed);
    assert!(!connection.wants_write());
}

#[test]
fn messages_after_our_close_are_delivered_and_after_the_peers_are_not() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.close(now, None);
        let bytes = bytes_to(
            role,
            &[Frame::text("still"), Frame::close(1000), Frame::text("not")],
        );
        assert_eq!(
            receive(&mut connection, now, &bytes),
            [
                Event::Message(Message::text("still")),
                Event::CloseReceived(Some(close_frame(1000, "")))
            ]
        );
        assert_eq!(
            receive(&mut connection, now, &Frame::text("no").to(role)),
            []
        );
    }
}

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

#[test]
fn ping_is_answered_while_our_close_waits_and_never_after_it() {
    let now = Instant::now();
    let ping = Frame::new(OpCode::Ping, "?").to(Role::Server);
    let pong = Frame::new(OpCode::Pong, "?");

    let mut waiting = connection(Role::Server);
    waiting.close(now, None);
    receive(&mut waiting, now, &ping);
    assert_eq!(
        written_frames(&mut waiting, now),
        [pong, Frame::new(OpCode::Close, "")]
    );

    let mut begun = connection(Role::Server);
    begun.close(now, None);
    let first = write_some(&mut begun, now, 1);
    receive(&mut begun, now, &ping);
    let rest = write_all(&mut begun, now);
    assert_eq!(
        parse_frames(&[first, rest].concat()),
        [Frame::new(OpCode::Close, "")]
    );
    receive(&mut begun, now, &ping);
    assert!(!begun.wants_write());
}

#[test]
fn peer_that_never_answers_our_close_is_ended_by_the_closing_timer() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = connection(role);
        connection
            .send(start, Message::binary(vec![0; 100]))
            .unwrap();
        connection.close(start, None);
        // Progress extends the time, and the flush starts it.
        let mut now = start + Duration::from_secs(20);
        write_some(&mut connection, now, 50);
        assert_eq!(connection.poll_timeout(), Some(now + TIMEOUTS.closing));
        now += Duration::from_secs(20);
        write_all(&mut connection, now);
        let end = now + TIMEOUTS.closing;
        assert_eq!(connection.poll_timeout(), Some(end));
        // Data from the peer does not extend it: a peer could talk for ever.
        now += Duration::from_secs(20);
        receive(&mut connection, now, &Frame::text("talk").to(role));
        assert_eq!(connection.poll_timeout(), Some(end));

        connection.handle_timeout(end - Duration::from_nanos(1));
        assert!(!connection.is_terminated());
        connection.handle_timeout(end);
        assert_eq!(
            closure(&mut connection),
            lost(ConnectionError::ClosingTimeout)
        );
    }
}

#[test]
fn peer_that_answers_and_keeps_the_transport_is_ended_cleanly_by_a_timer() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.close(now, None);
        write_all(&mut connection, now);
        receive(&mut connection, now, &Frame::close(1000).to(role));
        let end = now + TIMEOUTS.tcp_close;
        assert_eq!(connection.poll_timeout(), Some(end));
        connection.handle_timeout(end);
        assert_eq!(closure(&mut connection), clean(1000, ""));
    }
}

#[test]
fn peer_that_closes_and_does_not_read_is_ended_by_the_closing_timer() {
    let now = Instant::now();
    let mut connection = connection(Role::Server);
    connection.send(now, Message::binary(vec![0; 100])).unwrap();
    receive(&mut connection, now, &Frame::close(1001).to(Role::Server));
    connection.handle_timeout(now + TIMEOUTS.closing);
    let closure = closure(&mut connection);
    assert_eq!((closure.clean, closure.code), (false, 1001));
    assert_eq!(closure.error, Some(ConnectionError::ClosingTimeout));
    assert_eq!(connection.buffered_amount(), 100);
}

#[test]
fn transport_that_ends_without_a_close_frame_is_1006() {
    for role in ROLES {
        let now = Instant::now();
        let mut open = connection(role);
        open.receive(now, &Frame::text("cut off").to(role)[..4]);
        open.receive_eof(now);
        assert_eq!(closure(&mut open), lost(ConnectionError::UnexpectedEof));

        let mut closing = connection(role);
        closing.close(now, None);
        write_all(&mut closing, now);
        closing.receive_eof(now);
        assert_eq!(closure(&mut closing), lost(ConnectionError::UnexpectedEof));
    }
}

#[test]
fn broken_transport_is_1006_unless_the_close_frames_were_exchanged() {
    for role in ROLES {
        let now = Instant::now();
        let mut open = connection(role);
        open.transport_failed(now, ErrorKind::ConnectionReset);
        let error = ConnectionError::Transport(ErrorKind::ConnectionReset.into());
        assert_eq!(closure(&mut open), lost(error.clone()));

        // Received, but ours has not left: the peer's code, and not clean.
        let mut answering = connection(role);
        receive(&mut answering, now, &Frame::close(1000).to(role));
        answering.transport_failed(now, ErrorKind::ConnectionReset);
        let closed = closure(&mut answering);
        assert_eq!((closed.clean, closed.code), (false, 1000));
        assert_eq!(closed.error, Some(error));

        let mut exchanged = connection(role);
        receive(&mut exchanged, now, &Frame::close(1000).to(role));
        write_all(&mut exchanged, now);
        exchanged.transport_failed(now, ErrorKind::ConnectionReset);
        assert_eq!(closure(&mut exchanged), clean(1000, ""));
    }
}

#[test]
fn failure_waits_for_its_close_frame_to_leave_and_for_the_peer_to_end() {
    for role in ROLES {
        let now = Instant::now();
        let mut eof_first = connection(role);
        eof_first.receive(now, &[0x83]);
        assert_eq!(eof_first.state(), State::Closing);
        eof_first.receive_eof(now);
        assert!(!eof_first.is_terminated());
        assert_eq!(written_frames(&mut eof_first, now).len(), 1);
        assert!(eof_first.is_terminated());

        let mut silent = connection(role);
        silent.receive(now, &[0x83]);
        write_all(&mut silent, now);
        assert!(silent.wants_shutdown() && !silent.is_terminated());
        silent.handle_timeout(now + TIMEOUTS.failing);
        assert!(!closure(&mut silent).clean);

        let mut deaf = connection(role);
        deaf.receive(now, &[0x83]);
        assert!(!deaf.wants_shutdown());
        // A peer that takes a byte now and then gains no time.
        write_some(&mut deaf, now + Duration::from_secs(2), 1);
        deaf.handle_timeout(now + TIMEOUTS.failing);
        assert!(deaf.is_terminated() && !deaf.wants_write());
    }
}

#[test]
fn failure_after_our_close_sends_no_second_one() {
    let now = Instant::now();
    let mut connection = connection(Role::Client);
    connection.close(now, Some(close_frame(1000, "")));
    connection.receive(now, &[0x83]);
    assert_eq!(written_frames(&mut connection, now), [Frame::close(1000)]);
    assert!(connection.wants_shutdown());
    connection.receive_eof(now);
    let closed = closure(&mut connection);
    assert_eq!((closed.clean, closed.code), (false, 1006));
}

#[test]
fn caller_can_fail_the_connection() {
    let now = Instant::now();
    let mut connection = connection(Role::Server);
    connection.fail(now, close_frame(1011, "out of ideas"));
    connection.fail(now, close_frame(1008, "twice"));
    assert_eq!(
        receive(&mut connection, now, &Frame::text("x").to(Role::Server)),
        []
    );
    assert_eq!(
        written_frames(&mut connection, now),
        [Frame::new(OpCode::Close, b"\x03\xF3out of ideas")]
    );
    connection.receive_eof(now);
    let frame = close_frame(1011, "out of ideas");
    assert_eq!(
        closure(&mut connection),
        lost(ConnectionError::Local(frame))
    );
}

#[test]
fn abort_ends_at_once_and_writes_nothing_more() {
    let now = Instant::now();
    let mut connection = connection(Role::Client);
    connection
        .send(now, Message::binary(vec![0; 10_000]))
        .unwrap();
    write_some(&mut connection, now, 5000);
    let left = connection.buffered_amount();
    connection.abort();
    assert!(connection.is_terminated() && !connection.wants_write());
    assert_eq!(connection.output(&mut [std::io::IoSlice::new(&[])]), 0);
    assert_eq!(closure(&mut connection), lost(ConnectionError::Aborted));
    assert_eq!(connection.buffered_amount(), left);
}

#[test]
fn closed_is_emitted_once_whatever_comes_after() {
    for role in ROLES {
        let now = Instant::now();
        let mut connection = connection(role);
        connection.receive_eof(now);
        assert_eq!(events(&mut connection).len(), 1);
        connection.receive(now, &Frame::close(1000).to(role));
        connection.receive_eof(now);
        connection.transport_failed(now, ErrorKind::BrokenPipe);
        connection.close(now, None);
        connection.fail(now, close_frame(1000, ""));
        connection.abort();
        connection.output_written(now, 10);
        connection.handle_timeout(now + Duration::from_secs(1000));
        assert_eq!(events(&mut connection), []);
        assert!(!connection.wants_write() && !connection.wants_shutdown());
        assert_eq!(connection.poll_timeout(), None);
    }
}

#[test]
fn timeout_beyond_the_clock_never_comes() {
    let now = Instant::now();
    let mut connection = Connection::new(
        Role::Client,
        Config {
            timeouts: Timeouts {
                closing: Duration::MAX,
                ..TIMEOUTS
            },
            ..Config::default()
        },
    );
    connection.close(now, None);
    assert_eq!(connection.poll_timeout(), None);
    connection.handle_timeout(now + Duration::from_secs(1 << 30));
    assert!(!connection.is_terminated());
}
