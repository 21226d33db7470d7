//! Standard input, read on a thread of its own: a read cannot be given up, and must not keep the program from ending.
//!
//! The thread reads on when what it has read before has been taken, so a connection that is slow stops it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    thread,
};

use tokio::sync::mpsc;
use we_net::{
    Message,
    protocol::{CloseFrame, MessageKind},
};

use super::input::{self, Line, Lines, TooLong};

/// The most that is read at once, and the longest message of `--binary`.
const CHUNK: usize = 64 << 10;

/// What stdin says.
#[derive(Debug)]
pub(super) enum Item {
    Message(Message),
    Ping(Option<Vec<u8>>),
    Close(CloseFrame),
    Help,
    /// Something is wrong with a line of somebody who can correct it.
    Complaint(String),
    /// Something is wrong, and nothing more is read.
    Failure(String),
}

/// How stdin is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A message, or maybe a command, in each line.
    Lines(Commands),
    /// A binary message for each read.
    Chunks,
    /// One message.
    Whole(MessageKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commands {
    Obeyed,
    Sent,
}

/// Who writes to stdin, and so what comes of a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// Is told, and goes on.
    Person,
    /// Cannot be told: nothing after the mistake would be what it meant.
    Program,
}

/// What stdin is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) mode: Mode,
    pub(super) writer: Writer,
    /// The longest message, in bytes.
    pub(super) max: usize,
}

/// Nobody takes what is read any more.
struct Gone;

/// A batch holds what one read has brought.
type Batches = mpsc::Sender<Vec<Item>>;

impl Source {
    /// Begins to read stdin. The channel ends with the input.
    pub(super) fn start(self) -> io::Result<mpsc::Receiver<Vec<Item>>> {
        let (sender, receiver) = mpsc::channel(1);
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                // If nobody takes it any more there is nobody to tell.
                let _ = self.read(&mut io::stdin().lock(), &sender);
            })?;
        Ok(receiver)
    }

    fn read(self, input: &mut impl Read, batches: &Batches) -> Result<(), Gone> {
        match self.mode {
            Mode::Lines(commands) => self.read_lines(commands, input, batches),
            Mode::Chunks => read_chunks(input, batches),
            Mode::Whole(kind) => self.read_whole(kind, input, batches),
        }
    }

    fn read_lines(
        self,
        commands: Commands,
        input: &mut impl Read,
        batches: &Batches,
    ) -> Result<(), Gone> {
        let mut chunk = vec![0; CHUNK];
        let mut cutter = Lines::new(self.max);
        let mut number = 0;
        loop {
            let mut lines = Vec::new();
            let cut = match read_some(input, &mut chunk) {
                Err(problem) => return send(batches, vec![Item::Failure(problem)]),
                Ok([]) => break,
                Ok(bytes) => cutter.cut(bytes, &mut lines),
            };
            let mut items = self.items(lines, commands, &mut number);
            if cut.is_err() {
                items.push(self.too_long(number + 1));
            }
            let failed = cut.is_err() || matches!(items.last(), Some(Item::Failure(_)));
            send(batches, items)?;
            if failed {
                return Ok(());
            }
        }
        match cutter.end() {
            Ok(last) => send(
                batches,
                self.items(last.into_iter().collect(), commands, &mut number),
            ),
            Err(TooLong) => send(batches, vec![self.too_long(number + 1)]),
        }
    }

    /// What these lines say, until one cannot be understood. `number` counts lines.
    fn items(self, lines: Vec<Vec<u8>>, commands: Commands, number: &mut u64) -> Vec<Item> {
        let mut items = Vec::with_capacity(lines.len());
        for line in lines {
            *number += 1;
            let item = self
                .item(line, commands)
                .unwrap_or_else(|problem| match self.writer {
                    Writer::Person => Item::Complaint(problem),
                    Writer::Program => {
                        Item::Failure(format!("line {number} of standard input: {problem}"))
                    }
                });
            let failed = matches!(item, Item::Failure(_));
            items.push(item);
            if failed {
                break;
            }
        }
        items
    }

    fn item(self, line: Vec<u8>, commands: Commands) -> Result<Item, String> {
        let line = text(line)?;
        if commands == Commands::Sent {
            return Ok(Item::Message(line.into()));
        }
        Ok(match input::parse(&line)? {
            Line::Text(text) => Item::Message(text.into()),
            Line::Binary(bytes) => Item::Message(bytes.into()),
            Line::File(path) => Item::Message(self.file(&path)?.into()),
            Line::Ping(text) => Item::Ping(text.map(|text| text.as_bytes().to_vec())),
            Line::Close(frame) => Item::Close(frame),
            Line::Help => Item::Help,
        })
    }

    fn file(self, path: &Path) -> Result<Vec<u8>, String> {
        let problem = |error| format!("cannot read {}: {error}", path.display());
        let file = File::open(path).map_err(problem)?;
        match self.up_to_max(file).map_err(problem)? {
            Some(bytes) => Ok(bytes),
            None => Err(format!(
                "{} has more than {} bytes; --max-message allows more",
                path.display(),
                self.max
            )),
        }
    }

    fn read_whole(
        self,
        kind: MessageKind,
        input: &mut impl Read,
        batches: &Batches,
    ) -> Result<(), Gone> {
        let message = match self.up_to_max(input) {
            Err(error) => Err(cannot_read(&error)),
            Ok(None) => Err(format!(
                "standard input has more than {} bytes; --max-message allows more",
                self.max
            )),
            Ok(Some(bytes)) => match kind {
                MessageKind::Binary => Ok(Message::from(bytes)),
                MessageKind::Text => text(bytes)
                    .map(Message::from)
                    .map_err(|problem| format!("standard input: {problem}")),
            },
        };
        let item = message.map_or_else(Item::Failure, Item::Message);
        send(batches, vec![item])
    }

    /// All that `input` has, or `None` if that is more than a message may have.
    fn up_to_max(self, input: impl Read) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let limit = (self.max as u64).saturating_add(1);
        input.take(limit).read_to_end(&mut bytes)?;
        Ok((bytes.len() <= self.max).then_some(bytes))
    }

    fn too_long(self, number: u64) -> Item {
        Item::Failure(format!(
            "line {number} of standard input has more than {} bytes; --max-message allows more, --binary sends bytes \
             without regard to lines",
            self.max
        ))
    }
}

