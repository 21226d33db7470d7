//! Between a client and the instance that serves it: messages both ways, and each end's end told to the other.
//!
//! The connection, its opening and closing handshakes and its back-pressure are this process's; the instance never touches
//! them. What becomes of an instance, a client sees as a Close frame with 1011.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;
use we_js::serve::{Application, ConnectionInfo};
use we_net::{
    Message, WebSocket,
    handshake::Headers,
    protocol::{CloseCode, CloseFrame, CloseReason, Closure, Config, Connection, Event, Role},
    socket::{WebSocketReceiver, WebSocketSender},
    transport::Driver,
};

use super::instances::{Instance, Instances, Tally};
use super::log;
use super::routes::{Kind, Routes};
use crate::cli::Serve;

/// How long an instance may take to evaluate the application.
pub(super) const TO_BEGIN: Duration = Duration::from_secs(10);

/// How long an instance may go on when its connection has ended: for what `close` has to do.
pub(super) const TO_END: Duration = Duration::from_secs(3);

/// How many instances are tried for a connection.
const TRIES: usize = 3;

pub(super) type Link = WebSocket<UnixStream>;

/// How a link has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LinkEnd {
    /// As the application wished, or the client.
    Closed,
    /// The instance has ended before its connection.
    Broken,
    /// The instance has sent what it must not send.
    Refused(String),
}

impl LinkEnd {
    /// What the end of a link without a closing handshake means.
    pub(super) fn of(closure: &Closure) -> Self {
        match &closure.error {
            None => Self::Closed,
            Some(error) if error.close_code().is_some() => {
                Self::Refused(format!("the instance was ended for what it sent: {error}"))
            }
            Some(_) => Self::Broken,
        }
    }
}

/// Serves one client.
pub(crate) async fn serve(
    mut socket: WebSocket,
    routes: Arc<Routes>,
    instances: Arc<Instances>,
    options: Arc<Serve>,
) {
    let Some(info) = describe(&socket, &routes, &options) else {
        // Such a request has been rejected.
        return;
    };
    let name = log_name(&options, &info.remote_address);
    let Some((mut instance, link)) = begin(&instances, &options, &name).await else {
        let frame = close_frame(CloseCode::TRY_AGAIN_LATER, "no instance can be made");
        socket.close(frame).await;
        return;
    };
    let info = info.encode();
    socket.answer_by_close();
    let end = carry(socket, link, info, instances.tally()).await;
    conclude(&mut instance, end, &name, &options).await;
}

/// Waits for the end of an instance whose connection has ended, and tells of what the instance has not told itself.
pub(super) async fn conclude(instance: &mut Instance, end: LinkEnd, name: &str, options: &Serve) {
    let ending = timeout(TO_END, instance.ended()).await;
    let is_own = matches!(&ending, Ok(ending) if ending.is_own());
    if end != LinkEnd::Closed || !is_own {
        instance.tally().failure();
    }
    match (ending, end) {
        (Ok(_), LinkEnd::Refused(problem)) => log::say(format!("{name}: {problem}")),
        (Ok(ending), LinkEnd::Broken) => {
            log::say(format!("{name}: {}", ending.describe(options)));
        }
        (Ok(ending), LinkEnd::Closed) if ending.is_own() => {}
        (Ok(ending), LinkEnd::Closed) => {
            log::say(format!(
                "{name}: after its connection: {}",
                ending.describe(options)
            ));
        }
        // It is killed when it is dropped.
        (Err(_), _) => log::say(format!(
            "{name}: the instance went on for {} s after its connection had ended, and was ended",
            TO_END.as_secs()
        )),
    }
}

/// How lines about a client begin.
pub(super) fn log_name(options: &Serve, remote_address: &str) -> String {
    let client = match remote_address {
        "" => "a client",
        address => address,
    };
    format!("we: {}: {client}", options.file.display())
}

/// An instance that can take a connection.
pub(super) async fn begin(
    instances: &Instances,
    options: &Serve,
    name: &str,
) -> Option<(Instance, Link)> {
    for _ in 0..TRIES {
        let mut instance = instances.take()?;
        if let Some((link, _)) = ready(&mut instance).await {
            return Some((instance, link));
        }
        let problem = match timeout(TO_END, instance.ended()).await {
            Ok(ending) => ending.describe(options),
            Err(_) => format!("an instance is not ready after {} s", TO_BEGIN.as_secs()),
        };
        instance.tally().failure();
        log::say(format!("{name}: {problem}"));
    }
    None
}

/// Waits until the instance has evaluated the application; returns what that says of its routes, too.
pub(super) async fn ready(instance: &mut Instance) -> Option<(Link, String)> {
    let link = instance.take_link()?;
    link.set_nonblocking(true).ok()?;
    let mut link = UnixStream::from_std(link).ok()?;
    let begun = async {
        let mut byte = [0];
        link.read_exact(&mut byte).await.ok()?;
        if byte != [Application::READY] {
            return None;
        }
        // What an instance sends is bounded as what a client sends.
        let connection = Connection::new(Role::Client, Config::server());
        let mut link = WebSocket::from(Driver::new(link, connection));
        match link.next().await {
            Ok(Some(Message::Text(manifest))) => Some((link, manifest.to_string())),
            _ => None,
        }
    };
    timeout(TO_BEGIN, begun).await.ok()?
}

