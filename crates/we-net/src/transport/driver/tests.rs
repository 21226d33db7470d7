//! The driver against a stream that does what a test tells it to, and counts.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::task::Waker;

use super::*;
use crate::protocol::{CloseCode, Config, ConnectionError, Payload, Role, State};

/// A stream with a script.
#[derive(Default)]
struct Scripted {
    /// What each read gives; when there is no more, reads are pending, or `then` happens.
    reads: VecDeque<Vec<u8>>,
    then: Then,
    /// What each write took.
    writes: Vec<Vec<u8>>,
    write_error: Option<ErrorKind>,
    read_calls: usize,
    flushes: usize,
    shutdowns: usize,
}

#[derive(Default)]
enum Then {
    #[default]
    Pending,
    Eof,
    Error(ErrorKind),
    /// The same bytes again and again.
    Flood(Vec<u8>),
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.read_calls += 1;
        match (self.reads.pop_front(), &self.then) {
            (Some(mut bytes), _) => {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                buf.put_slice(&bytes);
                if !rest.is_empty() {
                    self.reads.push_front(rest);
                }
            }
            (None, Then::Flood(bytes)) => buf.put_slice(bytes),
            (None, Then::Eof) => {}
            (None, Then::Error(kind)) => return Poll::Ready(Err((*kind).into())),
            (None, Then::Pending) => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.write_error {
            return Poll::Ready(Err(kind.into()));
        }
        let bytes = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect::<Vec<_>>();
        let count = bytes.len();
        self.writes.push(bytes);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shutdowns += 1;
        Poll::Ready(Ok(()))
    }
}

/// Frames from a client, masked with zeros.
const HI: &[u8] = b"\x81\x82\0\0\0\0hi";
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

fn server(stream: Scripted) -> Driver<Scripted> {
    Driver::new(stream, Connection::new(Role::Server, Config::server()))
}

fn poll(driver: &mut Driver<Scripted>) -> Poll<Option<Event>> {
    driver.poll_event(&mut Context::from_waker(Waker::noop()))
}

fn hi() -> Poll<Option<Event>> {
    Poll::Ready(Some(Event::Message("hi".into())))
}

#[tokio::test]
async fn answers_to_what_came_together_go_out_together() {
    let mut driver = server(Scripted {
        reads: [HI.repeat(3)].into(),
        ..Scripted::default()
    });
    for _ in 0..3 {
        assert_eq!(poll(&mut driver), hi());
        driver.send("ho").unwrap();
        assert_eq!(driver.stream().unwrap().writes.len(), 0);
    }
    assert!(poll(&mut driver).is_pending());
    let stream = driver.stream().unwrap();
    assert_eq!(stream.writes, [b"\x81\x02ho".repeat(3)]);
    assert_eq!(stream.flushes, 1);
}

#[tokio::test]
async fn nothing_is_read_while_an_event_waits() {
    let reads = [HI.repeat(2), HI.to_vec()].into();
    let mut driver = server(Scripted {
        reads,
        ..Scripted::default()
    });
    for expected in [1, 1, 2] {
        assert_eq!(poll(&mut driver), hi());
        assert_eq!(driver.stream().unwrap().read_calls, expected);
    }
}

/// A read of so many bytes is worth a buffer.
const KEPT_READ: usize = SCRATCH / 8;

/// A frame of a client that makes the read it is in a long one.
fn long() -> Vec<u8> {
    let [high, low] = (KEPT_READ as u16).to_be_bytes();
    let header = [0x82, 0xFE, high, low, 0, 0, 0, 0];
    [&header[..], &[0; KEPT_READ]].concat()
}

#[tokio::test]
async fn a_close_frame_is_seen_before_the_message_ahead_of_it_is_taken() {
    let mut driver = server(Scripted {
        reads: [[&long(), &HI.repeat(3), CLOSE].concat()].into(),
        ..Scripted::default()
    });
    driver.connection_mut().answer_later();
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::Message(_)))
    ));
    assert!(driver.unread.is_some());
    for is_last in [false, false, true] {
        assert_eq!(poll(&mut driver), hi());
        assert_eq!(driver.connection().ends_with_next_event(), is_last);
        driver.send("ho").unwrap();
    }
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::CloseReceived(_)))
    ));
    driver.send("too late").unwrap_err();
}

