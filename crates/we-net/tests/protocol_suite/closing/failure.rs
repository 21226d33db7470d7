//! Ends without a closing handshake: timers, a transport that breaks, failures (RFC 6455 section 7.1.7).

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use we_net::protocol::{
    Config, Connection, ConnectionError, Message, OpCode, Role, State, Timeouts,
};

use super::*;

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
