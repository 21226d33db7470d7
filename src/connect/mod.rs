//! `we connect`: a person or a pipe talks to a server.
//!
//! [`source`] reads stdin and [`printer`] writes, each on a thread of its own; [`input`] understands lines, [`display`] and
//! [`dump`] say how things look. [`session`] is the conversation, on the main thread. Here is how it begins and how it ends.

mod display;
mod dump;
mod input;
mod printer;
mod session;
mod source;

use std::{
    env,
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};
use we_net::{
    client::Request,
    protocol::{CloseCode, Closure, Config, KeepAlive, Limits, MessageKind, close::NO_STATUS},
    socket::{WebSocketReceiver, WebSocketSender},
};

use crate::{FAILURE, INTERRUPTED, SUCCESS, cli::Connect, complain, say};

use self::{
    display::{Colours, Form, Style, Target},
    dump::Dump,
    printer::Printer,
    session::{End, Session},
    source::{Commands, Mode, Source, Writer},
};

/// How long a server has for the closing handshake after Ctrl-C, or when nobody reads what it sends any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long after the end of a pipe replies are waited for: longer than servers think, shorter than people do.
const LINGER: Duration = Duration::from_secs(1);

/// How long after the end of stdin to wait for something to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linger {
    For(Duration),
    Forever,
}

impl Linger {
    /// As it is written on the command line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "forever" => Ok(Self::Forever),
            "0" => Ok(Self::For(Duration::ZERO)),
            text => seconds(text).map(Self::For),
        }
    }
}

/// A time on the command line: seconds, more than none.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write seconds, as in 20 or 0.5".to_owned())
}

/// Talks until one side closes the connection. Returns the exit code.
pub(crate) fn connect(options: &Connect) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(format_args!("cannot start: {error}")),
    };
    let code = runtime.block_on(open(options)).unwrap_or_else(complain);
    // Not to wait for a name look-up that has been given up.
    runtime.shutdown_background();
    code
}

async fn open(options: &Connect) -> Result<u8, String> {
    let request = request(options)?;
    let interrupted = watch_for_ctrl_c();
    let url = request.url().clone();
    let socket = tokio::select! {
        socket = request.connect() => socket.map_err(|error| error.to_string())?,
        () = interrupted.notified() => return Ok(INTERRUPTED),
    };
    let (stdin, stdout) = (io::stdin().is_terminal(), io::stdout().is_terminal());
    let printer = Printer::start().map_err(|error| format!("cannot start: {error}"))?;
    let source = source(options, stdin);
    let input = source
        .start()
        .map_err(|error| format!("cannot start: {error}"))?;
    let session = Session::new(session::Options {
        style: style(options, stdout),
        notices: colours(io::stderr().is_terminal()),
        echo: options.echo || (stdout && !stdin),
        tell: stdout || options.verbose,
        verbose: options.verbose,
        linger: options.linger.unwrap_or(match source.writer {
            // Who presses Ctrl-D has seen enough.
            Writer::Person => Linger::For(Duration::ZERO),
            Writer::Program => Linger::For(LINGER),
        }),
        writer: source.writer,
        printer: &printer,
    });
    session
        .tell(&display::opened(&url, socket.negotiated()))
        .await;
    if stdin && stdout {
        session
            .tell("/help lists the commands, Ctrl-D closes the connection")
            .await;
    }
    let (mut sender, mut receiver) = socket.split();
    let end = tokio::select! {
        end = session.run(&mut sender, &mut receiver, input) => end,
        () = interrupted.notified() => End::Interrupted,
        kind = printer.failure() => End::OutputFailed(kind),
    };
    let code = match end {
        End::Over(closure) => {
            let code = over(options, &session, &closure).await;
            tokio::select! {
                failure = printer.finish() => match failure {
                    None | Some(io::ErrorKind::BrokenPipe) => code,
                    Some(kind) => cannot_write(kind),
                },
                () = interrupted.notified() => INTERRUPTED,
            }
        }
        End::Interrupted => {
            say("we: closing the connection; press Ctrl-C again to stop at once");
            let _ = timeout(
                PATIENCE,
                close(&mut sender, &mut receiver, CloseCode::GOING_AWAY),
            )
            .await;
            let _ = timeout(PATIENCE, printer.finish()).await;
            INTERRUPTED
        }
        End::OutputFailed(kind) => {
            let _ = timeout(
                PATIENCE,
                close(&mut sender, &mut receiver, CloseCode::NORMAL),
            )
            .await;
            let _ = timeout(PATIENCE, printer.finish()).await;
            match kind {
                // `| head` has seen enough.
                io::ErrorKind::BrokenPipe => SUCCESS,
                kind => cannot_write(kind),
            }
        }
    };
    Ok(code)
}

