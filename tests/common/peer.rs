//! HTTP by hand: what is sent and what arrives, byte for byte.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::serve::{PATIENCE, Serve};

/// A connection made by hand.
pub struct Peer {
    stream: TcpStream,
    /// What has been read and not been taken.
    read: Vec<u8>,
}

impl Peer {
    pub fn connect(serve: &Serve) -> Self {
        let address = serve.url.strip_prefix("ws://").unwrap();
        let stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub fn get(serve: &Serve, path: &str) -> Self {
        let mut peer = Self::connect(serve);
        peer.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        peer
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads once; `false` at the end.
    pub fn read(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => {
                eprintln!("reading: {error}");
                0
            }
        };
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Takes everything up to the end of `end`.
    #[track_caller]
    pub fn take(&mut self, end: &str) -> String {
        loop {
            let found = self
                .read
                .windows(end.len())
                .position(|part| part == end.as_bytes());
            if let Some(at) = found {
                let taken = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            assert!(self.read(), "no {end:?} in {:?}", self.text());
        }
    }

    /// Everything to the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.read() {}
        self.text()
    }
}

/// The head and the body of an answer that ends the connection.
pub fn ask(serve: &Serve, request: &str) -> (String, String) {
    let mut peer = Peer::connect(serve);
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    peer.send(&format!(
        "{head}\r\nHost: h:1\r\nConnection: close\r\n\r\n{body}"
    ));
    let answer = peer.rest();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        panic!(
            "{request:.100} was answered with {answer:?} {}",
            serve.printed()
        );
    };
    (head.to_owned(), body.to_owned())
}

/// The body of an answer in chunks, put together. Fails if the end is missing.
pub fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    loop {
        let (len, rest) = body.split_once("\r\n").unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        let (chunk, rest) = rest.split_at(len);
        whole += chunk;
        body = rest.strip_prefix("\r\n").unwrap();
        if len == 0 {
            assert_eq!(body, "");
            return whole;
        }
    }
}
