//! Reads the head of an HTTP/1.1 message (first line and header fields) from bytes that arrive
//! piece by piece.
//!
//! Follows [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112) and takes its strict side: line ends
//! are CRLF, there is no line folding, no NUL and no CR or LF on its own. Each byte is looked at
//! once as it arrives, so the time is linear in the length however small the pieces; when the head
//! is complete, `httparse` takes it apart once. What is wrong shows at a byte that does not depend
//! on how the bytes were cut.

use std::fmt;

use super::error::HeadError;
use super::headers::Headers;

/// How large the head of a handshake message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first line to the empty line, both included; of all interim responses
    /// together. Default 64 KiB.
    pub max_bytes: usize,
    /// Header fields. Default 128.
    pub max_headers: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024,
            max_headers: 128,
        }
    }
}

/// Which message a head belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadKind {
    Request,
    Response,
}

/// Collects a head, byte by byte.
pub(crate) struct HeadReader {
    kind: HeadKind,
    limits: HeadLimits,
    head: Vec<u8>,
    /// Bytes of earlier heads on the same connection (interim responses), which count against the
    /// limit too.
    earlier: usize,
    line: Line,
    /// Header lines so far, the first line not counted.
    fields: usize,
}

/// Where in a line the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Before the first byte of the first line. A request may have empty lines here.
    BeforeFirst,
    /// Inside the first line.
    First,
    /// At the start of a header line.
    Start,
    /// Inside a header line.
    Field,
    /// After a CR, which must be followed by LF; holds what the line was.
    AfterCr(LineEnd),
}

/// What a line that is about to end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    BeforeFirst,
    First,
    Field,
    /// The empty line that ends the head.
    Head,
}

impl fmt::Debug for HeadReader {
    /// Shows no bytes: there may be secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadReader")
            .field("kind", &self.kind)
            .field("len", &self.head.len())
            .finish_non_exhaustive()
    }
}

impl HeadReader {
    pub(crate) fn new(kind: HeadKind, limits: HeadLimits) -> Self {
        Self {
            kind,
            limits,
            head: Vec::new(),
            earlier: 0,
            line: Line::BeforeFirst,
            fields: 0,
        }
    }

    /// Takes in bytes up to the end of the head. Returns how many it took once the head is
    /// complete, otherwise `None` (then it took all).
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.earlier + self.head.len() >= self.limits.max_bytes {
                return Err(HeadError::TooLong {
                    limit: self.limits.max_bytes,
                });
            }
            self.head.push(*byte);
            if self.step(*byte)? {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }

