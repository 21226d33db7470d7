//! The log of frames: lines of JSON out (`we run --net-log FILE`), and a table for people from them (`we net-log FILE`).
//!
//! Each line has `time` (seconds since 1970), `socket` (a number) and `event`:
//!
//! - `open`: `url`, `peer`, `subprotocol`, `extensions`
//! - `frame`: `dir` (`in` or `out`), `opcode`, `fin`, `compressed`, `size` (of the payload on the wire), and the
//!   beginning of the payload: `text` of text that is not compressed, `code` and `reason` of a Close frame, otherwise `hex`
//! - `close`: `clean`, `code`, `reason`, `error`; `event` is `drop` where the shell has dropped the connection

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use we_net::{
    observe::{ConnectionInfo, Direction, FrameLog, FrameRecord},
    protocol::{Closure, OpCode},
};

use crate::{FAILURE, SUCCESS, complain};

/// How much of a payload the table shows, in characters.
const SHOWN: usize = 72;

/// Writes the file.
pub(crate) struct NetLog {
    file: Mutex<File>,
}

impl NetLog {
    /// Begins the file anew, readable for this user only: it will hold what is said on the connections.
    ///
    /// # Errors
    /// If what is there already is no regular file of this user: somebody else might read or get what is written.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = match fs::symlink_metadata(path) {
            Ok(found) => reopen(path, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut options = OpenOptions::new();
                // Fails on whatever somebody has put there in the meantime, a link too.
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                options.open(path)?
            }
            Err(error) => return Err(error),
        };
        let file = Mutex::new(file);
        Ok(Self { file })
    }

    fn write(&self, socket: u64, event: &str, fields: Value) {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut line = Map::new();
        // Microseconds are as much as the type holds.
        let seconds = (time.as_secs_f64() * 1e6).round() / 1e6;
        line.insert("time".into(), json!(seconds));
        line.insert("socket".into(), json!(socket));
        line.insert("event".into(), json!(event));
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let line = format!("{}\n", Value::Object(line));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!("cannot write the log of frames: {error}");
        }
    }
}

/// Opens the file that has been `found` at `path`, and empties it.
fn reopen(path: &Path, found: &Metadata) -> io::Result<File> {
    if !found.file_type().is_file() {
        return Err(io::Error::other(
            "what is there is no regular file; name another one",
        ));
    }
    // Not emptied before it is known to be the right one.
    let file = OpenOptions::new().write(true).open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let opened = file.metadata()?;
        if (opened.dev(), opened.ino()) != (found.dev(), found.ino()) {
            return Err(io::Error::other("it has just been replaced; try again"));
        }
        check_owner(opened.uid(), own_id())?;
        // Only its owner may do that (or root), so it is a check as well.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    file.set_len(0)?;
    Ok(file)
}

/// The user that this process runs as, where the system shows it in its files.
#[cfg(unix)]
fn own_id() -> Option<u32> {
    let own = fs::metadata("/proc/self").ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&own))
}

#[cfg(unix)]
fn check_owner(owner: u32, own: Option<u32>) -> io::Result<()> {
    if own.is_some_and(|own| own != owner) {
        return Err(io::Error::other(
            "the file belongs to somebody else; name another one",
        ));
    }
    Ok(())
}

impl FrameLog for NetLog {
    fn opened(&self, connection: &ConnectionInfo<'_>) {
        let fields = json!({
            "url": connection.target,
            "peer": connection.peer_addr.map(|address| address.to_string()),
            "subprotocol": connection.subprotocol,
            "extensions": connection.extensions,
        });
        self.write(connection.id, "open", fields);
    }

    fn frame(&self, connection: u64, frame: &FrameRecord<'_>) {
        let compressed = !frame.rsv.is_none();
        let mut fields = json!({
            "dir": match frame.direction {
                Direction::In => "in",
                Direction::Out => "out",
            },
            "opcode": frame.opcode.to_string().to_lowercase(),
            "fin": frame.fin,
            "compressed": compressed,
            "size": frame.payload_len,
        });
        let payload = match (frame.opcode, frame.payload) {
            (OpCode::Close, [high, low, reason @ ..]) => json!({
                "code": u16::from_be_bytes([*high, *low]),
                "reason": String::from_utf8_lossy(reason),
            }),
            (OpCode::Text, bytes) if !compressed => match valid_start(bytes) {
                Some(text) => json!({ "text": text }),
                None => json!({ "hex": hex(bytes) }),
            },
            (_, bytes) => json!({ "hex": hex(bytes) }),
        };
        if let (Value::Object(fields), Value::Object(payload)) = (&mut fields, payload) {
            fields.extend(payload);
        }
        self.write(connection, "frame", fields);
    }

