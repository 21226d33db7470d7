//! Keep-alive Pings and the idle timer: a clock of the test's own, no waiting.

use std::time::{Duration, Instant};

use we_net::protocol::{
    Config, Connection, ConnectionError, Event, KeepAlive, Message, OpCode, Role, State, Timeouts,
};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

fn keeping_alive(role: Role, now: Instant) -> Connection {
    let keep_alive = Some(KeepAlive {
        interval: 20 * SECOND,
        timeout: 5 * SECOND,
    });
    started(
        role,
        now,
        Config {
            keep_alive,
            ..Config::default()
        },
    )
}

fn idling(role: Role, now: Instant) -> Connection {
    let timeouts = Timeouts {
        idle: Some(60 * SECOND),
        ..Timeouts::default()
    };
    started(
        role,
        now,
        Config {
            timeouts,
            ..Config::default()
        },
    )
}

fn started(role: Role, now: Instant, config: Config) -> Connection {
    let mut connection = Connection::new(role, config);
    connection.start(now);
    connection
}

/// Lets the connection look at the clock, and returns what it sends.
fn at(connection: &mut Connection, now: Instant) -> Vec<Frame> {
    connection.handle_timeout(now);
    written_frames(connection, now)
}

#[test]
fn a_silent_peer_is_pinged_and_its_pong_is_not_told() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = keeping_alive(role, start);
        let mut now = start;
        for _ in 0..3 {
            assert_eq!(connection.poll_timeout(), Some(now + 20 * SECOND));
            assert_eq!(at(&mut connection, now + 19 * SECOND), []);
            now += 20 * SECOND;
            let [ping] = at(&mut connection, now).try_into().unwrap();
            assert_eq!(ping.opcode, OpCode::Ping);
            assert_eq!(connection.poll_timeout(), Some(now + 5 * SECOND));
            now += SECOND;
            let pong = Frame::new(OpCode::Pong, &ping.payload).to(role);
            assert_eq!(receive(&mut connection, now, &pong), []);
            assert_eq!(at(&mut connection, now + 4 * SECOND), []);
        }
        // A Pong that was not asked for is the caller's.
        let pong = Frame::new(OpCode::Pong, "hello").to(role);
        assert_eq!(receive(&mut connection, now, &pong).len(), 1);
    }
}

#[test]
fn a_peer_that_answers_nothing_is_given_up() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = keeping_alive(role, start);
        assert_eq!(at(&mut connection, start + 20 * SECOND).len(), 1);
        assert_eq!(at(&mut connection, start + 25 * SECOND), []);
        let events = events(&mut connection);
        let [Event::Closed(closure)] = events.as_slice() else {
            panic!("not closed: {events:?}")
        };
        assert_eq!(closure.error, Some(ConnectionError::PeerSilent));
        assert_eq!((closure.clean, closure.code), (false, 1006));
        assert_eq!(connection.poll_timeout(), None);
    }
}

#[test]
fn everything_that_arrives_is_a_sign_of_life() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = keeping_alive(role, start);
        // A long message, byte by byte; the Pong cannot come before its end.
        let message = Frame::new(OpCode::Binary, [7; 100]).to(role);
        for (seconds, byte) in (1..).zip(&message) {
            let now = start + seconds * 4 * SECOND;
            assert_eq!(at(&mut connection, now), []);
            connection.receive(now, &[*byte]);
        }
        assert_eq!(events(&mut connection).len(), 1);
        // After a Ping too.
        let now = start + 1000 * SECOND;
        assert_eq!(at(&mut connection, now).len(), 1);
        connection.receive(now + SECOND, &message[..1]);
        assert_eq!(at(&mut connection, now + 5 * SECOND), []);
        assert_eq!(connection.state(), State::Open);
        assert_eq!(connection.poll_timeout(), Some(now + 21 * SECOND));
    }
}

#[test]
fn nothing_is_asked_while_the_connection_closes() {
    let start = Instant::now();
    let mut connection = keeping_alive(Role::Client, start);
    connection.close(start, None);
    written_frames(&mut connection, start);
    assert_eq!(connection.poll_timeout(), Some(start + 30 * SECOND));
    assert_eq!(at(&mut connection, start + 25 * SECOND), []);
}

#[test]
fn an_idle_connection_is_closed_with_1001() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = idling(role, start);
        // Pings do not count.
        let ping = Frame::new(OpCode::Ping, "").to(role);
        receive(&mut connection, start + 50 * SECOND, &ping);
        written_frames(&mut connection, start + 50 * SECOND);
        assert_eq!(at(&mut connection, start + 59 * SECOND), []);
        let [close] = at(&mut connection, start + 60 * SECOND).try_into().unwrap();
        assert_eq!(close.opcode, OpCode::Close);
        assert!(close.payload.starts_with(&1001_u16.to_be_bytes()));
        assert_eq!(connection.state(), State::Closing);
    }
}

