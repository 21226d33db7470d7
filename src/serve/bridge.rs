//! Between a client and the instance that serves it: messages both ways, and each end's end told to the other.
//!
//! The connection, its opening and closing handshakes and its back-pressure are this process's; the instance never touches
//! them. What becomes of an instance, a client sees as a Close frame with 1011.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;
use we_js::serve::{Application, ConnectionInfo};
use we_net::{
    Message, WebSocket,
    handshake::Headers,
    protocol::{CloseCode, CloseFrame, CloseReason, Config, Connection, Event, Role},
    socket::{WebSocketReceiver, WebSocketSender},
    transport::Driver,
};

use super::instances::{Instance, Instances};
use super::routes::{Kind, Routes};
use crate::{cli::Serve, say};

/// How long an instance may take to evaluate the application.
const TO_BEGIN: Duration = Duration::from_secs(10);

/// How long an instance may go on when its connection has ended: for what `close` has to do.
pub(super) const TO_END: Duration = Duration::from_secs(5);

/// How many instances are tried for a connection.
const TRIES: usize = 3;

pub(super) type Link = WebSocket<UnixStream>;

/// How a link has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkEnd {
    /// As the application wished, or the client.
    Closed,
    /// The instance has ended before its connection.
    Broken,
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
    let end = carry(socket, link, info).await;
    match timeout(TO_END, instance.ended()).await {
        Ok(ending) if end == LinkEnd::Broken => {
            say(format_args!("{name}: {}", ending.describe(&options)));
        }
        Ok(_) => {}
        // It is killed when it is dropped.
        Err(_) => say_it_went_on(&name),
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

pub(super) fn say_it_went_on(name: &str) {
    say(format_args!(
        "{name}: the instance went on for {} s after its connection had ended, and was ended",
        TO_END.as_secs()
    ));
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
        say(format_args!("{name}: {problem}"));
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
        url: url(scheme, &negotiated.headers, &negotiated.resource),
        protocol: negotiated.subprotocol.clone().unwrap_or_default(),
        extensions: negotiated.extensions.clone(),
        remote_address: address(negotiated.peer_addr),
        headers: fields(&negotiated.headers),
        ..ConnectionInfo::default()
    })
}

/// The URL that was asked for, by the `Host` header.
pub(super) fn url(scheme: &str, headers: &Headers, target: &str) -> String {
    if !target.starts_with('/') {
        // A whole URL, as a proxy is asked.
        return target.to_owned();
    }
    let host = headers.single("host").unwrap_or(b"localhost");
    format!("{scheme}://{}{target}", String::from_utf8_lossy(host))
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
async fn carry(socket: WebSocket, link: Link, info: Vec<u8>) -> LinkEnd {
    let (to_client, from_client) = socket.split();
    let (to_instance, from_instance) = link.split();
    let mut inward = pin!(carry_in(from_client, to_instance, info));
    let mut outward = pin!(carry_out(from_instance, to_client));
    let first = poll_fn(|cx| {
        // Of a link that has ended the other half needs not hear; of a client that has gone it must.
        if let Poll::Ready(end) = outward.as_mut().poll(cx) {
            return Poll::Ready(Ok(end));
        }
        inward.as_mut().poll(cx).map(Err)
    })
    .await;
    match first {
        Ok(end) => {
            // The client has been told; the protocol's time limits see to its end.
            inward.await;
            end
        }
        Err(ClientEnd::Closed) => timeout(TO_END, outward).await.unwrap_or(LinkEnd::Closed),
        // Dropped without a word, which to the instance is 1006.
        Err(ClientEnd::Lost) => LinkEnd::Closed,
    }
}

/// How a client has gone.
enum ClientEnd {
    Closed,
    Lost,
}

/// From the client to the instance. A slow instance holds up its client.
async fn carry_in(
    mut client: WebSocketReceiver,
    mut instance: WebSocketSender<UnixStream>,
    info: Vec<u8>,
) -> ClientEnd {
    // If the instance has ended the client hears of it by the other direction, and goes.
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
                instance.close(frame).await;
            }
            Some(Event::Closed(closure)) if !closure.clean => return ClientEnd::Lost,
            Some(Event::Closed(_)) | None => return ClientEnd::Closed,
            // Answered already, or an answer to a Ping of the application.
            Some(Event::Ping(_) | Event::Pong(_)) => {}
        }
    }
}

/// From the instance to the client. A slow client holds up its instance.
async fn carry_out(
    mut instance: WebSocketReceiver<UnixStream>,
    mut client: WebSocketSender,
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
            Some(Event::CloseReceived(frame)) => client.close(frame).await,
            Some(Event::Closed(closure)) if !closure.clean => {
                client
                    .close(close_frame(CloseCode::INTERNAL_ERROR, "the handler failed"))
                    .await;
                return LinkEnd::Broken;
            }
            Some(Event::Closed(_)) | None => return LinkEnd::Closed,
        }
    }
}

/// What a future has to give without waiting.
async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

fn close_frame(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame {
        code,
        reason: CloseReason::truncated(reason),
    }
}