fn read_chunks(input: &mut impl Read, batches: &Batches) -> Result<(), Gone> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match read_some(input, &mut chunk) {
            Err(problem) => return send(batches, vec![Item::Failure(problem)]),
            Ok([]) => return Ok(()),
            Ok(bytes) => send(batches, vec![Item::Message(bytes.into())])?,
        }
    }
}

/// What there is to read; nothing at the end.
fn read_some<'a>(input: &mut impl Read, chunk: &'a mut [u8]) -> Result<&'a [u8], String> {
    loop {
        match input.read(chunk) {
            Ok(len) => return Ok(chunk.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot_read(&error)),
        }
    }
}

fn cannot_read(error: &io::Error) -> String {
    format!("cannot read standard input: {error}")
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| {
        "this is not UTF-8, as text messages must be; --binary sends any bytes".to_owned()
    })
}

fn send(batches: &Batches, items: Vec<Item>) -> Result<(), Gone> {
    if items.is_empty() {
        return Ok(());
    }
    batches.blocking_send(items).map_err(|_| Gone)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// What `input` says, in the order of its reading, as debugging shows it.
    fn items(source: Source, input: &[u8]) -> Vec<String> {
        let (sender, mut receiver) = mpsc::channel(64);
        let mut input = input;
        assert!(source.read(&mut input, &sender).is_ok());
        drop(sender);
        let mut items = Vec::new();
        while let Ok(batch) = receiver.try_recv() {
            items.extend(batch.into_iter().map(|item| match item {
                Item::Message(Message::Text(text)) => format!("text {}", &*text),
                Item::Message(Message::Binary(bytes)) => {
                    format!("binary {} {}", bytes.len(), bytes.escape_ascii())
                }
                Item::Failure(problem) => format!("failure: {problem}"),
                Item::Complaint(problem) => format!("complaint: {problem}"),
                Item::Ping(payload) => format!("ping {payload:?}"),
                Item::Close(frame) => format!("close {frame}"),
                Item::Help => "help".to_owned(),
            }));
        }
        items
    }

    fn source(mode: Mode, writer: Writer) -> Source {
        let max = 8;
        Source { mode, writer, max }
    }

    #[test]
    fn a_program_sends_lines_and_stops_at_a_mistake() {
        let lines = source(Mode::Lines(Commands::Sent), Writer::Program);
        assert_eq!(
            items(lines, b"a\n/ping\nb"),
            ["text a", "text /ping", "text b"]
        );
        let said = items(lines, b"a\n\xff\nb\n");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].starts_with("failure: line 2 ") && said[1].contains("--binary"));
        let said = items(lines, b"a\n123456789\nb\n");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].contains("line 2 ") && said[1].contains("--max-message"));
        let commands = source(Mode::Lines(Commands::Obeyed), Writer::Program);
        let said = items(commands, b"/ping\n/fly\n/help\n");
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].starts_with("failure: line 2 "), "{said:?}");
    }

    #[test]
    fn a_person_may_go_on_after_a_mistake() {
        let commands = source(Mode::Lines(Commands::Obeyed), Writer::Person);
        let said = items(commands, b"/fly\n/ping\n\xff\n//a\n/close\n");
        assert!(
            said[0].starts_with("complaint: there is no command"),
            "{said:?}"
        );
        assert!(
            said[2].starts_with("complaint: this is not UTF-8"),
            "{said:?}"
        );
        assert_eq!(said[1], "ping None");
        assert_eq!(said[3..], ["text /a", "close 1000"]);
    }

    #[test]
    fn bytes_are_cut_without_regard_to_lines() {
        let chunks = source(Mode::Chunks, Writer::Program);
        assert_eq!(items(chunks, b"a\n\xff"), [r"binary 3 a\n\xff"]);
        let long = vec![b'x'; CHUNK + 1];
        let lengths: Vec<String> = items(chunks, &long)
            .iter()
            .map(|item| item.split(' ').nth(1).unwrap().to_owned())
            .collect();
        assert_eq!(lengths, [CHUNK.to_string(), "1".to_owned()]);
    }

    #[test]
    fn all_of_the_input_may_be_one_message() {
        let text = source(Mode::Whole(MessageKind::Text), Writer::Program);
        assert_eq!(items(text, b"a\nb\n"), ["text a\nb\n"]);
        assert!(items(text, b"\xff")[0].starts_with("failure: standard input: "));
        assert!(items(text, b"123456789")[0].contains("--max-message"));
        let binary = source(Mode::Whole(MessageKind::Binary), Writer::Program);
        assert_eq!(items(binary, b"a\xff"), [r"binary 2 a\xff"]);
        assert_eq!(items(binary, b""), ["binary 0 "]);
    }

    #[test]
    fn a_file_is_sent_unless_it_is_too_long() {
        let path = std::env::temp_dir().join(format!("we-connect-{}", std::process::id()));
        let commands = source(Mode::Lines(Commands::Obeyed), Writer::Person);
        let line = format!("/file {}\n", path.display());
        let commands = Source {
            max: line.len(),
            ..commands
        };
        std::fs::write(&path, b"\x00\xff").unwrap();
        assert_eq!(items(commands, line.as_bytes()), [r"binary 2 \x00\xff"]);
        std::fs::write(&path, vec![0; line.len() + 1]).unwrap();
        let said = items(commands, line.as_bytes());
        assert!(said[0].contains("--max-message"), "{said:?}");
        std::fs::remove_file(&path).unwrap();
        let said = items(commands, line.as_bytes());
        assert!(said[0].starts_with("complaint: cannot read "), "{said:?}");
    }
}