#[tokio::test]
async fn a_few_small_messages_hold_no_more_than_their_length() {
    let mut driver = server(Scripted {
        reads: [HI.repeat(9)].into(),
        ..Scripted::default()
    });
    assert_eq!(poll(&mut driver), hi());
    let held = driver.unread.as_ref().unwrap().buffer.capacity();
    assert!(held <= 8 * HI.len(), "{held} bytes");
    for _ in 1..9 {
        assert_eq!(poll(&mut driver), hi());
    }
    assert!(driver.unread.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_counts_when_a_deadline_comes() {
    let mut driver = server(Scripted {
        reads: [[&long(), &HI.repeat(3), CLOSE].concat()].into(),
        ..Scripted::default()
    });
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::Message(_)))
    ));
    assert!(driver.unread.is_some());
    driver.close(None);
    let closing = Config::server().timeouts.closing;
    // The peer's Close frame lies behind messages that nobody takes.
    tokio::time::advance(closing).await;
    let _ = driver.poll_flush(&mut Context::from_waker(Waker::noop()));
    let events = std::iter::from_fn(|| driver.take_event());
    assert_eq!(
        events
            .filter(|event| matches!(event, Event::CloseReceived(_)))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_flood_without_events_yields() {
    struct Count(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    // The beginning of a message that is never finished.
    let reads = [b"\x02\xfe\x10\0\0\0\0\0".to_vec(), vec![0; 0x1000]].into();
    let fragment = [&b"\0\xfe\x10\0\0\0\0\0"[..], &[0; 0x1000]].concat();
    let mut driver = server(Scripted {
        reads,
        then: Then::Flood(fragment),
        ..Scripted::default()
    });
    let count = std::sync::Arc::new(Count(0.into()));
    let waker = Waker::from(std::sync::Arc::clone(&count));
    for round in 1..=3 {
        assert!(
            driver
                .poll_event(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(driver.stream().unwrap().read_calls, round * TURNS);
        assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), round);
    }
}

#[tokio::test]
async fn what_came_before_a_failed_write_is_read() {
    for then in [Then::Eof, Then::Error(ErrorKind::ConnectionReset)] {
        let reads = [HI.to_vec(), CLOSE.to_vec()].into();
        let write_error = Some(ErrorKind::BrokenPipe);
        let mut driver = server(Scripted {
            reads,
            then,
            write_error,
            ..Scripted::default()
        });
        driver.send("never read").unwrap();
        assert_eq!(poll(&mut driver), hi());
        assert_eq!(
            poll(&mut driver),
            Poll::Ready(Some(Event::CloseReceived(Some(CloseCode::NORMAL.into()))))
        );
        match poll(&mut driver) {
            Poll::Ready(Some(Event::Closed(closure))) => {
                assert_eq!((closure.clean, closure.code), (false, 1000), "{closure:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(poll(&mut driver), Poll::Ready(None));
        assert!(driver.stream().is_none());
    }
}

#[tokio::test]
async fn answers_to_what_came_with_a_close_go_out_before_it() {
    let mut driver = server(Scripted {
        reads: [[HI, CLOSE].concat()].into(),
        then: Then::Eof,
        ..Scripted::default()
    });
    assert_eq!(poll(&mut driver), hi());
    driver.send("ho").unwrap();
    // An owner that waits until its answer is written keeps the connection alive meanwhile.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(driver.poll_flush(&mut cx).is_ready());
    let writes = driver.stream().unwrap().writes.clone();
    assert_eq!(writes, [b"\x81\x02ho"]);
    assert!(driver.timer.is_some());
    driver.send("ho").unwrap();
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::CloseReceived(_)))
    ));
    assert!(driver.poll_flush(&mut cx).is_ready());
    let last = driver.stream().unwrap().writes.last().cloned();
    assert_eq!(last.unwrap(), b"\x81\x02ho\x88\x02\x03\xe8");
    assert!(
        matches!(poll(&mut driver), Poll::Ready(Some(Event::Closed(closure))) if closure.clean)
    );
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_takes_no_events_is_ended_by_the_closing_timer() {
    let mut driver = server(Scripted {
        reads: [[HI, CLOSE].concat()].into(),
        ..Scripted::default()
    });
    assert_eq!(poll(&mut driver), hi());
    tokio::time::advance(Config::server().timeouts.closing).await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(driver.poll_flush(&mut cx).is_ready());
    assert!(driver.stream().is_none() && driver.timer.is_none());
}

#[tokio::test]
async fn a_server_shuts_down_once_and_drops_the_stream_after_the_peers_end() {
    let mut driver = server(Scripted {
        reads: [CLOSE.to_vec()].into(),
        ..Scripted::default()
    });
    assert!(matches!(
        poll(&mut driver),
        Poll::Ready(Some(Event::CloseReceived(_)))
    ));
    for _ in 0..3 {
        assert!(poll(&mut driver).is_pending());
    }
    let stream = driver.stream.as_mut().unwrap();
    assert_eq!(stream.writes, [b"\x88\x02\x03\xe8"]);
    assert_eq!(stream.shutdowns, 1);
    stream.then = Then::Eof;
    assert!(
        matches!(poll(&mut driver), Poll::Ready(Some(Event::Closed(closure))) if closure.clean)
    );
    assert!(driver.stream().is_none());
    assert!(driver.timer.is_none());
    assert_eq!(driver.connection().state(), State::Closed);
}

#[tokio::test]
async fn tls_without_its_closing_alert_is_an_end_like_any_other() {
    for then in [Then::Eof, Then::Error(ErrorKind::UnexpectedEof)] {
        let mut driver = server(Scripted {
            then,
            ..Scripted::default()
        });
        match poll(&mut driver) {
            Poll::Ready(Some(Event::Closed(closure))) => {
                assert_eq!(closure.error, Some(ConnectionError::UnexpectedEof));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_exists_only_while_there_is_a_deadline() {
    let mut driver = server(Scripted::default());
    assert!(poll(&mut driver).is_pending());
    assert!(driver.timer.is_none());
    driver.close(None);
    assert!(poll(&mut driver).is_pending());
    assert!(driver.timer.is_some());
    // Flushing minds the deadline as well.
    tokio::time::advance(Config::server().timeouts.closing).await;
    assert!(
        driver
            .poll_flush(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
    assert!(
        matches!(poll(&mut driver), Poll::Ready(Some(Event::Closed(closure))) if !closure.clean)
    );
    assert!(driver.timer.is_none());
}

#[tokio::test]
async fn leftover_bytes_come_first() {
    let mut driver = server(Scripted {
        reads: [b"o".to_vec()].into(),
        ..Scripted::default()
    })
    .with_leftover(b"\x82\x82\0\0\0\0h");
    assert_eq!(
        poll(&mut driver),
        Poll::Ready(Some(Event::Message(Message::Binary(Payload::from(b"ho")))))
    );
}

mod arriving;
