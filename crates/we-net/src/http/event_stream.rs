//! Event streams: what a body of the type `text/event-stream` says, without I/O.
//!
//! Follows <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>. The bytes of the
//! body go in as they come, in pieces of any length; events come out one at a time, so that whoever takes none lets nothing
//! pile up here. The stream is cut into lines before it is decoded, which comes to the same: no decoder of UTF-8 ever takes a
//! line break for a part of a character.

use std::sync::Arc;
use std::time::Duration;

/// How many bytes an event may have unless told otherwise: as many as a message of a WebSocket.
pub const DEFAULT_MAX_EVENT: usize = 64 << 20;

/// The mark that may stand at the beginning of the stream, and means nothing.
/// <https://encoding.spec.whatwg.org/#utf-8-decode>
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How the lines begin that mean something. None of them is longer than [`LONGEST_NAME`].
const NAMES: [&[u8]; 4] = [b"data:", b"event:", b"id:", b"retry:"];
const LONGEST_NAME: usize = 6;

/// The most that stands before the value of a field: the mark, the name, a space.
const PREFIX: usize = BYTE_ORDER_MARK.len() + LONGEST_NAME + 1;

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSentEvent {
    /// Its type; `message` if the stream does not say.
    pub kind: String,
    /// Its data: the lines, joined by `\n`.
    pub data: String,
    /// The last id that the stream has given, be it to an earlier event; empty if there was none.
    pub last_event_id: Arc<str>,
}

/// An event that is longer than it may be. The stream is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event is longer than {limit} bytes, the most that is taken here; the server must send shorter ones"
)]
pub struct EventTooLong {
    /// How many bytes it may have.
    pub limit: usize,
}

/// What an event stream has said so far.
///
/// ```
/// use we_net::http::EventStream;
///
/// let mut stream = EventStream::new();
/// let mut events = Vec::new();
/// for mut piece in [&b"id: 7\nda"[..], b"ta: hello\n\nevent: end\ndata\n\n"] {
///     while let Some(event) = stream.next_event(&mut piece)? {
///         events.push((event.kind, event.data, event.last_event_id.to_string()));
///     }
/// }
/// let event = |kind: &str, data: &str| (kind.to_owned(), data.to_owned(), "7".to_owned());
/// assert_eq!(events, [event("message", "hello"), event("end", "")]);
/// # Ok::<(), we_net::http::EventTooLong>(())
/// ```
///
/// The time that this takes grows with the length of the stream and with nothing else, however it is cut.
#[derive(Debug)]
pub struct EventStream {
    max_event: usize,
    /// The beginning of a line that has not ended yet.
    line: Vec<u8>,
    /// Whether the line that has not ended yet means nothing, so that none of it is kept.
    skips_line: bool,
    is_first_line: bool,
    /// The last line was ended by a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The [data buffer][spec], of bytes that are yet to be decoded. Each line in it ends with LF.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-data-buffer
    data: Vec<u8>,
    /// The event type buffer, likewise.
    kind: Vec<u8>,
    /// The last event ID buffer.
    id: Arc<str>,
    last_event_id: Arc<str>,
    reconnection_time: Option<Duration>,
}

impl Default for EventStream {
    fn default() -> Self {
        Self::new()
    }
}

impl EventStream {
    /// The beginning of a stream.
    pub fn new() -> Self {
        Self::resumed(Arc::default())
    }

    /// The beginning of a stream that goes on where another has ended.
    ///
    /// The id stays that of the last stream until this one gives another: so do browsers, and so asks
    /// `eventsource/format-field-id-2` of web-platform-tests, where the text of the standard lets it begin anew.
    pub fn resumed(last_event_id: Arc<str>) -> Self {
        Self {
            max_event: DEFAULT_MAX_EVENT,
            line: Vec::new(),
            skips_line: false,
            is_first_line: true,
            after_cr: false,
            data: Vec::new(),
            kind: Vec::new(),
            id: last_event_id.clone(),
            last_event_id,
            reconnection_time: None,
        }
    }

