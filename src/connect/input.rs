//! What is typed, taken apart: lines out of bytes, and commands out of lines. Pure functions; [`super::source`] reads.

use std::path::PathBuf;

use we_net::protocol::{CloseCode, CloseFrame};

/// What a Ping can hold (RFC 6455 section 5.5).
const PING_PAYLOAD: usize = 125;

/// What `/help` says.
pub(super) const HELP: &str = "\
commands; everything else is sent as text
/ping [TEXT]            ping the server, and tell when it answers
/close [CODE [REASON]]  close the connection, with 1000 unless CODE says otherwise
/binary HEX             send bytes, as in /binary 00 ff 1b
/file PATH              send a file as a binary message
/help                   show this
//...                   send a line that begins with /";

/// A line of somebody who may give commands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Text(&'a str),
    Binary(Vec<u8>),
    File(PathBuf),
    /// Without a payload of the user's if `None`.
    Ping(Option<&'a str>),
    Close(CloseFrame),
    Help,
}

/// Understands a line, or says what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Line<'_>, String> {
    let Some(command) = line.strip_prefix('/') else {
        return Ok(Line::Text(line));
    };
    if command.starts_with('/') {
        return Ok(Line::Text(command));
    }
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim();
    match name {
        "ping" if rest.len() > PING_PAYLOAD => Err(format!(
            "a ping holds at most {PING_PAYLOAD} bytes, this one has {}",
            rest.len()
        )),
        "ping" => Ok(Line::Ping(Some(rest).filter(|rest| !rest.is_empty()))),
        "close" => close(rest).map(Line::Close),
        "binary" => hex(rest).map(Line::Binary),
        "file" if rest.is_empty() => Err("/file needs the path of a file".to_owned()),
        "file" => Ok(Line::File(rest.into())),
        "help" => Ok(Line::Help),
        _ => Err(format!(
            "there is no command /{name}; /help lists those there are, and // sends a line that begins with /"
        )),
    }
}

fn close(rest: &str) -> Result<CloseFrame, String> {
    if rest.is_empty() {
        return Ok(CloseCode::NORMAL.into());
    }
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = code
        .parse()
        .ok()
        .and_then(CloseCode::new)
        .ok_or_else(|| format!("{code} is no code to close with; use 1000, or 3000 to 4999"))?;
    CloseFrame::new(code, reason.trim()).map_err(|error| error.to_string())
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let problem =
        || "write bytes as pairs of hexadecimal digits, as in /binary 00 ff 1b".to_owned();
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| Some(character.to_digit(16)? as u8))
        .collect();
    let digits = digits.ok_or_else(problem)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(problem());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// A line is longer than messages may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Cuts what is read into lines, which end with LF or CRLF.
pub(super) struct Lines {
    /// The beginning of a line whose end has not been read.
    begun: Vec<u8>,
    max: usize,
}

impl Lines {
    /// Of lines of up to `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            begun: Vec::new(),
            max,
        }
    }

    /// Appends the lines that end within `bytes`.
    pub(super) fn cut(&mut self, bytes: &[u8], lines: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let mut line = std::mem::take(&mut self.begun);
                line.pop();
                line.pop_if(|byte| *byte == b'\r');
                lines.push(self.fitting(line)?);
            } else if self.begun.len() > self.max.saturating_add(1) {
                // One more may be the CR of the line's end.
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// The last line, if nothing ends it.
    pub(super) fn end(self) -> Result<Option<Vec<u8>>, TooLong> {
        let mut this = self;
        let line = std::mem::take(&mut this.begun);
        if line.is_empty() {
            return Ok(None);
        }
        this.fitting(line).map(Some)
    }

    fn fitting(&self, line: Vec<u8>) -> Result<Vec<u8>, TooLong> {
        if line.len() > self.max {
            return Err(TooLong);
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn frame(code: u16, reason: &str) -> CloseFrame {
        CloseFrame::new(CloseCode::new(code).unwrap(), reason).unwrap()
    }

    #[test]
    fn a_slash_begins_a_command_and_two_a_text() {
        for (line, expected) in [
            ("hello", Line::Text("hello")),
            ("", Line::Text("")),
            (" /ping", Line::Text(" /ping")),
            ("//ping", Line::Text("/ping")),
            ("//", Line::Text("/")),
            ("/ping", Line::Ping(None)),
            ("/ping are you there", Line::Ping(Some("are you there"))),
            ("/close", Line::Close(frame(1000, ""))),
            ("/close 4000", Line::Close(frame(4000, ""))),
            ("/close 4000 see you ", Line::Close(frame(4000, "see you"))),
            ("/binary 00ff 1B", Line::Binary(vec![0, 0xff, 0x1b])),
            ("/binary", Line::Binary(vec![])),
            ("/file a b.bin", Line::File("a b.bin".into())),
            ("/help", Line::Help),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_command_is_said() {
        let long_reason = format!("/close 1000 {}", "x".repeat(124));
        let long_ping = format!("/ping {}", "x".repeat(126));
        for (line, expected) in [
            ("/fly", "no command /fly"),
            ("/pingx", "no command /pingx"),
            ("/", "/help"),
            ("/close now", "now is no code"),
            ("/close 1005", "1005 is no code"),
            ("/close 70000", "70000 is no code"),
            (&long_reason, "at most 123 bytes"),
            (&long_ping, "at most 125 bytes"),
            ("/binary 0", "pairs"),
            ("/binary 0g", "pairs"),
            ("/file", "path"),
        ] {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(expected), "{line}: {problem}");
        }
        assert!(parse(&format!("/ping {}", "x".repeat(125))).is_ok());
    }

    /// The lines of `pieces`, read one after the other.
    fn lines(max: usize, pieces: &[&str]) -> Result<Vec<String>, TooLong> {
        let mut cutter = Lines::new(max);
        let mut lines = Vec::new();
        for piece in pieces {
            cutter.cut(piece.as_bytes(), &mut lines)?;
        }
        lines.extend(cutter.end()?);
        Ok(lines
            .into_iter()
            .map(|line| String::from_utf8(line).unwrap())
            .collect())
    }

    #[test]
    fn lines_end_where_they_end_however_they_are_read() {
        for pieces in [
            &["a\n\nbc\r\nd\re"][..],
            &["a", "\n", "\nb", "c\r", "\nd\re"],
            &["a\n\nbc\r\nd\re\n"],
        ] {
            assert_eq!(lines(8, pieces).unwrap(), ["a", "", "bc", "d\re"]);
        }
        assert!(lines(8, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_never_ends_is_not_collected() {
        for pieces in [&["abcd\r", "\n"][..], &["abcd\r\n"], &["ab", "cd"]] {
            assert_eq!(lines(4, pieces).unwrap(), ["abcd"], "{pieces:?}");
        }
        for pieces in [&["abcde\n"][..], &["abcde"], &["abcdef", ""], &["abcd\re"]] {
            assert_eq!(lines(4, pieces), Err(TooLong), "{pieces:?}");
        }
        let mut cutter = Lines::new(4);
        assert!(cutter.cut(b"abcdef", &mut Vec::new()).is_err());
    }
}