/// Tells of the end of the connection, once: as a notice where the user sees those, otherwise only if something is
/// wrong. Returns the exit code.
async fn over(options: &Connect, session: &Session<'_>, closure: &Closure) -> u8 {
    let problem = session.problem();
    if let Some(error) = &closure.error {
        session.fail(&display::lost(error, options.ping)).await;
    } else {
        let by = session.closed_by();
        let text = display::closed(by, closure);
        let is_good = by == display::Side::Here || is_good(closure.code);
        if session.tells() {
            session.tell(&text).await;
        } else if !is_good {
            session.fail(&text).await;
        }
        if is_good && problem.is_none() {
            return SUCCESS;
        }
    }
    if let Some(problem) = problem {
        session.fail(&problem).await;
    }
    FAILURE
}

/// Whether a server that closes with this code is content (RFC 6455 section 7.4.1).
fn is_good(code: u16) -> bool {
    code == CloseCode::NORMAL.get() || code == CloseCode::GOING_AWAY.get() || code == NO_STATUS
}

/// The closing handshake, whatever still arrives.
async fn close(sender: &mut WebSocketSender, receiver: &mut WebSocketReceiver, code: CloseCode) {
    let receive = async { while receiver.next_event().await.is_some() {} };
    tokio::join!(sender.close(Some(code.into())), receive);
}

fn cannot_write(kind: io::ErrorKind) -> u8 {
    complain(format_args!("cannot write standard output: {kind}"))
}

/// The connection that the command line describes.
fn request(options: &Connect) -> Result<Request, String> {
    let keep_alive = options.ping.map(|ping| KeepAlive {
        interval: ping,
        timeout: ping,
    });
    let config = Config {
        limits: Limits {
            max_message_size: options.max_message,
            ..Limits::default()
        },
        keep_alive,
        ..Config::default()
    };
    let client = options.network.builder()?.config(config).build();
    let url = if options.url.contains("://") {
        options.url.clone()
    } else {
        format!("ws://{}", options.url)
    };
    let request = client
        .request(url)
        .and_then(|request| request.subprotocols(options.protocol.clone()))
        .and_then(|request| match &options.origin {
            Some(origin) => request.origin(origin),
            None => Ok(request),
        });
    request.map_err(|error| error.to_string())
}

fn source(options: &Connect, stdin_is_terminal: bool) -> Source {
    let mode = match (options.one, options.binary) {
        (true, true) => Mode::Whole(MessageKind::Binary),
        (true, false) => Mode::Whole(MessageKind::Text),
        (false, true) => Mode::Chunks,
        (false, false) if stdin_is_terminal || options.commands => Mode::Lines(Commands::Obeyed),
        (false, false) => Mode::Lines(Commands::Sent),
    };
    let writer = if stdin_is_terminal {
        Writer::Person
    } else {
        Writer::Program
    };
    Source {
        mode,
        writer,
        max: options.max_message,
    }
}

fn style(options: &Connect, stdout_is_terminal: bool) -> Style {
    let form = if stdout_is_terminal || options.timestamps || options.echo {
        Form::Marked
    } else if options.binary {
        Form::Bytes
    } else {
        Form::Lines
    };
    Style {
        form,
        to: if stdout_is_terminal {
            Target::Terminal
        } else {
            Target::Program
        },
        dump: if options.full {
            Dump::Full
        } else {
            Dump::Beginning
        },
        colours: colours(stdout_is_terminal),
    }
}

/// Colours are for terminals that have some, and for people who want them (<https://no-color.org/>).
fn colours(is_terminal: bool) -> Colours {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    if is_terminal && !is_set("NO_COLOR") && !is_dumb {
        Colours::On
    } else {
        Colours::Off
    }
}

/// Tells of the first Ctrl-C. A second one does not wait.
fn watch_for_ctrl_c() -> Arc<Notify> {
    let interrupted = Arc::new(Notify::new());
    let first = Arc::clone(&interrupted);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            first.notify_one();
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED.into());
            }
        }
    });
    interrupted
}