    /// Sets how many bytes an event may have: its data (with a byte for the end of each line), type and id, as they come.
    /// Default [`DEFAULT_MAX_EVENT`]. Lines that mean nothing, such as comments, may be of any length.
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Takes bytes from the beginning of `input` until an event has come; `None` when there are no more.
    ///
    /// What has not been ended by an empty line when the stream ends is no event.
    ///
    /// # Errors
    /// If the event is too long.
    pub fn next_event(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<ServerSentEvent>, EventTooLong> {
        loop {
            if let Some((first, rest)) = input.split_first()
                && std::mem::take(&mut self.after_cr)
                && *first == b'\n'
            {
                *input = rest;
            }
            let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
            let end = input.iter().position(is_break).unwrap_or(input.len());
            let (line, rest) = input.split_at(end);
            let Some((line_break, rest)) = rest.split_first() else {
                *input = rest;
                self.keep(line)?;
                return Ok(None);
            };
            *input = rest;
            self.after_cr = *line_break == b'\r';
            if let Some(event) = self.end_line(line)? {
                return Ok(Some(event));
            }
        }
    }

    /// The [last event ID string][spec]: what a client sends as `Last-Event-ID` when it connects again.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-last-event-id
    pub fn last_event_id(&self) -> &Arc<str> {
        &self.last_event_id
    }

    /// How long a client is to wait before it connects again, if the stream has said so. More than 2^64 milliseconds is as
    /// much.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    /// Keeps a part of a line whose end has not come.
    fn keep(&mut self, part: &[u8]) -> Result<(), EventTooLong> {
        if self.skips_line {
            return Ok(());
        }
        // How it begins tells whether the rest matters.
        let missing = PREFIX.saturating_sub(self.line.len());
        let (beginning, rest) = part.split_at(missing.min(part.len()));
        self.line.extend_from_slice(beginning);
        if self.means_nothing() {
            self.skips_line = true;
            self.line = Vec::new();
            return Ok(());
        }
        // That counts for what is behind the name only, exactly, when the line has ended.
        let value = self.line.len().saturating_sub(PREFIX) + rest.len();
        self.require_room(value)?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Whether it does not matter how the line goes on: no field is known that begins so.
    fn means_nothing(&self) -> bool {
        let line = self.without_mark(&self.line);
        line.len() >= LONGEST_NAME && !NAMES.iter().any(|name| line.starts_with(name))
    }

    fn without_mark<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(line) if self.is_first_line => line,
            _ => line,
        }
    }

    /// A line has ended, the last part of which is `part`.
    fn end_line(&mut self, part: &[u8]) -> Result<Option<ServerSentEvent>, EventTooLong> {
        let skips = std::mem::take(&mut self.skips_line);
        let mut kept = std::mem::take(&mut self.line);
        let event = if skips {
            Ok(None)
        } else if kept.is_empty() {
            self.interpret(self.without_mark(part))
        } else {
            kept.extend_from_slice(part);
            self.interpret(self.without_mark(&kept))
        };
        self.is_first_line = false;
        event
    }

    /// ["Lines must be processed, in the order they are received, as follows"][spec]
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    fn interpret(&mut self, line: &[u8]) -> Result<Option<ServerSentEvent>, EventTooLong> {
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        // The name of a comment is empty, and no field's.
        self.process_field(name, value.strip_prefix(b" ").unwrap_or(value))?;
        Ok(None)
    }

    /// [Process the field](https://html.spec.whatwg.org/multipage/server-sent-events.html#processField)
    fn process_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), EventTooLong> {
        match name {
            b"event" => {
                self.require_room(value.len())?;
                self.kind = value.to_vec();
            }
            b"data" => {
                self.require_room(value.len() + 1)?;
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"id" => {
                self.require_room(value.len())?;
                if !value.contains(&0) {
                    self.id = decode(value.to_vec()).into();
                }
            }
            b"retry" => {
                self.require_room(value.len())?;
                if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
                    let milliseconds = decode(value.to_vec()).parse().unwrap_or(u64::MAX);
                    self.reconnection_time = Some(Duration::from_millis(milliseconds));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// [Dispatch the event][spec], as far as that is this side's.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
    fn dispatch(&mut self) -> Option<ServerSentEvent> {
        // 1.
        self.last_event_id = self.id.clone();
        // 6., 7.
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        // 2., 3. There is an LF at the end, unless there is nothing.
        data.pop()?;
        Some(ServerSentEvent {
            kind: if kind.is_empty() {
                "message".to_owned()
            } else {
                decode(kind)
            },
            data: decode(data),
            last_event_id: self.last_event_id.clone(),
        })
    }

    /// Fails if there is no room for so many bytes beside what is there of the event.
    fn require_room(&self, bytes: usize) -> Result<(), EventTooLong> {
        let taken = self.data.len() + self.kind.len() + self.id.len();
        if bytes > self.max_event.saturating_sub(taken) {
            return Err(EventTooLong {
                limit: self.max_event,
            });
        }
        Ok(())
    }
}

/// [UTF-8 decode without BOM](https://encoding.spec.whatwg.org/#utf-8-decode-without-bom)
fn decode(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests;