    fn closed(&self, connection: u64, closure: Option<&Closure>) {
        match closure {
            Some(closure) => {
                let fields = json!({
                    "clean": closure.clean,
                    "code": closure.code,
                    "reason": closure.reason,
                    "error": closure.error.as_ref().map(ToString::to_string),
                });
                self.write(connection, "close", fields);
            }
            None => self.write(connection, "drop", json!({})),
        }
    }
}

/// Text whose last character may be cut off.
fn valid_start(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `we net-log`
pub(crate) fn show(path: &Path) -> u8 {
    let input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        match File::open(path) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => {
                return complain(format_args!("cannot read {}: {error}", path.display()));
            }
        }
    };
    let mut output = io::stdout().lock();
    match table(input, &mut output) {
        Ok(()) => SUCCESS,
        Err(Unreadable::Output) => FAILURE,
        Err(Unreadable::Input(problem)) => complain(problem),
    }
}

/// Why a table is not complete.
#[derive(Debug)]
enum Unreadable {
    /// Nobody reads it any more.
    Output,
    Input(String),
}

/// Writes what `input` has as a table. A line that is none of a log is complained of at the end.
fn table(input: impl BufRead, output: &mut impl Write) -> Result<(), Unreadable> {
    let mut start = None;
    let mut bad = None;
    let head = format!(
        "{:>12}  {:>6}  {:3}  {:12}  {:>9}  payload",
        "seconds", "socket", "", "", "size"
    );
    writeln!(output, "{head}").map_err(|_| Unreadable::Output)?;
    for (number, line) in input.split(b'\n').enumerate() {
        let line = line.map_err(|error| Unreadable::Input(format!("cannot read on: {error}")))?;
        if line.is_empty() {
            continue;
        }
        let parsed = serde_json::from_slice(&line).ok();
        let Some(row) = parsed.as_ref().and_then(|value| row(value, &mut start)) else {
            bad.get_or_insert(number + 1);
            continue;
        };
        writeln!(output, "{}", row.trim_end()).map_err(|_| Unreadable::Output)?;
    }
    match bad {
        None => Ok(()),
        Some(line) => Err(Unreadable::Input(format!(
            "line {line} is not of a file that --net-log has written; it and others like it are left out"
        ))),
    }
}

fn row(line: &Value, start: &mut Option<f64>) -> Option<String> {
    let time = line["time"].as_f64()?;
    let since = time - *start.get_or_insert(time);
    let socket = line["socket"].as_u64()?;
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let (arrow, what, size, detail) = match line["event"].as_str()? {
        "open" => {
            let mut detail = text("url");
            for (label, value) in [
                ("at", text("peer")),
                ("speaking", text("subprotocol")),
                ("with", text("extensions")),
            ] {
                if !value.is_empty() {
                    detail.push_str(&format!(", {label} {value}"));
                }
            }
            ("", "open".to_owned(), String::new(), detail)
        }
        "frame" => {
            let arrow = match line["dir"].as_str()? {
                "in" => "<--",
                _ => "-->",
            };
            let mut what = text("opcode");
            if line["compressed"] == true {
                what.push_str(" z");
            }
            if line["fin"] == false {
                what.push_str(" …");
            }
            let detail = match (&line["code"], &line["text"]) {
                (Value::Number(code), _) => format!("{code} {}", text("reason")),
                (_, Value::String(text)) => text.clone(),
                _ => text("hex"),
            };
            (arrow, what, line["size"].as_u64()?.to_string(), detail)
        }
        "close" => {
            let how = if line["clean"] == true {
                "closed"
            } else {
                "lost"
            };
            let detail = format!("{} {} {}", line["code"], text("reason"), text("error"));
            ("", how.to_owned(), String::new(), detail)
        }
        "drop" => ("", "dropped".to_owned(), String::new(), String::new()),
        _ => return None,
    };
    Some(format!(
        "{since:>12.6}  {socket:>6}  {arrow:3}  {:12}  {size:>9}  {}",
        shown(&what, 12),
        shown(&detail, SHOWN)
    ))
}

