//! `we`, the shell.
fn main() {}