/// What the application learns of the connection; `None` if the path is no WebSocket's.
fn describe(socket: &WebSocket, routes: &Routes, options: &Serve) -> Option<ConnectionInfo> {
    let negotiated = socket.negotiated();
    let (Kind::WebSocket, route) = routes.find(&negotiated.resource)? else {
        return None;
    };
    let scheme = if options.listening.tls { "wss" } else { "ws" };
    Some(ConnectionInfo {
        route: route.to_owned(),
        url: url(scheme, &negotiated.host, &negotiated.resource),
        protocol: negotiated.subprotocol.clone().unwrap_or_default(),
        extensions: negotiated.extensions.clone(),
        remote_address: address(negotiated.peer_addr),
        headers: fields(&negotiated.headers),
        ..ConnectionInfo::default()
    })
}

/// The URL that was asked for.
pub(super) fn url(scheme: &str, host: &str, target: &str) -> String {
    if !target.starts_with('/') {
        // A whole URL, as a proxy is asked.
        return target.to_owned();
    }
    format!("{scheme}://{host}{target}")
}

pub(super) fn address(address: Option<SocketAddr>) -> String {
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

pub(super) fn fields(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|field| (field.name().to_owned(), field.value().to_vec()))
        .collect()
}

/// Carries messages until the client's connection is over and the instance knows.
///
/// A Close frame of either goes to the other, and is answered when that has answered: so what the instance has to say to the
/// messages before a client's Close still goes out, and an application that closes learns how the client has gone.
async fn carry(socket: WebSocket, mut link: Link, info: Vec<u8>, tally: &Tally) -> LinkEnd {
    link.answer_by_close();
    let (mut to_client, mut from_client) = socket.split();
    let (mut to_instance, mut from_instance) = link.split();
    // Whether the client has closed: its frame comes back from the instance, and says nothing of that.
    let has_closed = AtomicBool::new(false);
    let first = {
        let inward = carry_in(&mut from_client, &mut to_instance, info, &has_closed);
        let outward = carry_out(&mut from_instance, &mut to_client, &has_closed, tally);
        tokio::select! {
            end = outward => Ok(end),
            closure = inward => Err(closure),
        }
    };
    match first {
        // The instance has gone. The protocol's time limits see to the client's end.
        Ok(end) => {
            if end != LinkEnd::Closed {
                let frame = close_frame(CloseCode::INTERNAL_ERROR, "the handler failed");
                to_client.close(frame).await;
            } else {
                // It has closed, and its client has been told; or it has ended while its client did.
                to_client.close(None).await;
            }
            while from_client.next_event().await.is_some() {}
            end
        }
        Err(Some(closure)) if closure.clean => {
            to_instance.close(frame_of(&closure)).await;
            let rest = async { while from_instance.next_event().await.is_some() {} };
            let _ = timeout(TO_END, rest).await;
            LinkEnd::Closed
        }
        // Dropped without a word, which to the instance is 1006.
        Err(_) => LinkEnd::Closed,
    }
}

/// The Close frame of a connection that was closed.
fn frame_of(closure: &Closure) -> Option<CloseFrame> {
    Some(CloseFrame {
        code: CloseCode::new(closure.code)?,
        reason: CloseReason::truncated(&closure.reason),
    })
}

/// From the client to the instance, until the client's connection is over. A slow instance holds up its client.
async fn carry_in(
    client: &mut WebSocketReceiver,
    instance: &mut WebSocketSender<UnixStream>,
    info: Vec<u8>,
    has_closed: &AtomicBool,
) -> Option<Closure> {
    // If the instance has ended the other direction finds out.
    let _ = instance.feed(info).await;
    loop {
        let mut next = now(client.next_event()).await;
        if next.is_none() {
            // All that has come together goes on together.
            instance.flush().await;
            next = Some(client.next_event().await);
        }
        match next.flatten() {
            Some(Event::Message(message)) => {
                let _ = instance.feed(message).await;
            }
            Some(Event::CloseReceived(frame)) => {
                has_closed.store(true, Relaxed);
                instance.close(frame).await;
            }
            Some(Event::Closed(closure)) => return Some(closure),
            None => return None,
            // Answered already, or an answer to a Ping of the application.
            Some(Event::Ping(_) | Event::Pong(_)) => {}
        }
    }
}

/// From the instance to the client, until the link is over. A slow client holds up its instance.
async fn carry_out(
    instance: &mut WebSocketReceiver<UnixStream>,
    client: &mut WebSocketSender,
    has_closed: &AtomicBool,
    tally: &Tally,
) -> LinkEnd {
    loop {
        let mut next = now(instance.next_event()).await;
        if next.is_none() {
            client.flush().await;
            next = Some(instance.next_event().await);
        }
        match next.flatten() {
            Some(Event::Message(message)) => {
                let _ = client.feed(message).await;
            }
            Some(Event::Ping(payload)) => {
                let _ = client.ping(&payload).await;
            }
            Some(Event::Pong(_)) => {}
            Some(Event::CloseReceived(frame)) => {
                let code = frame.as_ref().map(|frame| frame.code);
                if code == Some(CloseCode::INTERNAL_ERROR) && !has_closed.load(Relaxed) {
                    tally.failure();
                }
                client.close(frame).await;
            }
            Some(Event::Closed(closure)) => return LinkEnd::of(&closure),
            None => return LinkEnd::Closed,
        }
    }
}

/// What a future has to give without waiting.
pub(super) async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

pub(super) fn close_frame(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame {
        code,
        reason: CloseReason::truncated(reason),
    }
}
