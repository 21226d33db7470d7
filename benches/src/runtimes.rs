//! What JavaScript is measured in: the shell, and beside it the runtimes that are installed.

use std::env;
use std::path::{Path, PathBuf};

/// A program, and what it is told before the script.
#[derive(Debug)]
pub struct Runtime {
    pub name: &'static str,
    pub program: PathBuf,
    pub args: &'static [&'static str],
}

/// The name of a runtime and its arguments.
pub type Named = (&'static str, &'static [&'static str]);

/// The shell, which is `WE` or the one in `../target/release`; then those of `peers` that are found: by the variable `BENCH_` with
/// the name in capitals, or on the PATH.
pub fn find(we: &'static [&'static str], peers: &[Named]) -> Vec<Runtime> {
    let named = env::var_os("WE").filter(|path| !path.is_empty());
    let program = named.map_or_else(|| in_benches("../target/release/we"), PathBuf::from);
    let mut runtimes = vec![Runtime {
        name: "we",
        program,
        args: we,
    }];
    for &(name, args) in peers {
        let variable = format!("BENCH_{}", name.to_uppercase());
        let named = env::var_os(variable).map(PathBuf::from);
        if let Some(program) = named.or_else(|| on_path(name)) {
            runtimes.push(Runtime {
                name,
                program,
                args,
            });
        }
    }
    runtimes
}

/// A file of this crate's folder.
pub fn in_benches(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
