//! [`Log`]: what guests say to whoever operates the server. Bounded, since they may say it because of what a client does.

use std::fmt;
use std::sync::Arc;

use crate::name::RoomName;

/// The longest line in bytes. What is more is cut off.
const MAX_LINE: usize = 4096;

/// How many lines there may be each time that a function of the guest is called. Those behind it are not told.
const MAX_LINES: u32 = 64;

/// Whom lines are told to.
pub(super) type Tell = Arc<dyn Fn(&RoomName, &str) + Send + Sync>;

/// Who tells the log of `tracing`.
pub(super) fn to_tracing() -> Tell {
    Arc::new(|room, line| tracing::info!(target: "we::rooms", %room, "{line}"))
}

/// The log of one room.
pub(super) struct Log {
    tell: Tell,
    room: Option<RoomName>,
    lines: u32,
    /// What has been written to standard output and error since the last end of a line.
    partial: [Vec<u8>; 2],
}

/// Of what a line is a part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    Standard,
    Error,
}

impl Log {
    pub(super) fn new(tell: Tell, room: Option<RoomName>) -> Self {
        Self {
            tell,
            room,
            lines: 0,
            partial: Default::default(),
        }
    }

    /// A function of the guest is about to be called.
    pub(super) fn begin(&mut self) {
        self.lines = 0;
    }

    /// Tells a line. What is not UTF-8, or a control character, is replaced.
    pub(super) fn line(&mut self, line: &[u8]) {
        let Some(room) = &self.room else {
            return;
        };
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LINES {
            if self.lines == MAX_LINES + 1 {
                (self.tell)(room, "(more lines at once than are told)");
            }
            return;
        }
        (self.tell)(room, &clean(line));
    }

    /// Tells the lines that end in `bytes`, and keeps the beginning of the next one.
    pub(super) fn write(&mut self, output: Output, bytes: &[u8]) {
        let index = match output {
            Output::Standard => 0,
            Output::Error => 1,
        };
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let Some(partial) = self.partial.get_mut(index) else {
                return;
            };
            let room = MAX_LINE.saturating_sub(partial.len()).min(line.len());
            partial.extend_from_slice(line.get(..room).unwrap_or_default());
            if lines.peek().is_some() {
                let line = std::mem::take(partial);
                self.line(&line);
            }
        }
    }
}

/// At most so much of what a guest says, as text that harms no terminal.
pub(super) fn clean(line: &[u8]) -> String {
    let line = line.get(..MAX_LINE).unwrap_or(line);
    String::from_utf8_lossy(line)
        .trim_end_matches(['\n', '\r'])
        .chars()
        .map(|c| match c {
            '\t' | '\n' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("lines", &self.lines).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn output_is_told_by_lines() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = {
            let told = told.clone();
            Arc::new(move |_: &RoomName, line: &str| {
                told.lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .push(line.to_owned());
            })
        };
        let mut log = Log::new(tell, RoomName::new("1").ok());
        let take = || std::mem::take(&mut *told.lock().unwrap_or_else(|e| e.into_inner()));
        log.write(Output::Standard, b"one\ntwo\nthr");
        log.write(Output::Error, b"\x1b[31mred\xff\n");
        log.write(Output::Standard, b"ee\n\n");
        assert_eq!(
            take(),
            ["one", "two", "\u{fffd}[31mred\u{fffd}", "three", ""]
        );
        // However much is written without an end, a line of it is kept.
        for _ in 0..100 {
            log.write(Output::Standard, &[b'x'; 1000]);
        }
        assert_eq!(log.partial[0].len(), MAX_LINE);
        log.begin();
        log.write(Output::Standard, &[b'\n'; 1000]);
        let lines = take();
        assert_eq!(lines.len(), MAX_LINES as usize + 1);
        assert_eq!(lines[0].len(), MAX_LINE);
        log.begin();
        log.line(b"again");
        assert_eq!(take(), ["again"]);
    }
}
