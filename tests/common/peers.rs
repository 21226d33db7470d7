//! Peers that nobody here wrote: programs of fixtures/peers under Node.js.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A program of fixtures/peers under Node.js, or `None` if there is nothing to run it with.
pub fn peer(name: &str, args: &[&str]) -> Option<Child> {
    let Some(folder) = std::env::var_os("WE_PEERS").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "CI must set WE_PEERS");
        eprintln!("skipped: WE_PEERS is not set (a folder in which `npm install ws` has run)");
        return None;
    };
    let program: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "peers", name]
        .iter()
        .collect();
    let child = Command::new("node")
        .arg(program)
        .args(args)
        .env("NODE_PATH", folder.join("node_modules"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Some(child)
}

/// A child that does not outlive the test.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
