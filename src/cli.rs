//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::{
    connect::{Linger, seconds},
    network::NetworkOptions,
};

/// What `we connect --help` ends with.
const CONNECT_HELP: &str = "\
At a terminal each line is sent as a text message. Lines that begin with / are commands (/help lists them); // sends a \
line that begins with /. Times are UTC. Ctrl-D closes the connection.

In a pipe each line is a message too, and messages are printed as they are, a line each; binary ones in hexadecimal. \
After the end of the input the program waits for replies, until nothing has arrived for a second (--linger).

Exit code: 0 if the connection was closed with 1000, 1001 or no code, or by this side; 1 if there was none, or it was \
lost, or closed with another code; 130 after Ctrl-C.";

/// Runs scripts that speak WebSocket, and serves them.
#[derive(Debug, Parser)]
#[command(
    name = "we",
    version,
    about,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a script until it has nothing left to do
    Run(Run),
    /// Run the code given on the command line
    Eval(Eval),
    /// Talk to a server: what is typed or piped in is sent, what arrives is printed
    Connect(Connect),
    /// Serve WebSockets that send every message back
    Echo(Echo),
    /// Serve WebSockets with an application in JavaScript, an instance of its own for each
    Serve(Serve),
    /// Show a file that `--net-log` has written
    NetLog(ShowLog),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) script: ScriptOptions,

    /// Take FILE for a module. A name that ends in .mjs is one without this
    #[arg(long)]
    pub(crate) module: bool,

    /// The script; `-` reads it from standard input
    pub(crate) file: OsString,

    /// What the script finds in `scriptArgs`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    #[command(flatten)]
    pub(crate) script: ScriptOptions,

    /// Take CODE for a module: `import` and top-level `await` work
    #[arg(long)]
    pub(crate) module: bool,

    /// The JavaScript to run
    pub(crate) code: String,

    /// What the script finds in `scriptArgs`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

/// What the operator decides about a script. None of it can be reached from the script.
#[derive(Debug, Args)]
pub(crate) struct ScriptOptions {
    /// The URL that the script believes it came from: relative URLs are resolved against it, and its origin is
    /// sent as `Origin`
    #[arg(long, value_name = "URL")]
    pub(crate) location: Option<Url>,

    /// Give the script a function gc() that collects garbage
    #[arg(long)]
    pub(crate) expose_gc: bool,

    #[command(flatten)]
    pub(crate) network: NetworkOptions,
}

#[derive(Debug, Args)]
#[command(after_long_help = CONNECT_HELP)]
pub(crate) struct Connect {
    /// Where to: ws://HOST/PATH or wss://HOST/PATH; without a scheme it is ws:
    pub(crate) url: String,

    /// Ask for this subprotocol, the preferred one first; may be given several times
    #[arg(
        long,
        visible_alias = "subprotocol",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) protocol: Vec<String>,

    /// Send this as `Origin`, as a page of that origin would
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,

    /// Ping a server that has said nothing for so long, and give it up if it says nothing for as long again
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) ping: Option<Duration>,

    /// The longest message to receive or to send
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub(crate) max_message: usize,

    /// Standard input is bytes and not lines: send what is read in binary messages of up to 64 KiB. Where stdout is no
    /// terminal, what arrives is written there as bytes too, with nothing between the messages
    #[arg(long)]
    pub(crate) binary: bool,

    /// Send all of standard input as one message
    #[arg(long)]
    pub(crate) one: bool,

    /// Take lines that begin with / for commands although stdin is no terminal
    #[arg(long, conflicts_with_all = ["binary", "one"])]
    pub(crate) commands: bool,

    /// How long nothing may arrive, after the end of standard input, before the connection is closed; `forever` leaves
    /// that to the server. [default: 1, at a terminal 0]
    #[arg(long, value_name = "SECONDS|forever", value_parser = Linger::parse)]
    pub(crate) linger: Option<Linger>,

    /// Print what is sent too, with time and direction as at a terminal
    #[arg(long)]
    pub(crate) echo: bool,

    /// Print time and direction although stdout is no terminal
    #[arg(long)]
    pub(crate) timestamps: bool,

    /// Tell of pings and pongs, and of the connection's beginning and end although stdout is no terminal
    #[arg(long, short, visible_alias = "show-pings")]
    pub(crate) verbose: bool,

    /// Print binary messages as a whole, however long
    #[arg(long)]
    pub(crate) full: bool,

    #[command(flatten)]
    pub(crate) network: NetworkOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Echo {
    #[command(flatten)]
    pub(crate) listening: Listening,

    /// Serve on N threads, each with connections of its own; 0 takes as many as there are processors
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) listening: Listening,

    /// How much memory an instance of the application may take, in MiB, beside its stack
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(16..=1 << 20))]
    pub(crate) max_memory_mb: u64,

    /// How long an instance may compute without a pause, in milliseconds of the processor's time
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub(crate) max_busy_ms: u64,

    /// How many instances wait for a connection, evaluated and ready
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) spare: u16,

    /// How many connections there may be at a time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,

    /// FILE serves rooms, at /ws/ROOM: its default export is room({ init, connect, message, disconnect, timer }), or it is a
    /// WebAssembly module
    #[arg(long)]
    pub(crate) rooms: bool,

    #[command(flatten)]
    pub(crate) room_options: RoomOptions,

    /// Serve the files of this folder, where the application does not answer
    #[arg(long = "static", value_name = "FOLDER")]
    pub(crate) static_files: Option<PathBuf>,

    /// The longest message that a client may send, in KiB; a client that sends a longer one is closed with 1009. [default: 16384,
    /// where there are rooms 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) max_message_kb: Option<u32>,

    /// Ping a client that has said nothing for so long, and give it up if it says nothing for as long again
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) ping: Duration,

    /// Ping no clients: those that have gone without a word are kept
    #[arg(long, conflicts_with = "ping")]
    pub(crate) no_ping: bool,

    /// Who may see the status page at / (where the application answers no requests itself). Behind a proxy on this machine choose `off`: not
    /// every proxy says for whom it asks. `/status` says `ok` to everyone
    #[arg(long, value_name = "WHO", value_enum, default_value_t)]
    pub(crate) status_page: StatusPage,

    /// Tell on stderr what happens in the network
    #[arg(long)]
    pub(crate) trace_net: bool,

    /// Start again when a JavaScript, JSON or WebAssembly file in the folder of FILE changes; clients are closed with 1001
    #[arg(long)]
    pub(crate) watch: bool,

    /// This process is started by one that watches
    #[arg(long, hide = true)]
    pub(crate) watched: bool,

    /// This process is the one that instances are forked from
    #[arg(long, hide = true)]
    pub(crate) template: bool,

    /// The application: a module whose default export is websocket({ open, message, close }) of "we:serve", or sse(), room(), routes(). Or a
    /// WebAssembly module (.wasm) that serves rooms
    pub(crate) file: PathBuf,
}

