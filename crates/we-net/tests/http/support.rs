//! Servers, and requests to them.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use we_net::http::Response;
use we_net::{Client, HttpError};

use crate::common::{raw_server, read_head, soon};

/// A server that reads one request and sends `answer`, then hangs up.
pub async fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    http_server(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

/// A server for one connection.
pub async fn http_server<F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    raw_server(script).await.replace("ws://", "http://")
}

/// A server that answers each connection with what `answer` makes of the request's head; the heads
/// come out of the receiver.
pub async fn pages(
    host: &str,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, heads) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            let answer = answer(&head);
            let _ = send.send(head);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, heads)
}

pub fn found(location: impl std::fmt::Display) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

pub fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

pub async fn get(url: &str) -> Result<Response, HttpError> {
    get_by(&Client::default(), url).await
}

pub async fn get_by(client: &Client, url: &str) -> Result<Response, HttpError> {
    soon(client.get(url)?.send()).await
}

/// Head and body at once.
pub async fn load(url: &str) -> Result<Vec<u8>, HttpError> {
    soon(get(url).await?.body.collect(1 << 20)).await
}
