//! `we serve --watch`: a server that is started again when a file of the application changes.
//!
//! The files are those of JavaScript, JSON and WebAssembly in the folder of the application and below, without `node_modules` and what begins with
//! a dot. They are looked at, not waited for: that works on every file system.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::{SUCCESS, cli::Serve, complain, listen, say};

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(200);

/// How many files are looked at.
const MAX_FILES: usize = 10_000;

/// What tells one state of the files from another.
type Files = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Serves until Ctrl-C, or SIGTERM.
pub(super) fn run(options: &Serve) -> u8 {
    match listen::runtime().and_then(|runtime| runtime.block_on(watch(options))) {
        Ok(code) => code,
        Err(problem) => complain(problem),
    }
}

/// The server that runs, which ends with this.
struct Server(Child);

impl Server {
    fn start() -> Result<Self, String> {
        let mut arguments = std::env::args_os().skip(1);
        Command::new("/proc/self/exe")
            .args(arguments.next())
            .arg("--watched")
            .args(arguments)
            // Ctrl-C is for this process, which passes it on.
            .process_group(0)
            .spawn()
            .map(Self)
            .map_err(|error| format!("cannot start the server: {error}"))
    }

    fn ask_to_end(&self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It has not been waited for, so the number is still its own.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn watch(options: &Serve) -> Result<u8, String> {
    let folder = match options.file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut files = look(folder);
    let mut server = Some(Server::start()?);
    let mut is_to_end = false;
    let mut is_to_restart = false;
    // Listened to without a gap.
    let mut asked = Box::pin(listen::asked_to_end());
    loop {
        tokio::select! {
            result = asked.as_mut() => {
                asked = Box::pin(listen::asked_to_end());
                result.map_err(|error| format!("cannot watch for signals: {error}"))?;
                is_to_end = true;
                match &server {
                    // The second time, it does not wait either.
                    Some(server) => server.ask_to_end(),
                    None => return Ok(SUCCESS),
                }
            }
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Some(running) = &mut server {
            let ended = running.has_ended().map_err(|error| error.to_string())?;
            if let Some(status) = ended {
                server = None;
                if is_to_end {
                    return Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
                }
                if !is_to_restart {
                    say("we: waiting for a change");
                }
            }
        }
        let now = look(folder);
        if now != files && !is_to_end {
            let changed = now
                .iter()
                .find(|(path, state)| files.get(*path) != Some(*state));
            let changed = changed.map_or(folder, |(path, _)| path);
            say(format_args!(
                "we: {} has changed; starting again",
                changed.display()
            ));
            files = now;
            is_to_restart = true;
            if let Some(server) = &server {
                server.ask_to_end();
            }
        }
        if is_to_restart && server.is_none() {
            is_to_restart = false;
            server = Some(Server::start()?);
        }
    }
}

/// The state of the files of an application.
fn look(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // What cannot be read is as if it were not there.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_left_out = name == "node_modules" || name.as_encoded_bytes().starts_with(b".");
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if is_left_out || files.len() == MAX_FILES {
                continue;
            }
            if metadata.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(is_of_interest) {
                files.insert(path, (metadata.modified().ok(), metadata.len()));
            }
        }
    }
    files
}

fn is_of_interest(extension: &OsStr) -> bool {
    ["js", "mjs", "json", "wasm"]
        .iter()
        .any(|known| extension == *known)
}
