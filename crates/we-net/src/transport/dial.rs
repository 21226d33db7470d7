//! Dialling: a TCP connection to the first of several addresses that answers ("Happy Eyeballs").
//!
//! Follows [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305) on a list that is already sorted by
//! preference, as the operating system's look-up returns it: the families take turns (section 4),
//! and each attempt gets a quarter of a second before the next one starts beside it (section 5).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

#[cfg(unix)]
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How long an attempt goes on alone: the value that RFC 8305 section 8 recommends.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers, with `TCP_NODELAY` set: a message is not to
/// wait for the next. Returns which one it was, too.
///
/// The next attempt starts when one has failed, or is still under way after [`ATTEMPT_DELAY`]; when
/// one succeeds the others are dropped. There is no time limit over all: the caller sets one.
///
/// # Errors
/// If no address answers, every address with its error, in the order in which they failed.
///
/// <https://www.rfc-editor.org/rfc/rfc8305#section-5>
pub async fn dial(
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> Result<(TcpStream, SocketAddr), Vec<(SocketAddr, io::Error)>> {
    let mut waiting = interleave(addresses);
    let mut attempts = Attempts::default();
    let mut failures = Vec::new();
    let mut next_start = Instant::now();
    loop {
        // Not left to the timer, which even when it is due takes a millisecond.
        if next_start <= Instant::now()
            && let Some(address) = waiting.pop_front()
        {
            attempts.start(address);
            next_start = Instant::now() + ATTEMPT_DELAY;
        }
        let next = sleep_until(next_start);
        tokio::select! {
            biased;
            (address, result) = attempts.next(), if !attempts.is_empty() => match result {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => {
                    tracing::debug!(target: "we::net", %address, %error, "connection attempt failed");
                    failures.push((address, error));
                    next_start = Instant::now();
                }
            },
            () = next, if !waiting.is_empty() => {}
            else => return Err(failures),
        }
    }
}

/// Lets the address families take turns, beginning with that of the first address; otherwise keeps
/// the order.
///
/// <https://www.rfc-editor.org/rfc/rfc8305#section-4>, with a First Address Family Count of 1
pub fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_v6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut turns = VecDeque::with_capacity(first.len() + second.len());
    for address in first {
        turns.push_back(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

/// As [`TcpStream::connect`], but without waiting where there is nothing to wait for: what listens on this machine has
/// answered when the system call returns, though a socket that does not block says that it has only begun.
#[cfg(unix)]
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    // Linux makes it as it shall be; elsewhere that takes two more system calls.
    #[cfg(target_os = "linux")]
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(not(target_os = "linux"))]
    socket.set_nonblocking(true)?;
    let is_done = match socket.connect(&address.into()) {
        Ok(()) => true,
        Err(error) => match error.raw_os_error() {
            Some(libc::EINPROGRESS) => false,
            _ => return Err(error),
        },
    };
    let is_connected = is_done || socket.peer_addr().is_ok();
    let stream = TcpStream::from_std(socket.into())?;
    if !is_connected {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    Ok(stream)
}

#[cfg(not(unix))]
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// The attempts under way.
#[derive(Default)]
struct Attempts(Vec<(SocketAddr, Attempt)>);

impl Attempts {
    fn start(&mut self, address: SocketAddr) {
        tracing::debug!(target: "we::net", %address, "connecting");
        self.0.push((
            address,
            Box::pin(async move {
                let stream = connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }),
        ));
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The result of the attempt that ends next. Losing this future loses nothing.
    async fn next(&mut self) -> (SocketAddr, io::Result<TcpStream>) {
        poll_fn(|cx| {
            for (index, (address, attempt)) in self.0.iter_mut().enumerate() {
                if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                    let address = *address;
                    drop(self.0.remove(index));
                    return Poll::Ready((address, result));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn addresses(list: &str) -> Vec<SocketAddr> {
        list.split_whitespace()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    #[test]
    fn families_take_turns() {
        for (input, output) in [
            ("", ""),
            ("1.1.1.1:1", "1.1.1.1:1"),
            (
                "[::1]:1 [::2]:1 1.1.1.1:1 2.2.2.2:1",
                "[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1",
            ),
            (
                "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1",
                "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1",
            ),
            (
                "[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1",
                "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1",
            ),
        ] {
            assert_eq!(
                Vec::from(interleave(addresses(input))),
                addresses(output),
                "{input}"
            );
        }
    }

    #[tokio::test]
    async fn the_first_attempt_waits_for_no_timer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let mut dialling = std::pin::pin!(dial([address]));
        // Once, without a reactor or a timer that could move anything.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = dialling.as_mut().poll(&mut cx);
        assert!(listener.accept().is_ok(), "no attempt has been made");
    }

    #[tokio::test]
    async fn no_address_is_an_error_without_attempts() {
        assert!(dial([]).await.unwrap_err().is_empty());
    }
}
