//! The closing handshake: who begins, what goes with it, what it refuses (RFC 6455 sections 7.1.2 to 7.1.6).

use std::time::Instant;

use we_net::protocol::{Event, Message, OpCode, Refusal, Role, State};

use super::*;

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