#[test]
fn messages_and_their_pieces_keep_a_connection_from_being_idle() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = idling(role, start);
        let message = Frame::text("hello").to(role);
        let (piece, rest) = message.split_at(message.len() - 1);
        receive(&mut connection, start + 50 * SECOND, piece);
        assert_eq!(at(&mut connection, start + 100 * SECOND), []);
        receive(&mut connection, start + 105 * SECOND, rest);
        assert_eq!(at(&mut connection, start + 164 * SECOND), []);
        let now = start + 164 * SECOND;
        connection.send(now, Message::text("x")).unwrap();
        written_frames(&mut connection, now);
        assert_eq!(at(&mut connection, now + 59 * SECOND), []);
        assert_eq!(at(&mut connection, now + 60 * SECOND).len(), 1);
    }
}

#[test]
fn without_being_started_the_timers_run_from_the_first_call() {
    let start = Instant::now();
    let keep_alive = Some(KeepAlive::default());
    let config = Config {
        keep_alive,
        ..Config::default()
    };
    let mut connection = Connection::new(Role::Server, config.clone());
    assert_eq!(connection.poll_timeout(), None);
    connection.receive(start, &[]);
    assert_eq!(connection.poll_timeout(), Some(start + 20 * SECOND));
    // Whichever it is.
    for call in [
        |connection: &mut Connection, now| connection.handle_timeout(now),
        |connection: &mut Connection, now| connection.ping(now, b"").unwrap(),
        |connection: &mut Connection, now| connection.send(now, Message::text("x")).unwrap(),
    ] {
        let mut connection = Connection::new(Role::Client, config.clone());
        call(&mut connection, start);
        assert_eq!(connection.poll_timeout(), Some(start + 20 * SECOND));
    }
    // Nor does a connection without such timers get any.
    let mut plain = started(Role::Server, start, Config::server());
    plain.receive(start, &[]);
    assert_eq!(plain.poll_timeout(), None);
}

#[test]
fn a_peer_that_answers_is_asked_again_after_the_interval_however_long_the_timeout() {
    let start = Instant::now();
    let keep_alive = Some(KeepAlive {
        interval: 5 * SECOND,
        timeout: 60 * SECOND,
    });
    let config = Config {
        keep_alive,
        ..Config::default()
    };
    let mut connection = started(Role::Client, start, config);
    let [ping] = at(&mut connection, start + 5 * SECOND).try_into().unwrap();
    assert_eq!(connection.poll_timeout(), Some(start + 65 * SECOND));
    let pong = Frame::new(OpCode::Pong, &ping.payload).to(Role::Client);
    receive(&mut connection, start + 6 * SECOND, &pong);
    assert_eq!(connection.poll_timeout(), Some(start + 11 * SECOND));
    assert_eq!(at(&mut connection, start + 11 * SECOND).len(), 1);
}

#[test]
fn a_peer_has_its_time_to_answer_from_when_the_ping_was_written() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = keeping_alive(role, start);
        connection
            .send(start, Message::binary(vec![7; 5000]))
            .unwrap();
        let mut now = start;
        // The frame is on its way, so the Ping has to wait for its end.
        write_some(&mut connection, now, 1000);
        now += 20 * SECOND;
        for _ in 0..4 {
            connection.handle_timeout(now);
            now += 4 * SECOND;
            write_some(&mut connection, now, 1000);
        }
        connection.handle_timeout(now);
        write_all(&mut connection, now);
        connection.handle_timeout(now + 5 * SECOND - Duration::from_nanos(1));
        assert_eq!(connection.state(), State::Open);
        connection.handle_timeout(now + 5 * SECOND);
        assert_eq!(connection.state(), State::Closed);
    }
}

#[test]
fn a_ping_has_room_beside_whatever_waits_and_one_at_a_time_waits() {
    let start = Instant::now();
    let mut connection = keeping_alive(Role::Server, start);
    while connection.ping(start, &[0; 125]).is_ok() {}
    let mut now = start;
    for _ in 0..3 {
        // Nothing is written, but the peer goes on talking.
        now += 20 * SECOND;
        connection.handle_timeout(now);
        now += SECOND;
        connection.receive(now, &Frame::new(OpCode::Pong, "hello").to(Role::Server));
    }
    let frames = written_frames(&mut connection, now);
    let own = frames.iter().filter(|frame| frame.payload.len() == 12);
    assert_eq!((own.count(), frames.len() > 5), (1, true));
}

#[test]
fn control_frames_between_the_pieces_of_a_message_are_no_activity() {
    for role in ROLES {
        let start = Instant::now();
        let mut connection = idling(role, start);
        let piece = Frame::text("hello").not_fin().to(role);
        receive(&mut connection, start + 10 * SECOND, &piece);
        let ping = Frame::new(OpCode::Ping, "hello").to(role);
        receive(&mut connection, start + 60 * SECOND, &ping);
        connection
            .send(start + 61 * SECOND, Message::text("x"))
            .unwrap();
        // The Pong goes first, and has not gone out yet.
        write_some(&mut connection, start + 100 * SECOND, 1);
        connection.handle_timeout(start + 120 * SECOND);
        assert_eq!(connection.state(), State::Open);
        connection.handle_timeout(start + 121 * SECOND);
        assert_eq!(connection.state(), State::Closing);
    }
}
