//! The [`Body`] of an answer, as it arrives.

use std::fmt;
use std::future::poll_fn;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::time::timeout;

use super::HttpError;
use super::exchange::{Rest, body_failure};

/// The body of an answer. Dropping it closes the connection.
///
/// The server is read from only while something waits for [`chunk`](Self::chunk) or
/// [`collect`](Self::collect): a slow reader slows it down.
pub struct Body {
    host: String,
    idle: Option<Duration>,
    /// `None` when the body has ended: the connection is closed then.
    rest: Option<Rest>,
}

impl Body {
    pub(super) fn new(host: String, idle: Option<Duration>, rest: Rest) -> Self {
        Self {
            host,
            idle,
            rest: (!rest.is_complete()).then_some(rest),
        }
    }

    /// Waits for the next piece, which is never empty; `None` at the end. How the server has cut the
    /// body into pieces means nothing.
    ///
    /// Dropping the future loses nothing: the next call goes on where it was.
    ///
    /// # Errors
    /// If the connection ends before the body does, or nothing comes for
    /// [`Request::idle_timeout`](super::Request::idle_timeout). What comes after an error is `None`.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let result = match self.idle {
            None => self.next().await,
            Some(idle) => match timeout(idle, self.next()).await {
                Ok(result) => result,
                Err(_) => Err(HttpError::BodyTimeout {
                    host: self.host.clone(),
                    after: idle,
                }),
            },
        };
        if !matches!(result, Ok(Some(_))) {
            self.rest = None;
        }
        result
    }

    /// Waits for all of it, if that is no more than `limit` bytes. Bytes that [`chunk`](Self::chunk)
    /// has returned are not in it.
    ///
    /// The time limit is on silence, not on the whole: wrap it in [`tokio::time::timeout`] where a
    /// server that sends a byte now and then must not hold the caller.
    ///
    /// # Errors
    /// Those of [`chunk`](Self::chunk), and [`HttpError::BodyTooLong`]: at once if the server has
    /// declared a length over the limit. The same where there is not that much memory.
    pub async fn collect(mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let declared = self.rest.as_ref().and_then(Rest::declared_length);
        if declared
            .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
        {
            return Err(self.too_long(limit));
        }
        // Nothing is allocated by what the server declares.
        let mut collected = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            let is_too_long = chunk.len() > limit - collected.len();
            if is_too_long || collected.try_reserve(chunk.len()).is_err() {
                return Err(self.too_long(limit));
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(collected)
    }

    fn too_long(&self, limit: usize) -> HttpError {
        HttpError::BodyTooLong {
            host: self.host.clone(),
            limit,
        }
    }

    /// The next piece, without time limit.
    async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        let Some(rest) = &mut self.rest else {
            return Ok(None);
        };
        loop {
            match poll_fn(|cx| rest.poll_frame(cx)).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(body_failure(&error, &self.host)),
                // Trailers have no data; nobody has asked for them.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("host", &self.host)
            .field("ended", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}
