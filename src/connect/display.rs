//! How messages and notices look: pure functions from values to what is written.
//!
//! For people (on a terminal) a message has its time and its direction, and text whatever could command the terminal
//! made visible. For programs (in a pipe) it is what the server sent, a line each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use we_net::{
    Negotiated,
    handshake::WebSocketUrl,
    protocol::{Closure, ConnectionError, Message, close::NO_STATUS},
};

use super::dump::{Dump, count, dump, hex};

/// `HH:MM:SS.mmmZ`, and a space on each side of the mark that follows.
const INDENT: usize = 16;

/// How messages are printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) form: Form,
    /// Whether stdout is a terminal, which text must not command.
    pub(super) to: Target,
    /// How much of a binary message is dumped.
    pub(super) dump: Dump,
    pub(super) colours: Colours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Time, direction, dumps.
    Marked,
    /// A line each: text as it is, bytes in hexadecimal.
    Lines,
    /// The payloads and nothing else.
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Terminal,
    Program,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

/// What stands between the time and the rest of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Received,
    Sent,
    Notice,
}

/// Which end sent its Close frame first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Here,
    Server,
}

impl Mark {
    fn symbol(self) -> char {
        match self {
            Self::Received => '<',
            Self::Sent => '>',
            Self::Notice => '*',
        }
    }

    /// The parameters of the terminal's command for it.
    fn colour(self) -> &'static str {
        match self {
            Self::Received => "36",
            Self::Sent => "32",
            Self::Notice => "33",
        }
    }
}

/// A message as it is written to stdout, with the end of its last line.
pub(super) fn message(style: &Style, mark: Mark, message: &Message, time: SystemTime) -> Vec<u8> {
    match (style.form, message) {
        (Form::Marked, _) => marked(style, mark, message, time).into_bytes(),
        (Form::Lines, Message::Binary(bytes)) => (hex(bytes) + "\n").into_bytes(),
        (Form::Lines, Message::Text(text)) => {
            let mut line = Vec::with_capacity(text.len() + 1);
            line.extend_from_slice(text.as_bytes());
            line.push(b'\n');
            line
        }
        (Form::Bytes, message) => message.as_bytes().to_vec(),
    }
}

fn marked(style: &Style, mark: Mark, message: &Message, time: SystemTime) -> String {
    let mut out = head(mark, time, style.colours);
    match message {
        Message::Text(text) => {
            match style.to {
                Target::Terminal => harmless(text, &mut out),
                Target::Program => out.push_str(text),
            }
            out.push('\n');
        }
        Message::Binary(bytes) => {
            out.push_str(&format!("binary, {}\n", count(bytes.len())));
            dump(bytes, style.dump, &mut out);
        }
    }
    out
}

/// What the program itself has to say, as a line.
pub(super) fn notice(text: &str, time: SystemTime, colours: Colours) -> Vec<u8> {
    let mut out = head(Mark::Notice, time, colours);
    harmless(text, &mut out);
    out.push('\n');
    out.into_bytes()
}

/// What has gone wrong, in the form in which every command says it.
pub(super) fn complaint(problem: &str) -> Vec<u8> {
    let mut out = String::from("we: ");
    harmless(problem, &mut out);
    out.push('\n');
    out.into_bytes()
}

fn head(mark: Mark, time: SystemTime, colours: Colours) -> String {
    let (clock, symbol) = (clock(time), mark.symbol());
    match colours {
        Colours::Off => format!("{clock} {symbol} "),
        Colours::On => format!(
            "\u{1b}[2m{clock}\u{1b}[0m \u{1b}[{}m{symbol}\u{1b}[0m ",
            mark.colour()
        ),
    }
}

/// The time of day. In UTC, since the standard library knows no other; the logs of most servers have the same.
fn clock(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    format!(
        "{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}

/// Text that a stranger has sent, for a terminal: what could command it, or let text look like something else, is
/// shown and not done. Further lines are indented, so that they cannot pass for lines of this program.
fn harmless(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\n' => {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', INDENT));
            }
            '\t' => out.push('\t'),
            _ if is_harmful(character) => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
}

