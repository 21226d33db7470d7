//! Clients and servers of the tests, and peers that are written by hand, frame by frame.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use we_net::server::ServerBuilder;
use we_net::{Client, Http2Config, Server, WebSocket};

use crate::common::{Authority, Running, authority, soon, start};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

// Flags.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

// Codes of errors.
pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;
pub const HTTP_1_1_REQUIRED: u32 = 13;

/// SETTINGS_ENABLE_CONNECT_PROTOCOL = 1
pub const EXTENDED: (u16, u32) = (8, 1);

/// With what both ends speak HTTP/2 without TLS.
pub fn known() -> Http2Config {
    Http2Config {
        prior_knowledge: true,
        ..Http2Config::default()
    }
}

pub fn server() -> ServerBuilder {
    Server::builder().http2(Http2Config::server())
}

pub fn client() -> Client {
    Client::builder().http2(known()).build()
}

/// A client and a server that agree by TLS.
pub async fn over_tls<H, F>(handler: H) -> (Client, Running)
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let authority: Authority = authority(&["127.0.0.1"]);
    let running = start(server().tls(authority.server.clone()), handler).await;
    let client = Client::builder()
        .http2(Http2Config::default())
        .tls(authority.client())
        .build();
    (client, running)
}

/// Waits until `done`.
pub async fn until(mut done: impl FnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    soon(async {
        while !done() {
            ticks.tick().await;
        }
    })
    .await;
}

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub id: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code in RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let from = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[from..from + 4].try_into().unwrap())
    }
}

/// One end of an HTTP/2 connection, by hand.
pub struct Wire<S = TcpStream> {
    pub stream: S,
}

/// Header fields as literals.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            if text.len() < 127 {
                out.push(text.len() as u8);
            } else {
                out.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    out.push(rest as u8 | 128);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
            out.extend(text.as_bytes());
        }
    }
    out
}

pub fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let mut out = vec![len[1], len[2], len[3], kind, flags];
    out.extend(id.to_be_bytes());
    out.extend(payload);
    out
}

/// The fields that open a WebSocket.
pub const OPENING: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "h"),
    (":path", "/"),
    ("sec-websocket-version", "13"),
];

impl Wire {
    /// A client that has said what it has to say first, with the server's settings still to come.
    pub async fn client(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let mut wire = Self { stream };
        wire.settings(&[]).await;
        wire
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A server that has read the client's preface and sent its settings.
    pub async fn server(mut stream: S, settings: &[(u16, u32)]) -> Self {
        let mut preface = [0; PREFACE.len()];
        soon(stream.read_exact(&mut preface)).await.unwrap();
        assert_eq!(preface, PREFACE);
        let mut wire = Self { stream };
        wire.settings(settings).await;
        wire
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
        soon(self.stream.flush()).await.unwrap();
    }

    pub async fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        self.write(&frame(kind, flags, id, payload)).await;
    }

    pub async fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.send(SETTINGS, 0, 0, &payload).await;
    }

    pub async fn headers(&mut self, id: u32, fields: &[(&str, &str)]) {
        self.send(HEADERS, END_HEADERS, id, &block(fields)).await;
    }

    pub async fn ok(&mut self, id: u32) {
        self.headers(id, &[(":status", "200")]).await;
    }

    pub async fn reset(&mut self, id: u32, code: u32) {
        self.send(RST_STREAM, 0, id, &code.to_be_bytes()).await;
    }

    pub async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload).await;
    }

    /// The next frame; `None` at the end.
    pub async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.stream.read_exact(&mut head)).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        soon(self.stream.read_exact(&mut payload)).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            id: u32::from_be_bytes(head[5..9].try_into().unwrap()),
            payload,
        })
    }

    /// The next frame of a kind. Answers SETTINGS and PING on the way.
    pub async fn next(&mut self, kind: u8) -> Frame {
        let found = self.find(kind).await;
        assert!(found.is_some(), "the connection ended before that");
        found.unwrap()
    }

    pub async fn find(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.flags & ACK == 0 && matches!(frame.kind, SETTINGS | PING) {
                let payload = if frame.kind == PING {
                    &*frame.payload
                } else {
                    &[]
                };
                let answer = self::frame(frame.kind, ACK, 0, payload);
                // It may have gone already.
                let _ = self.stream.write_all(&answer).await;
            }
            if frame.kind == kind && (frame.kind != SETTINGS || frame.flags & ACK == 0) {
                return Some(frame);
            }
        }
    }

    /// The next request, answered so that its WebSocket opens.
    pub async fn open(&mut self) -> u32 {
        let id = self.next(HEADERS).await.id;
        self.ok(id).await;
        id
    }
}

/// Servers of raw frames at one address.
pub struct Raw {
    pub url: String,
    listener: TcpListener,
}

impl Raw {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        Self { url, listener }
    }

    pub async fn tcp(&self) -> TcpStream {
        let stream = soon(self.listener.accept()).await.unwrap().0;
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The next connection, on which WebSockets are allowed.
    pub async fn accept(&self) -> Wire {
        self.accept_with(&[EXTENDED]).await
    }

    pub async fn accept_with(&self, settings: &[(u16, u32)]) -> Wire {
        Wire::server(self.tcp().await, settings).await
    }

    /// A client's attempt to connect, in the background.
    pub fn connect(&self, client: &Client) -> Connecting {
        let request = client.request(&self.url).unwrap();
        tokio::spawn(request.connect())
    }
}

pub type Connecting = tokio::task::JoinHandle<Result<WebSocket, we_net::transport::ConnectError>>;
