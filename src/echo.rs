//! `we echo`: a server that sends every message back.

use std::{num::NonZeroUsize, thread};

use we_net::server::echo;

use crate::{SUCCESS, cli::Echo, complain, listen};

/// Serves until Ctrl-C.
pub(crate) fn serve(options: &Echo) -> u8 {
    // This thread only waits for those that serve, and for Ctrl-C.
    let result = listen::runtime().and_then(|runtime| runtime.block_on(serve_on(options)));
    match result {
        Ok(()) => SUCCESS,
        Err(problem) => complain(problem),
    }
}

async fn serve_on(options: &Echo) -> Result<(), String> {
    let listening = &options.listening;
    let builder = listen::builder(listening, listen::acceptor(listening).build())?;
    let server = listen::bind(listening, builder).await?;
    listen::announce(&server, listening);
    listen::end_on_ctrl_c(server.handle());
    let threads = match NonZeroUsize::new(options.threads) {
        Some(threads) => threads,
        None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    // One thread too is not this one: glibc hands the memory of the main thread back to the system, and gets it again,
    // with each long message.
    server
        .serve_on_threads(threads, echo)
        .await
        .map_err(|error| format!("cannot serve on {threads} threads: {error}"))
}
