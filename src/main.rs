//! `we`: a shell for scripts that speak WebSocket.
//!
//! The command line ([`cli`]) and what each command does: [`script`] runs JavaScript, [`connect`] lets a person or a pipe
//! talk to a server, [`echo`] and `serve` are servers, for which [`listen`] says where; [`network`] is what the operator
//! decides about the network, [`allocator`] what the program decides about memory, [`log`] and [`net_log`] are what he sees
//! of it. Nothing here is of use to a library; that is in `we-js` and `we-net`.

mod allocator;
mod cli;
mod connect;
mod echo;
mod listen;
mod log;
mod net_log;
mod network;
mod script;
#[cfg(target_os = "linux")]
mod serve;

use std::{io::Write, process::ExitCode};

use clap::Parser;

use cli::{Cli, Command};

/// The command ended well.
const SUCCESS: u8 = 0;
/// A script left an error uncaught, or the command failed. (A wrong command line is 2: clap's own exit code.)
const FAILURE: u8 = 1;
/// The user pressed Ctrl-C: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: serve::process::LastWords = serve::process::LastWords;

fn main() -> ExitCode {
    allocator::tune();
    let cli = Cli::parse();
    let traces_net = match &cli.command {
        Command::Run(run) => run.script.network.trace_net,
        Command::Eval(eval) => eval.script.network.trace_net,
        Command::Serve(serve) => serve.trace_net,
        Command::Connect(connect) => connect.network.trace_net,
        Command::Echo(_) | Command::NetLog(_) => false,
    };
    log::start(traces_net);
    let code = match cli.command {
        Command::Run(run) => script::run(run),
        Command::Eval(eval) => script::eval(eval),
        Command::Connect(options) => connect::connect(&options),
        Command::Echo(options) => echo::serve(&options),
        #[cfg(target_os = "linux")]
        Command::Serve(options) => serve::run(options),
        #[cfg(not(target_os = "linux"))]
        Command::Serve(_) => {
            complain("serve works on Linux only: it forks a process for each connection")
        }
        Command::NetLog(options) => net_log::show(&options.file),
    };
    ExitCode::from(code)
}

/// Writes to stderr. Where that cannot be written to there is nobody to tell.
fn say(line: impl std::fmt::Display) {
    // In one piece, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// One line on stderr, in the form that all problems of a user's making have.
fn complain(problem: impl std::fmt::Display) -> u8 {
    say(format_args!("we: {problem}"));
    FAILURE
}
