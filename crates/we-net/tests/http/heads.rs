//! Heads of answers: all statuses, too late, too large, not HTTP.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use we_net::handshake::{HeadError, HeadLimits};
use we_net::{Client, ConnectTimeouts, HttpError};

use crate::common::{read_head, soon};
use crate::support::{answering, get, get_by, http_server, load, ok};

#[tokio::test]
async fn any_status_is_an_answer() {
    for status in [200, 204, 301, 304, 404, 500, 999] {
        let url = answering(format!("HTTP/1.1 {status}\r\nX-A: 1\r\nx-a: 2\r\n\r\n")).await;
        let response = get(&url).await.unwrap();
        assert_eq!(response.status, status);
        let values: Vec<_> = response.headers.values("X-A").collect();
        assert_eq!(values, [b"1", b"2"]);
        assert_eq!(soon(response.body.collect(0)).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn a_silent_server_runs_into_the_head_timeout() {
    // One says nothing, one begins and stops, one goes on for ever with interim answers.
    for (begin, again) in [
        ("", ""),
        ("HTTP/1.1 200 OK\r\nX: ", ""),
        ("", "HTTP/1.1 103 x\r\n\r\n"),
    ] {
        let url = http_server(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(begin.as_bytes()).await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while !again.is_empty() && stream.write_all(again.as_bytes()).await.is_ok() {
                ticks.tick().await;
            }
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let timeouts = ConnectTimeouts {
            handshake: Duration::from_millis(50),
            ..ConnectTimeouts::default()
        };
        let client = Client::builder().timeouts(timeouts).build();
        let error = get_by(&client, &url).await.unwrap_err();
        assert!(matches!(error, HttpError::HeadTimeout { .. }), "{error}");
        assert!(error.to_string().contains("within 0.05 s"), "{error}");
    }
}

#[tokio::test]
async fn a_head_over_the_limits_is_refused() {
    let limits = HeadLimits {
        max_bytes: 200,
        max_headers: 3,
    };
    let client = Client::builder().head_limits(limits).build();
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
    let exact = 200 - start.len() - "\r\n\r\n".len();
    let field = |length: usize| format!("{start}{}\r\n\r\n", "x".repeat(length));
    let fields = |n: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n",
            "A: b\r\n".repeat(n)
        )
    };
    let interim = "HTTP/1.1 103 x\r\n\r\n".repeat(1000);
    for (answer, expected) in [
        (field(exact), None),
        (field(exact + 1), Some(HeadError::TooLong { limit: 200 })),
        (field(1 << 20), Some(HeadError::TooLong { limit: 200 })),
        (fields(2), None),
        (fields(3), Some(HeadError::TooManyHeaders { limit: 3 })),
        (fields(30), Some(HeadError::TooManyHeaders { limit: 3 })),
        (interim, Some(HeadError::TooLong { limit: 200 })),
    ] {
        let answer = answering(answer).await;
        match (get_by(&client, &answer).await, expected) {
            (Ok(response), None) => assert_eq!(response.status, 200),
            (Err(HttpError::Head { source, .. }), Some(expected)) => assert_eq!(source, expected),
            (other, expected) => panic!("{other:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn the_limit_on_heads_is_none_on_bodies() {
    let limits = HeadLimits {
        max_bytes: 200,
        max_headers: 3,
    };
    let client = Client::builder().head_limits(limits).build();
    let response = get_by(&client, &answering(ok(&"x\n".repeat(50_000))).await)
        .await
        .unwrap();
    assert_eq!(
        soon(response.body.collect(100_000)).await.unwrap().len(),
        100_000
    );
}

#[tokio::test]
async fn another_protocol_or_none_is_told_apart() {
    for answer in [
        "SSH-2.0-x\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nxx",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ] {
        let error = load(&answering(answer).await).await.unwrap_err();
        assert!(
            matches!(error, HttpError::NotHttp { .. }),
            "{answer}: {error}"
        );
    }
    for (answer, started) in [
        ("", false),
        ("HTTP/1.1 20", true),
        ("HTTP/1.1 200 OK\r\nX: ", true),
    ] {
        let error = load(&answering(answer).await).await.unwrap_err();
        let HttpError::Ended { started: told, .. } = error else {
            panic!("{answer}: {error}")
        };
        assert_eq!(told, started, "{answer}");
    }
}
