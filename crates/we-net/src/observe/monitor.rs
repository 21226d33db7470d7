//! What stands beside one connection and looks on.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::Level;

use super::{ConnectionInfo, Counters, Direction, FrameLog, FrameRecord, SHOWN_PAYLOAD};
use crate::handshake::without_query;
use crate::protocol::{Closure, ConnectionError, Event, FrameHeader, FrameScanner};
use crate::transport::throttle::{Failures, Place};

/// The log of a client or server, if it has one.
#[derive(Clone, Default)]
pub(crate) struct FrameLogs(pub(crate) Option<Arc<dyn FrameLog>>);

impl fmt::Debug for FrameLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.as_ref().map(|_| "FrameLog");
        f.debug_tuple("FrameLogs").field(&shown).finish()
    }
}

/// Sees what a driver does, from the opening of its connection to its end.
pub(crate) struct Monitor {
    id: u64,
    counters: Arc<Counters>,
    frames: Option<Box<Frames>>,
    failures: Option<Box<(Failures, Place)>>,
    over: bool,
}

/// Both directions.
struct Frames {
    log: FrameLogs,
    input: FrameScanner,
    output: FrameScanner,
}

impl Monitor {
    /// A number for a connection.
    pub(crate) fn next_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Relaxed)
    }

    pub(crate) fn opened(
        connection: &ConnectionInfo<'_>,
        counters: &Arc<Counters>,
        log: &FrameLogs,
    ) -> Self {
        counters.opened();
        tracing::debug!(
            target: "we::net",
            connection = connection.id,
            role = ?connection.role,
            target = %without_query(connection.target),
            peer = ?connection.peer_addr,
            subprotocol = connection.subprotocol,
            extensions = connection.extensions,
            "opened"
        );
        if let Some(log) = &log.0 {
            log.opened(connection);
        }
        let looked_at = log.0.is_some() || tracing::enabled!(target: "we::net", Level::TRACE);
        Self {
            id: connection.id,
            counters: Arc::clone(counters),
            frames: looked_at.then(|| {
                Box::new(Frames {
                    log: log.clone(),
                    input: FrameScanner::new(SHOWN_PAYLOAD),
                    output: FrameScanner::new(SHOWN_PAYLOAD),
                })
            }),
            failures: None,
            over: false,
        }
    }

    /// Tells `failures` if the connection to `place` breaks.
    pub(crate) fn with_failures(mut self, failures: Option<(Failures, Place)>) -> Self {
        self.failures = failures.map(Box::new);
        self
    }

    /// These bytes have been read.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        if let Some(frames) = &mut self.frames {
            let (id, log) = (self.id, &frames.log);
            frames.input.scan(bytes, |header, payload| {
                tell(log, id, Direction::In, header, payload);
            });
        }
    }

    /// The first `len` of these bytes have been written.
    pub(crate) fn written(&mut self, slices: &[IoSlice<'_>], len: usize) {
        if let Some(frames) = &mut self.frames {
            let (id, log) = (self.id, &frames.log);
            let mut left = len;
            for slice in slices {
                let bytes = slice.get(..left.min(slice.len())).unwrap_or_default();
                left -= bytes.len();
                frames.output.scan(bytes, |header, payload| {
                    tell(log, id, Direction::Out, header, payload);
                });
            }
        }
    }

    /// A message has been accepted for sending.
    pub(crate) fn sent(&self, len: usize) {
        self.counters.sent(len);
    }

    /// An event is about to be taken.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Message(message) => self.counters.received(message.len()),
            Event::Closed(closure) => self.closed(Some(closure)),
            Event::Ping(_) | Event::Pong(_) | Event::CloseReceived(_) => {}
        }
    }

    fn closed(&mut self, closure: Option<&Closure>) {
        if self.over {
            return;
        }
        self.over = true;
        self.counters.over();
        match closure {
            Some(Closure {
                error: Some(error), ..
            }) => {
                tracing::debug!(target: "we::net", connection = self.id, cause = %error, "closed");
            }
            Some(closure) => {
                tracing::debug!(target: "we::net", connection = self.id, code = closure.code, "closed");
            }
            None => tracing::debug!(target: "we::net", connection = self.id, "dropped"),
        }
        if let Some(log) = self
            .frames
            .as_ref()
            .and_then(|frames| frames.log.0.as_ref())
        {
            log.closed(self.id, closure);
        }
        if let (Some(remembered), Some(error)) = (
            self.failures.take(),
            closure.and_then(|closure| closure.error.as_ref()),
        ) && is_abnormal(error)
        {
            let (failures, place) = *remembered;
            failures.failed(place);
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.closed(None);
    }
}

/// Whether an end is what [RFC 6455 section 7.2.3] calls abnormal, and not our own doing.
///
/// [RFC 6455 section 7.2.3]: https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
fn is_abnormal(error: &ConnectionError) -> bool {
    !matches!(
        error,
        ConnectionError::Local(_) | ConnectionError::Aborted | ConnectionError::PeerTooSlow { .. }
    )
}

fn tell(log: &FrameLogs, id: u64, direction: Direction, header: &FrameHeader, payload: &[u8]) {
    tracing::trace!(
        target: "we::net",
        connection = id,
        ?direction,
        opcode = %header.opcode,
        fin = header.fin,
        size = header.payload_len,
        "frame"
    );
    if let Some(log) = &log.0 {
        let frame = FrameRecord {
            direction,
            fin: header.fin,
            rsv: header.rsv,
            opcode: header.opcode,
            payload_len: header.payload_len,
            payload,
        };
        log.frame(id, &frame);
    }
}
