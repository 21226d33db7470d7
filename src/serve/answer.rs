//! Between a client's request and the instance that answers it.
//!
//! The body of an answer is carried as fast as the client takes it. A client that goes has the link to the instance dropped,
//! which aborts the request there.

use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use we_js::serve::{ConnectionInfo, ResponseHead};
use we_net::handshake::Headers;
use we_net::http::Bytes;
use we_net::protocol::{CloseCode, Event, Message};
use we_net::server::{HttpRequest, HttpResponse, RequestBodyError, ResponseBody};
use we_net::socket::{WebSocketReceiver, WebSocketSender};

use super::bridge::{self, TO_END};
use super::instances::{Instance, Instances};
use super::routes::{Kind, Routes};
use crate::{cli::Serve, say};

/// How long the body of a request may be.
const MAX_BODY: usize = 1 << 20;

/// Answers one request.
pub(crate) async fn answer(
    mut request: HttpRequest,
    routes: Arc<Routes>,
    instances: Arc<Instances>,
    options: Arc<Serve>,
) -> HttpResponse {
    let route = match routes.find(&request.target) {
        Some((Kind::Http, route)) => route.to_owned(),
        Some((Kind::WebSocket, _)) => {
            let mut response = HttpResponse::text(426, "this path is a WebSocket's\n");
            // A token and a plain value.
            let _ = response.headers.append("Upgrade", "websocket");
            return response;
        }
        None => return HttpResponse::text(404, "there is nothing at this path\n"),
    };
    let body = match request.collect(MAX_BODY).await {
        Ok(body) => body,
        Err(error @ RequestBodyError::TooLong { .. }) => {
            return HttpResponse::text(413, format!("{error}\n"));
        }
        Err(error) => return HttpResponse::text(400, format!("{error}\n")),
    };
    let info = describe(&request, route, body, &options);
    let name = bridge::log_name(&options, &info.remote_address);
    let (tell, told) = oneshot::channel();
    // A task of its own, which goes on when the client has gone: the instance is given time to end.
    tokio::spawn(async move {
        let Some((instance, link)) = bridge::begin(&instances, &options, &name).await else {
            let _ = tell.send(HttpResponse::text(503, "try again later\n"));
            return;
        };
        let (mut sender, receiver) = link.split();
        let _ = sender.send(info.encode()).await;
        let is_broken = carry(sender, receiver, tell).await;
        end(instance, is_broken, &name, &options).await;
    });
    told.await.unwrap_or_else(|_| failed())
}

fn failed() -> HttpResponse {
    HttpResponse::text(500, "the handler failed\n")
}

/// Whether the instance has ended before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct IsBroken(bool);

/// Carries the answer until it is complete, the client has gone, or the instance has. When this returns the link has
/// ended, or is dropped.
async fn carry(
    mut sender: WebSocketSender<UnixStream>,
    mut receiver: WebSocketReceiver<UnixStream>,
    mut tell: oneshot::Sender<HttpResponse>,
) -> IsBroken {
    let head = loop {
        let event = tokio::select! {
            biased;
            event = receiver.next_event() => event,
            () = tell.closed() => return IsBroken(false),
        };
        match event {
            Some(Event::Message(Message::Binary(bytes))) => break ResponseHead::decode(&bytes),
            Some(Event::Ping(_) | Event::Pong(_)) => {}
            // Not what an instance sends.
            Some(Event::Message(Message::Text(_))) => break None,
            Some(Event::CloseReceived(_)) => {
                let _ = tell.send(failed());
                return IsBroken(false);
            }
            Some(Event::Closed(_)) | None => {
                let _ = tell.send(failed());
                return IsBroken(true);
            }
        }
    };
    let Some(mut response) = head.and_then(response) else {
        let _ = tell.send(failed());
        return IsBroken(false);
    };
    let (body, content) = ResponseBody::channel();
    response.body = content;
    if tell.send(response).is_err() {
        return IsBroken(false);
    }
    loop {
        let event = tokio::select! {
            biased;
            event = receiver.next_event() => event,
            () = body.closed() => return IsBroken(false),
        };
        match event {
            Some(Event::Message(message)) => {
                if !body.send(Bytes::copy_from_slice(message.as_bytes())).await {
                    return IsBroken(false);
                }
            }
            Some(Event::CloseReceived(Some(frame))) if frame.code == CloseCode::NORMAL => {
                body.finish().await;
                // The instance waits for the answer to its Close frame.
                sender.flush().await;
                return IsBroken(false);
            }
            // Dropping the body before its end shows the client that there is no more.
            Some(Event::CloseReceived(_)) => return IsBroken(false),
            Some(Event::Closed(_)) | None => return IsBroken(true),
            Some(Event::Ping(_) | Event::Pong(_)) => {}
        }
    }
}

/// Waits for the end of the instance.
async fn end(mut instance: Instance, is_broken: IsBroken, name: &str, options: &Serve) {
    match timeout(TO_END, instance.ended()).await {
        Ok(ending) if is_broken == IsBroken(true) => {
            say(format_args!("{name}: {}", ending.describe(options)));
        }
        Ok(_) => {}
        Err(_) => bridge::say_it_went_on(name),
    }
}

fn response(head: ResponseHead) -> Option<HttpResponse> {
    let mut headers = Headers::new();
    for (name, value) in head.headers {
        // The length is that of the body, whatever the application says.
        let is_framing = [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
        ]
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing));
        if !is_framing {
            headers.append(name, value).ok()?;
        }
    }
    (200..=599).contains(&head.status).then(|| HttpResponse {
        headers,
        ..HttpResponse::new(head.status)
    })
}

fn describe(
    request: &HttpRequest,
    route: String,
    body: Vec<u8>,
    options: &Serve,
) -> ConnectionInfo {
    let scheme = if options.listening.tls {
        "https"
    } else {
        "http"
    };
    ConnectionInfo {
        route,
        method: request.method.clone(),
        url: bridge::url(scheme, &request.headers, &request.target),
        remote_address: bridge::address(request.peer_addr),
        body,
        headers: bridge::fields(&request.headers),
        ..ConnectionInfo::default()
    }
}
