//! WebSockets on connections that they share, by HTTP/2, with HTTP/1.1 to fall back on.

use std::io;
use std::net::SocketAddr;

use super::request::{Remembered, Request, within};
use crate::handshake::{HandshakeError, http2 as head};
use crate::http2::{Carriers, Offer, OpenError, Retiree, Seat, to_io};
use crate::socket::Established;
use crate::transport::gate::Door;
use crate::transport::reach::Found;
use crate::transport::{ConnectError, MaybeTls, Socket, Stream};

/// What became of an attempt.
enum Attempt {
    Opened(Box<Established<Stream>>),
    /// To be tried again on a new connection.
    Refused(ConnectError),
    /// To be tried again by HTTP/1.1.
    Plain,
}

impl Request {
    /// Opens the WebSocket on a connection that is there, or on a new one, by whichever protocol the
    /// server speaks.
    pub(super) async fn open_shared(
        self,
        http2: &Carriers,
        found: Option<Found>,
        failures: Remembered,
    ) -> Result<Established<Stream>, ConnectError> {
        let url = self.url.as_url().clone();
        let mut refused = None;
        if let Some(seat) = http2.seat(&url) {
            match self
                .clone()
                .open_on_seat(seat, true, failures.clone())
                .await?
            {
                Attempt::Opened(opened) => return Ok(*opened),
                Attempt::Refused(error) => refused = Some(error),
                Attempt::Plain => http2.note_plain(&url),
            }
        }
        let found = match found {
            Some(found) => found,
            None => self.client.settings.reach.look_up(&url).await?,
        };
        while http2.offer(&url) != Offer::Http1 {
            let attempt = self
                .clone()
                .open_on_new(http2, found.clone(), failures.clone());
            match attempt.await? {
                Attempt::Opened(opened) => return Ok(*opened),
                // Once is enough.
                Attempt::Refused(error) if refused.is_some() => return Err(error),
                Attempt::Refused(error) => refused = Some(error),
                Attempt::Plain => http2.note_plain(&url),
            }
        }
        self.look_up_and_open(Some(found), failures).await
    }

    /// Dials. Then TLS, HTTP/2 and the opening handshake, all in the time for that.
    async fn open_on_new(
        self,
        http2: &Carriers,
        found: Found,
        failures: Remembered,
    ) -> Result<Attempt, ConnectError> {
        let reach = self.client.settings.reach.clone();
        let door = found.door.clone();
        let url = self.url.as_url();
        let socket = reach
            .dial(url, found, self.client.settings.head_limits)
            .await?;
        let peer_addr = socket.peer_addr();
        let host = self.url.host_header();
        let mut carrier = None;
        let open = async {
            let stream = match self.negotiate(http2, socket).await? {
                Ok(stream) => stream,
                Err(plain) => {
                    let opened = self.open_own(plain, peer_addr, failures).await?;
                    return Ok(Attempt::Opened(Box::new(opened)));
                }
            };
            match self.take_seat(http2, stream, door, peer_addr).await? {
                Some(seat) => {
                    carrier = Some(seat.carrier());
                    self.open_stream(seat, false, failures).await
                }
                None => Ok(Attempt::Plain),
            }
        };
        let opened = within(reach.timeouts.handshake, host, open).await;
        if let Some(carrier) = carrier {
            retire_if_silent(&carrier, &opened);
        }
        opened
    }

    /// A stream to speak HTTP/2 on, or, as an error, one for HTTP/1.1.
    async fn negotiate(
        &self,
        http2: &Carriers,
        socket: Socket,
    ) -> Result<Result<MaybeTls, MaybeTls>, ConnectError> {
        let url = self.url.as_url();
        if http2.offer(url) == Offer::Http2 {
            return Ok(Ok(MaybeTls::Plain(socket)));
        }
        let (stream, chosen) = self
            .client
            .settings
            .reach
            .secure_for_http2(url, socket)
            .await?;
        Ok(if chosen { Ok(stream) } else { Err(stream) })
    }

    /// The first seat on a new connection, if the server allows WebSockets on it.
    async fn take_seat(
        &self,
        http2: &Carriers,
        stream: MaybeTls,
        door: Door,
        peer_addr: Option<SocketAddr>,
    ) -> Result<Option<Seat>, ConnectError> {
        let url = self.url.as_url();
        let limits = self.client.settings.head_limits;
        match http2.establish(url, stream, door, peer_addr, limits).await {
            Ok(seat) => Ok(seat),
            Err(source) => {
                let text = format!("{source}; does the server speak HTTP/2?");
                let source = io::Error::new(source.kind(), text);
                Err(ConnectError::broken(self.url.host_header(), source))
            }
        }
    }

    /// Opens the WebSocket on a connection that is there, in the time for that.
    async fn open_on_seat(
        self,
        seat: Seat,
        reused: bool,
        failures: Remembered,
    ) -> Result<Attempt, ConnectError> {
        let limit = self.client.settings.reach.timeouts.handshake;
        let host = self.url.host_header();
        let carrier = seat.carrier();
        let opened = within(limit, host, self.open_stream(seat, reused, failures)).await;
        retire_if_silent(&carrier, &opened);
        opened
    }

    /// Extended CONNECT, and the check of the answer.
    async fn open_stream(
        self,
        seat: Seat,
        reused: bool,
        failures: Remembered,
    ) -> Result<Attempt, ConnectError> {
        let host = self.url.host_header();
        let handshake = self.prepare()?;
        let request = head::request(&handshake, self.url.is_secure())?;
        let limits = self.client.settings.head_limits;
        let peer_addr = seat.peer_addr();
        let (status, fields, stream) = match seat.open(request, limits).await {
            Ok(answer) => answer,
            Err(OpenError::Http1Required) => return Ok(Attempt::Plain),
            Err(OpenError::Refused(error)) => return Ok(Attempt::Refused(self.broken(&error))),
            // It had ended before, perhaps, and the request has met only that.
            Err(OpenError::Lost(error)) if reused => {
                return Ok(Attempt::Refused(self.broken(&error)));
            }
            Err(OpenError::Lost(error) | OpenError::Failed(error)) => {
                return Err(self.broken(&error));
            }
            Err(OpenError::Head(error)) => {
                let source = HandshakeError::Head(error);
                return Err(ConnectError::Handshake { host, source });
            }
        };
        let checked = head::answer_headers(&fields, limits).and_then(|headers| {
            // Also the cookies of an answer that opens nothing count.
            self.keep_cookies(&headers);
            head::check_answer(&handshake, status, headers)
        });
        match checked {
            Ok(accepted) => {
                let opened = self.opened(stream.into(), accepted, peer_addr, failures)?;
                Ok(Attempt::Opened(Box::new(opened)))
            }
            Err(source) => Err(ConnectError::Handshake { host, source }),
        }
    }

    fn broken(&self, error: &h2::Error) -> ConnectError {
        ConnectError::broken(self.url.host_header(), to_io(error))
    }
}

/// After a request without any answer perhaps nobody is there any more: the next socket had better not rely on
/// that connection.
fn retire_if_silent<T>(carrier: &Retiree, opened: &Result<T, ConnectError>) {
    if matches!(opened, Err(ConnectError::HandshakeTimeout { .. })) {
        carrier.retire();
    }
}
