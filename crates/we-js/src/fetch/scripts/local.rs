//! Scripts from files.

use std::{fs::File, io::Read as _, path::PathBuf};

use super::{FetchError, MAX_SCRIPT};

/// Reads a regular file, on a thread for blocking work: neither a slow disk nor a network drive that does not answer holds
/// up the agent.
pub(in crate::fetch) async fn read(path: PathBuf) -> Result<Vec<u8>, FetchError> {
    let shown = path.clone();
    let read = tokio::task::spawn_blocking(move || read_now(path));
    read.await.unwrap_or_else(|error| {
        Err(FetchError::Read {
            path: shown,
            source: error.into(),
        })
    })
}

fn read_now(path: PathBuf) -> Result<Vec<u8>, FetchError> {
    let opened = (|| {
        // Before it is opened: to open a pipe waits for somebody who writes to it, to open a device may do anything.
        if !path.metadata()?.is_file() {
            return Ok(None);
        }
        let file = File::open(&path)?;
        // It may have become another one meanwhile.
        let found = file.metadata()?;
        Ok(found.is_file().then_some((file, found.len())))
    })();
    let file = match opened {
        // What is declared too long need not be read.
        Ok(Some((_, length))) if length > MAX_SCRIPT as u64 => {
            return Err(FetchError::LargeFile(path));
        }
        Ok(Some((file, _))) => file,
        Ok(None) => return Err(FetchError::NoRegularFile(path)),
        Err(source) => return Err(FetchError::Read { path, source }),
    };
    let mut bytes = Vec::new();
    // One byte more tells whether that was all.
    match file.take(MAX_SCRIPT as u64 + 1).read_to_end(&mut bytes) {
        Ok(length) if length > MAX_SCRIPT => Err(FetchError::LargeFile(path)),
        Ok(_) => Ok(bytes),
        Err(source) => Err(FetchError::Read { path, source }),
    }
}