/// Controls (C0, DEL, C1), and what changes the direction or the lines of text. What joins emoji or letters is none.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// What was agreed on.
pub(super) fn opened(url: &WebSocketUrl, negotiated: &Negotiated) -> String {
    let mut text = format!("connected to {url}");
    if let Some(address) = negotiated.peer_addr {
        text.push_str(&format!(" at {address}"));
    }
    if let Some(subprotocol) = &negotiated.subprotocol {
        text.push_str(&format!(", subprotocol {subprotocol}"));
    }
    if !negotiated.extensions.is_empty() {
        text.push_str(&format!(", extensions {}", negotiated.extensions));
    }
    text
}

/// A closing handshake that is over: who began it, and what the server said in it.
pub(super) fn closed(by: Side, closure: &Closure) -> String {
    let who = match by {
        Side::Here => "closed by this side; the server answered",
        Side::Server => "closed by the server",
    };
    let code = match closure.code {
        NO_STATUS => "without a code".to_owned(),
        code => format!("with {code}"),
    };
    match closure.reason.as_str() {
        "" => format!("{who} {code}"),
        reason => format!("{who} {code}: {reason}"),
    }
}

/// A connection that ended in another way, and what to do.
pub(super) fn lost(error: &ConnectionError, ping: Option<Duration>) -> String {
    let advice = match error {
        ConnectionError::MessageTooBig { .. } => "--max-message BYTES allows longer ones".to_owned(),
        ConnectionError::PeerSilent => format!(
            "it said nothing for {} s: it is gone, or busy; --ping sets how long to wait",
            ping.unwrap_or_default().as_secs_f64()
        ),
        ConnectionError::UnexpectedEof | ConnectionError::Transport(_) => {
            "the server, or something on the way to it, has dropped the connection; its log may tell why".to_owned()
        }
        ConnectionError::ClosingTimeout => {
            "if a long reply was still arriving, let --linger be longer".to_owned()
        }
        _ => "--net-log FILE takes down the frames".to_owned(),
    };
    format!("the connection was lost: {error}; {advice}")
}

/// The answer to a Ping, or a Pong that answers nothing of ours.
pub(super) fn pong(payload: &[u8], after: Option<Duration>) -> String {
    let mut text = format!("pong {}", quoted(payload));
    if let Some(after) = after {
        text.push_str(&format!(" after {:.1} ms", after.as_secs_f64() * 1e3));
    }
    text
}

/// A Ping of the server's.
pub(super) fn ping(payload: &[u8]) -> String {
    format!("ping {}, answered", quoted(payload))
}

