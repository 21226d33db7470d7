//! Messages of which a part has arrived: what they hold, and that the timers go on beside them.

use std::time::Duration;

use super::*;
use crate::protocol::KeepAlive;

/// The beginning of a message of 20000 bytes: 9000 of them.
fn begun(first: u8, fill: u8) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | 126, 0x4E, 0x20, 0, 0, 0, 0];
    bytes.extend([fill; 9000]);
    bytes
}

fn config(keep: bool, idle: Option<u64>) -> Config {
    let mut config = Config::server();
    config.keep_alive = keep.then_some(KeepAlive {
        interval: Duration::from_secs(20),
        timeout: Duration::from_secs(5),
    });
    config.timeouts.idle = idle.map(Duration::from_secs);
    config
}

async fn run_keep_alive(first: Vec<u8>) -> (bool, usize) {
    let stream = Scripted {
        reads: [first].into(),
        ..Scripted::default()
    };
    let mut driver = Driver::new(stream, Connection::new(Role::Server, config(true, None)));
    let mut closed = false;
    let mut pings = 0;
    for _ in 0..600 {
        if let Poll::Ready(Some(Event::Closed(_))) = poll(&mut driver) {
            closed = true;
            break;
        }
        pings = driver
            .stream()
            .map_or(pings, |s| s.writes.iter().filter(|w| w[0] == 0x89).count());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    (closed, pings)
}

#[tokio::test(start_paused = true)]
async fn keep_alive_finds_a_dead_peer_in_a_message_that_is_copied() {
    // Too little to wait in the buffer.
    let (closed, pings) = run_keep_alive(begun(0x82, 0)[..5000].to_vec()).await;
    assert!(closed, "{pings} Pings");
}

#[tokio::test(start_paused = true)]
async fn keep_alive_finds_a_dead_peer_in_a_message_that_waits() {
    let (closed, pings) = run_keep_alive(begun(0x82, 0)).await;
    assert!(closed, "{pings} Pings");
}

#[tokio::test(start_paused = true)]
async fn activity_does_not_go_back_in_time() {
    let stream = Scripted {
        reads: [begun(0x82, 0)].into(),
        ..Scripted::default()
    };
    let mut driver = Driver::new(
        stream,
        Connection::new(Role::Server, config(false, Some(60))),
    );
    assert!(poll(&mut driver).is_pending());
    tokio::time::advance(Duration::from_secs(50)).await;
    driver.send("x").unwrap();
    assert!(poll(&mut driver).is_pending());
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(poll(&mut driver).is_pending());
    assert_eq!(
        driver.connection().state(),
        State::Open,
        "idle 11 s after a message was sent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_came_in_time_counts_behind_events() {
    let mut driver = server(Scripted {
        reads: [[long(), HI.repeat(3)].concat()].into(),
        ..Scripted::default()
    });
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::Message(_)))
    ));
    driver.close(None);
    let mut cx = Context::from_waker(Waker::noop());
    let _ = driver.poll_flush(&mut cx);
    driver
        .stream
        .as_mut()
        .unwrap()
        .reads
        .push_back(CLOSE.to_vec());
    tokio::time::advance(Config::server().timeouts.closing).await;
    let _ = driver.poll_flush(&mut cx);
    let events: Vec<_> = std::iter::from_fn(|| driver.take_event()).collect();
    assert!(
        events.iter().any(|e| matches!(e, Event::CloseReceived(_))),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_in_time_is_activity_behind_events() {
    let stream = Scripted {
        reads: [[long(), HI.repeat(3)].concat()].into(),
        ..Scripted::default()
    };
    let mut driver = Driver::new(
        stream,
        Connection::new(Role::Server, config(false, Some(60))),
    );
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::Message(_)))
    ));
    let mut cx = Context::from_waker(Waker::noop());
    let _ = driver.poll_flush(&mut cx);
    tokio::time::advance(Duration::from_secs(59)).await;
    driver.stream.as_mut().unwrap().reads.push_back(HI.to_vec());
    tokio::time::advance(Duration::from_secs(1)).await;
    let _ = driver.poll_flush(&mut cx);
    assert_eq!(driver.connection().state(), State::Open);
}

#[tokio::test]
async fn invalid_text_fails_fast() {
    let mut driver = server(Scripted {
        reads: [begun(0x81, 0xFF)].into(),
        ..Scripted::default()
    });
    let _ = poll(&mut driver);
    assert_ne!(driver.connection().state(), State::Open);
}

#[test]
fn the_longest_length_does_not_overflow() {
    let mut config = Config::server();
    config.limits.max_message_size = usize::MAX;
    let mut connection = Connection::new(Role::Server, config);
    let mut bytes = vec![0x82, 0xFF];
    bytes.extend([0xFF; 8]);
    bytes.extend([0; 4]);
    connection.receive(now(), &bytes);
    assert_ne!(connection.state(), State::Open);
}

struct Bomb;
impl crate::protocol::Extension for Bomb {
    fn reserved_bits(&self) -> crate::protocol::Rsv {
        crate::protocol::Rsv::RSV1
    }
    fn begin(
        &mut self,
        _: crate::protocol::MessageKind,
        rsv: crate::protocol::Rsv,
    ) -> Result<crate::protocol::extension::Decoding, crate::protocol::ExtensionError> {
        Ok(if rsv.is_none() {
            crate::protocol::extension::Decoding::Identity
        } else {
            crate::protocol::extension::Decoding::Extension
        })
    }
    fn decode(
        &mut self,
        _: &[u8],
        out: &mut crate::protocol::payload::PayloadSink<'_>,
    ) -> Result<(), crate::protocol::ExtensionError> {
        out.extend_from_slice(&vec![0; 1 << 20]).unwrap();
        Ok(())
    }
    fn finish(
        &mut self,
        _: &mut crate::protocol::payload::PayloadSink<'_>,
    ) -> Result<(), crate::protocol::ExtensionError> {
        Ok(())
    }
    fn encode(
        &mut self,
        _: crate::protocol::MessageKind,
        _: &[u8],
    ) -> Option<crate::protocol::extension::Encoded> {
        None
    }
}

#[tokio::test]
async fn what_was_inflated_proves_nothing() {
    let bomb = b"\xC2\x81\0\0\0\0x".to_vec();
    let mut header = vec![0x82, 0xFF];
    header.extend((1u64 << 20).to_be_bytes());
    header.extend([0; 4]);
    let stream = Scripted {
        reads: [bomb, header].into(),
        ..Scripted::default()
    };
    let connection = Connection::new(Role::Server, Config::server()).with_extension(Box::new(Bomb));
    let mut driver = Driver::new(stream, connection);
    assert!(poll(&mut driver).is_ready());
    assert!(poll(&mut driver).is_pending());
    let held = driver.connection().held_by_message();
    assert!(held <= 4096, "{held} bytes held for 14 + 7");
}

#[tokio::test]
async fn a_header_alone_allocates_nothing() {
    let mut header = vec![0x82, 0xFF];
    header.extend((1u64 << 20).to_be_bytes());
    header.extend([0; 4]);
    let mut driver = server(Scripted {
        reads: [header].into(),
        ..Scripted::default()
    });
    assert!(poll(&mut driver).is_pending());
    let held = driver.connection().held_by_message();
    assert!(held == 0, "{held} bytes held for a header");
}