    /// Whether nothing of a head has arrived yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.earlier + self.head.len() == 0
    }

    /// The bytes of the complete head.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Starts over for the head that follows this one on the same connection.
    pub(crate) fn next_head(&mut self) {
        self.earlier += self.head.len();
        self.head.clear();
        self.line = Line::BeforeFirst;
        self.fields = 0;
    }

    /// Moves on by one byte; true at the end of the head.
    fn step(&mut self, byte: u8) -> Result<bool, HeadError> {
        self.line = match (self.line, byte) {
            (Line::AfterCr(end), b'\n') => return self.end_line(end),
            (Line::AfterCr(_), _) => return Err(HeadError::BareCr),
            (_, 0) => return Err(HeadError::Nul),
            (_, b'\n') => return Err(HeadError::BareLf),
            (Line::BeforeFirst, b'\r') if self.kind == HeadKind::Request => {
                Line::AfterCr(LineEnd::BeforeFirst)
            }
            (Line::BeforeFirst, b'\r') => return Err(HeadError::NotHttp),
            (Line::First, b'\r') => Line::AfterCr(LineEnd::First),
            (Line::Start, b'\r') => Line::AfterCr(LineEnd::Head),
            (Line::Field, b'\r') => Line::AfterCr(LineEnd::Field),
            (Line::BeforeFirst, _) => {
                // Empty lines are not part of what is taken apart later; they stay in the count.
                self.earlier += self.head.len() - 1;
                self.head.drain(..self.head.len() - 1);
                self.check_start()?;
                Line::First
            }
            (Line::First, _) => {
                self.check_start()?;
                Line::First
            }
            (Line::Start, b' ' | b'\t') => return Err(HeadError::Folded),
            (Line::Start, _) => {
                self.fields += 1;
                if self.fields > self.limits.max_headers {
                    return Err(HeadError::TooManyHeaders {
                        limit: self.limits.max_headers,
                    });
                }
                Line::Field
            }
            (Line::Field, _) => Line::Field,
        };
        Ok(false)
    }

    fn end_line(&mut self, end: LineEnd) -> Result<bool, HeadError> {
        self.line = match end {
            LineEnd::BeforeFirst => Line::BeforeFirst,
            LineEnd::First => {
                self.check_first_line()?;
                Line::Start
            }
            LineEnd::Field => Line::Start,
            LineEnd::Head => return Ok(true),
        };
        Ok(false)
    }

    /// A peer that speaks another protocol is found out at its first bytes, not when a time-out
    /// ends the wait.
    fn check_start(&self) -> Result<(), HeadError> {
        const START: &[u8] = b"HTTP/";
        let seen = self
            .head
            .get(..START.len().min(self.head.len()))
            .unwrap_or_default();
        match self.kind {
            HeadKind::Response if !START.starts_with(seen) => Err(HeadError::NotHttp),
            HeadKind::Response | HeadKind::Request => Ok(()),
        }
    }

    /// The first line is complete: it must be one of HTTP/1.1, or nothing that follows matters.
    fn check_first_line(&self) -> Result<(), HeadError> {
        let mut no_headers = [];
        let parsed = match self.kind {
            HeadKind::Request => httparse::Request::new(&mut no_headers).parse(&self.head),
            HeadKind::Response => httparse::Response::new(&mut no_headers).parse(&self.head),
        };
        match parsed {
            Ok(_) => Ok(()),
            Err(error) => Err(HeadError::from_httparse(error)),
        }
    }
}

/// The first line and the fields of a request.
pub(crate) struct RequestHead {
    pub(super) method: String,
    pub(super) target: String,
    /// The 1 of HTTP/1.1.
    pub(super) minor_version: u8,
    pub(crate) headers: Headers,
}

/// The first line and the fields of a response.
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    /// The reason phrase, which says nothing that a program should rely on.
    pub(crate) reason: String,
    /// The 1 of HTTP/1.1.
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

impl RequestHead {
    /// Takes a complete head apart.
    pub(crate) fn parse(head: &[u8], limits: HeadLimits) -> Result<Self, HeadError> {
        let mut fields = vec![httparse::EMPTY_HEADER; limits.max_headers];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(HeadError::Syntax("it is not complete")),
            Err(error) => return Err(HeadError::from_httparse(error)),
        }
        let (Some(method), Some(target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HeadError::Syntax("its first line is not complete"));
        };
        Ok(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            minor_version,
            headers: collect(request.headers)?,
        })
    }
}

impl ResponseHead {
    /// Takes a complete head apart.
    pub(crate) fn parse(head: &[u8], limits: HeadLimits) -> Result<Self, HeadError> {
        let mut fields = vec![httparse::EMPTY_HEADER; limits.max_headers];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(HeadError::Syntax("it is not complete")),
            Err(error) => return Err(HeadError::from_httparse(error)),
        }
        let (Some(status), Some(minor_version)) = (response.code, response.version) else {
            return Err(HeadError::Syntax("its first line is not complete"));
        };
        Ok(Self {
            status,
            reason: response.reason.unwrap_or_default().to_owned(),
            minor_version,
            headers: collect(response.headers)?,
        })
    }
}

fn collect(fields: &[httparse::Header<'_>]) -> Result<Headers, HeadError> {
    let mut headers = Headers::new();
    for field in fields {
        headers
            .append(field.name, field.value)
            .map_err(|_| HeadError::Syntax("a header field is malformed"))?;
    }
    Ok(headers)
}