fn quoted(payload: &[u8]) -> String {
    format!("\"{}\"", payload.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Style = Style {
        form: Form::Marked,
        to: Target::Terminal,
        dump: Dump::Beginning,
        colours: Colours::Off,
    };

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn shown(style: &Style, message: impl Into<Message>) -> String {
        let bytes = super::message(style, Mark::Received, &message.into(), at(0));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn the_time_of_day_is_that_of_utc() {
        for (millis, expected) in [
            (0, "00:00:00.000Z"),
            (86_399_999, "23:59:59.999Z"),
            (86_400_001, "00:00:00.001Z"),
            (1_700_000_000_123, "22:13:20.123Z"),
        ] {
            assert_eq!(clock(at(millis)), expected);
        }
        assert_eq!(clock(UNIX_EPOCH - Duration::from_secs(1)), "00:00:00.000Z");
    }

    #[test]
    fn text_has_time_and_direction_at_a_terminal() {
        assert_eq!(shown(&TERMINAL, "hello"), "00:00:00.000Z < hello\n");
        let sent = message(&TERMINAL, Mark::Sent, &"hello".into(), at(1));
        assert_eq!(sent, b"00:00:00.001Z > hello\n");
        assert_eq!(
            shown(&TERMINAL, &b"A\0"[..]),
            "00:00:00.000Z < binary, 2 bytes\n".to_owned()
                + &format!("  00000000  {:23}  {:23}  |A.|\n", "41 00", "")
        );
        let notice = notice("connected", at(1), Colours::Off);
        assert_eq!(notice, b"00:00:00.001Z * connected\n");
    }

    #[test]
    fn colours_are_around_time_and_mark_only() {
        let style = Style {
            colours: Colours::On,
            ..TERMINAL
        };
        assert_eq!(
            shown(&style, "hello"),
            "\u{1b}[2m00:00:00.000Z\u{1b}[0m \u{1b}[36m<\u{1b}[0m hello\n"
        );
    }

    #[test]
    fn a_server_commands_no_terminal() {
        for (hostile, expected) in [
            ("\u{1b}[2J\u{7}", r"\u{1b}[2J\u{7}"),
            ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
            ("over\rwritten", r"over\rwritten"),
            ("\u{202e}txt.exe\u{2066}", r"\u{202e}txt.exe\u{2066}"),
            ("a\0b", r"a\u{0}b"),
            (
                "tab\there, ünïcode, ❤\u{fe0f}, 👩\u{200d}💻",
                "tab\there, ünïcode, ❤\u{fe0f}, 👩\u{200d}💻",
            ),
        ] {
            assert_eq!(
                shown(&TERMINAL, hostile),
                format!("00:00:00.000Z < {expected}\n"),
                "{hostile:?}"
            );
        }
        // A second line cannot pass for one of this program.
        assert_eq!(
            shown(&TERMINAL, "a\n00:00:00.000Z * closed"),
            "00:00:00.000Z < a\n                00:00:00.000Z * closed\n"
        );
        let notice = notice("closed: \u{1b}]0;x\u{7}", at(0), Colours::Off);
        assert_eq!(notice, b"00:00:00.000Z * closed: \\u{1b}]0;x\\u{7}\n");
        assert_eq!(complaint("closed: \u{1b}[2J"), b"we: closed: \\u{1b}[2J\n");
    }

    #[test]
    fn programs_get_what_was_sent() {
        let lines = Style {
            form: Form::Lines,
            to: Target::Program,
            ..TERMINAL
        };
        assert_eq!(shown(&lines, "\u{1b}[2J\r"), "\u{1b}[2J\r\n");
        assert_eq!(shown(&lines, &[0_u8, 0x1f, 0xa0, 0xff][..]), "001fa0ff\n");
        let bytes = Style {
            form: Form::Bytes,
            ..lines
        };
        assert_eq!(shown(&bytes, "no end"), "no end");
        assert_eq!(shown(&bytes, &b"\x00\x01"[..]), "\x00\x01");
        let marked = Style {
            form: Form::Marked,
            ..lines
        };
        assert_eq!(shown(&marked, "\u{1b}\nb"), "00:00:00.000Z < \u{1b}\nb\n");
    }

    #[test]
    fn an_end_says_whose_it_was() {
        let closure = |code, reason: &str| Closure {
            clean: true,
            code,
            reason: reason.to_owned(),
            error: None,
        };
        for (by, closure, expected) in [
            (
                Side::Server,
                closure(4001, "too slow"),
                "closed by the server with 4001: too slow",
            ),
            (
                Side::Server,
                closure(1005, ""),
                "closed by the server without a code",
            ),
            (
                Side::Here,
                closure(1000, ""),
                "closed by this side; the server answered with 1000",
            ),
        ] {
            assert_eq!(closed(by, &closure), expected);
        }
    }

    #[test]
    fn a_lost_connection_says_what_to_do() {
        let ping = Some(Duration::from_millis(1500));
        for (error, expected) in [
            (ConnectionError::MessageTooBig { limit: 7 }, "--max-message"),
            (ConnectionError::PeerSilent, "nothing for 1.5 s"),
            (ConnectionError::UnexpectedEof, "its log"),
            (ConnectionError::ClosingTimeout, "--linger"),
            (ConnectionError::InvalidCloseReason, "--net-log"),
        ] {
            let text = lost(&error, ping);
            assert!(
                text.contains(&error.to_string()) && text.contains(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn pings_and_pongs_show_their_payloads() {
        assert_eq!(ping(b"a\x1b"), r#"ping "a\x1b", answered"#);
        assert_eq!(
            pong(b"1", Some(Duration::from_micros(1240))),
            r#"pong "1" after 1.2 ms"#
        );
        assert_eq!(pong(b"", None), r#"pong """#);
    }
}