/// How rooms are kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rooms")]
pub(crate) struct RoomOptions {
    /// Share rooms with other servers through this broker, a server that speaks the protocol of Redis
    #[arg(long, value_name = "redis://HOST:PORT")]
    pub(crate) cluster: Option<String>,

    /// What the names of the broker's channels and keys begin with: servers with the same share their rooms
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "we",
        requires = "cluster"
    )]
    pub(crate) cluster_prefix: String,

    /// How many rooms there may be at a time; who would need another one when none is empty is closed with 1013
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_rooms: u32,

    /// How long a room is kept when it is empty and its place is not needed
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) grace: Duration,

    /// How much may wait for a client that does not read, in KiB
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub(crate) max_queue_kb: u32,

    /// What becomes of a client for which more waits: its connection is closed (1008), or it is not sent what it does not take
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(crate) slow_clients: SlowClients,

    /// What becomes of the clients of a room whose service has failed: they are closed (1011), or stay with a fresh service
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    pub(crate) on_failure: OnFailure,
}

/// What becomes of a slow client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowClients {
    #[default]
    Close,
    Skip,
}

/// What becomes of the clients of a service that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    #[default]
    Close,
    Keep,
}

/// Who may see the status page of `we serve`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusPage {
    /// Who is on this machine, if the server listens on a loopback address
    #[default]
    Local,
    /// Everyone who can connect: it shows names of rooms, and numbers
    On,
    /// Nobody
    Off,
}

/// Where a server listens, and whom it accepts.
#[derive(Debug, Args)]
pub(crate) struct Listening {
    /// The address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9001")]
    pub(crate) listen: SocketAddr,

    /// Listen at a Unix socket instead, for `we run --unix-socket PATH`
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    pub(crate) unix_socket: Option<PathBuf>,

    /// Serve wss: with a certificate for localhost made for this run, or with --cert and --key
    #[arg(long)]
    pub(crate) tls: bool,

    /// The certificate chain, a PEM file
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    pub(crate) cert: Option<PathBuf>,

    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE", requires_all = ["tls", "cert"])]
    pub(crate) key: Option<PathBuf>,

    /// Write the certificate that was made to this file, for `we run --ca FILE`
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with = "cert")]
    pub(crate) save_cert: Option<PathBuf>,

    /// A subprotocol that the server speaks; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) subprotocol: Vec<String>,

    /// Accept web pages of this origin only; may be given several times. Without it all are accepted
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,

    /// Do not compress messages (permessage-deflate), whatever clients offer
    #[arg(long)]
    pub(crate) no_compression: bool,

    /// Speak HTTP/2 too (RFC 8441): with --tls to clients that choose it, otherwise to those that begin with it
    #[arg(long)]
    pub(crate) http2: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowLog {
    /// The file; `-` reads standard input
    pub(crate) file: PathBuf,
}
