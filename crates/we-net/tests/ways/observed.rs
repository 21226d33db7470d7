//! Counters and the log of frames.

use std::sync::{Arc, Mutex};

use we_net::observe::{ConnectionInfo, Direction, FrameLog, FrameRecord};
use we_net::protocol::{CloseCode, CloseFrame, Closure, DeflateConfig};
use we_net::server::echo;
use we_net::{Acceptor, Client, Server};

use crate::common::{soon, start};

/// Takes everything down as lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// Without the numbers of connections, which depend on what else runs.
    fn taken(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl FrameLog for Lines {
    fn opened(&self, connection: &ConnectionInfo<'_>) {
        self.push(format!("{:?} {}", connection.role, connection.target));
    }

    fn frame(&self, _: u64, frame: &FrameRecord<'_>) {
        let arrow = match frame.direction {
            Direction::In => '<',
            Direction::Out => '>',
        };
        let start = frame.payload.get(..4.min(frame.payload.len())).unwrap();
        self.push(format!(
            "{arrow} {} {} {}",
            frame.opcode,
            frame.payload_len,
            start.escape_ascii()
        ));
    }

    fn closed(&self, _: u64, closure: Option<&Closure>) {
        self.push(format!("closed {:?}", closure.map(|closure| closure.code)));
    }
}

#[tokio::test]
async fn frames_of_both_ends_are_taken_down_unmasked() {
    let (near, far) = (Lines::default(), Lines::default());
    let acceptor = Acceptor::builder().frame_log(far.clone()).build();
    let server = start(Server::builder().acceptor(acceptor), echo).await;
    let client = Client::builder().frame_log(near.clone()).build();
    let url = format!("{}x?y", server.url.replace("ws://", "ws://user:secret@"));
    let mut socket = soon(client.connect(&url)).await.unwrap();
    socket.send("hello").await.unwrap();
    soon(socket.next()).await.unwrap();
    socket.send(vec![7; 70_000]).await.unwrap();
    soon(socket.next()).await.unwrap();
    let code = CloseCode::NORMAL;
    soon(socket.close(CloseFrame::from(code))).await;
    let shown = format!("Client ws://…@127.0.0.1:{}/x?y", server.port);
    let expected = [
        shown.as_str(),
        "> text 5 hell",
        "< text 5 hell",
        "> binary 70000 \\x07\\x07\\x07\\x07",
        "< binary 70000 \\x07\\x07\\x07\\x07",
        "> Close 2 \\x03\\xe8",
        "< Close 2 \\x03\\xe8",
        "closed Some(1000)",
    ];
    assert_eq!(near.taken(), expected);
    server.handle.shutdown(std::time::Duration::from_secs(5));
    soon(server.serving).await.unwrap();
    let mirrored: Vec<String> = expected
        .iter()
        .map(|line| match line.split_at(1) {
            (">", rest) => format!("<{rest}"),
            ("<", rest) => format!(">{rest}"),
            _ if line.starts_with("Client") => "Server /x?y".to_owned(),
            _ => (*line).to_owned(),
        })
        .collect();
    assert_eq!(far.taken(), mirrored);
}

#[tokio::test]
async fn counters_tell_what_connections_have_come_to() {
    let acceptor = Acceptor::builder()
        .compression(DeflateConfig::default())
        .build();
    let server = start(Server::builder().acceptor(acceptor), echo).await;
    let client = Client::builder()
        .compression([DeflateConfig::default()])
        .build();
    let mut socket = soon(client.connect(&server.url)).await.unwrap();
    assert_eq!((client.stats().open, server.handle.stats().open), (1, 1));
    // Compressed on the way, but not in the books.
    for payload in ["x".repeat(10_000), "y".to_owned()] {
        socket.send(payload).await.unwrap();
        soon(socket.next()).await.unwrap();
    }
    soon(socket.close(None)).await;
    assert!(soon(client.connect("ws://127.0.0.1:1/")).await.is_err());
    server.handle.shutdown(std::time::Duration::from_secs(5));
    soon(server.serving).await.unwrap();
    let (near, far) = (client.stats(), server.handle.stats());
    for stats in [near, far] {
        assert_eq!((stats.open, stats.opened), (0, 1), "{stats:?}");
        assert_eq!((stats.messages_in, stats.messages_out), (2, 2), "{stats:?}");
        assert_eq!(
            (stats.bytes_in, stats.bytes_out),
            (10_001, 10_001),
            "{stats:?}"
        );
    }
    assert_eq!((near.failed, far.failed), (1, 0));
    // One that is just dropped is over as well.
    let server = start(Server::builder(), echo).await;
    drop(soon(client.connect(&server.url)).await.unwrap());
    assert_eq!((client.stats().open, client.stats().opened), (0, 2));
}