/// Text for a terminal: cut, and without what could command it.
fn shown(text: &str, len: usize) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == len {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown_table(input: &str) -> (String, Result<(), Unreadable>) {
        let mut output = Vec::new();
        let result = table(input.as_bytes(), &mut output);
        (String::from_utf8(output).unwrap(), result)
    }

    #[cfg(unix)]
    #[test]
    fn only_a_regular_file_of_this_user_is_written() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
        let folder = std::env::temp_dir().join(format!("we-net-log-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = folder.join("new");
        NetLog::create(&new).unwrap();
        assert_eq!(mode(&new), 0o600);
        let old = folder.join("old");
        fs::write(&old, "old").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
        for (name, target) in [("link", &*old), ("dangling", Path::new("nothing"))] {
            let link = folder.join(name);
            symlink(target, &link).unwrap();
            assert!(NetLog::create(&link).is_err(), "{name}");
        }
        assert!(NetLog::create(&folder).is_err());
        assert!(!folder.join("nothing").exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        NetLog::create(&old).unwrap();
        assert_eq!(
            (fs::read_to_string(&old).unwrap().as_str(), mode(&old)),
            ("", 0o600)
        );
        let own = fs::metadata(&old).unwrap().uid();
        assert!(own_id().is_none_or(|id| id == own));
        assert!(check_owner(own, Some(own + 1)).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_log_becomes_a_table() {
        let (table, result) = shown_table(
            r#"{"time":100.5,"socket":1,"event":"open","url":"ws://h/","peer":"1.2.3.4:80","extensions":""}
{"time":100.75,"socket":1,"event":"frame","dir":"out","opcode":"text","fin":true,"compressed":false,"size":5,"text":"hello"}
{"time":101,"socket":1,"event":"frame","dir":"in","opcode":"binary","fin":false,"compressed":true,"size":70000,"hex":"00ff"}
{"time":102,"socket":1,"event":"frame","dir":"in","opcode":"close","fin":true,"compressed":false,"size":5,"code":1000,"reason":"bye"}
{"time":102,"socket":1,"event":"close","clean":true,"code":1000,"reason":"bye","error":null}
"#,
        );
        result.unwrap();
        let expected = "     seconds  socket                          size  payload
    0.000000       1       open                     ws://h/, at 1.2.3.4:80
    0.250000       1  -->  text                  5  hello
    0.500000       1  <--  binary z …        70000  00ff
    1.500000       1  <--  close                 5  1000 bye
    1.500000       1       closed                   1000 bye
";
        assert_eq!(table, expected);
    }

    #[test]
    fn what_a_peer_sends_commands_no_terminal() {
        let line = json!({"time": 1, "socket": 1, "event": "frame", "dir": "in", "opcode": "text",
            "size": 1, "text": format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(200))});
        let (table, result) = shown_table(&line.to_string());
        result.unwrap();
        assert_eq!(table.lines().count(), 2);
        assert!(
            table.contains(r"\u{1b}[2J") && table.ends_with("x…\n"),
            "{table:?}"
        );
        assert!(!table.contains('\u{202e}'), "{table:?}");
    }

    #[test]
    fn lines_that_are_none_are_left_out_and_complained_of() {
        let (table, result) = shown_table("nonsense\n{\"time\":1}\n[]\n\n");
        assert_eq!(table.lines().count(), 1);
        match result {
            Err(Unreadable::Input(problem)) => assert!(problem.contains("line 1 "), "{problem}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_may_be_cut_within_a_character() {
        assert_eq!(valid_start("aä".as_bytes()), Some("aä"));
        assert_eq!(valid_start(b"a\xc3"), Some("a"));
        assert_eq!(valid_start(b"a\xff"), None);
    }
}
