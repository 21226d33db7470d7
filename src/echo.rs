//! `we echo`: a server that sends every message back.

use std::{fs, io::Write, num::NonZeroUsize, thread, time::Duration};

use we_net::{
    Acceptor, Http2Config, Server,
    handshake::OriginPolicy,
    protocol::DeflateConfig,
    server::{ServerBuilder, echo},
    transport::TlsServerConfig,
};

use crate::{INTERRUPTED, SUCCESS, cli::Echo, complain};

/// How long open connections have for their closing handshakes after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until Ctrl-C.
pub(crate) fn serve(options: &Echo) -> u8 {
    // This thread only waits for those that serve, and for Ctrl-C.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(format_args!("cannot start: {error}")),
    };
    match runtime.block_on(listen(options)) {
        Ok(()) => SUCCESS,
        Err(problem) => complain(problem),
    }
}

async fn listen(options: &Echo) -> Result<(), String> {
    let origins = if options.origin.is_empty() {
        OriginPolicy::Any
    } else {
        OriginPolicy::AllowList(options.origin.clone())
    };
    let acceptor = Acceptor::builder()
        .subprotocols(options.subprotocol.clone())
        .origins(origins)
        .compression((!options.no_compression).then(DeflateConfig::default))
        .build();
    let mut builder = Server::builder()
        .acceptor(acceptor)
        .http2(options.http2.then(Http2Config::server));
    if options.tls {
        builder = builder.tls(tls(options)?);
    }
    let server = bind(builder, options).await?;

    // A reader of this line may connect at once.
    let mut stdout = std::io::stdout();
    let at = match &options.unix_socket {
        Some(path) => path.display().to_string(),
        None => server.url(),
    };
    let _ = writeln!(stdout, "listening on {at}").and_then(|()| stdout.flush());

    let handle = server.handle();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.shutdown(DRAIN);
            // A second Ctrl-C does not wait.
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED.into());
            }
        }
    });
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

async fn bind(builder: ServerBuilder, options: &Echo) -> Result<Server, String> {
    let Some(path) = &options.unix_socket else {
        return builder.bind(options.listen).await.map_err(|error| {
            format!(
                "cannot listen at {}: {error}; choose another address with --listen",
                options.listen
            )
        });
    };
    #[cfg(unix)]
    let bound = builder.bind_unix(path).await;
    #[cfg(not(unix))]
    let bound = Err::<Server, _>(std::io::Error::from(std::io::ErrorKind::Unsupported));
    bound.map_err(|error| {
        format!(
            "cannot listen at {}: {error}; if no server uses that file any more, remove it",
            path.display()
        )
    })
}

fn tls(options: &Echo) -> Result<TlsServerConfig, String> {
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        let read = |path: &std::path::Path| {
            fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        return TlsServerConfig::from_pem(&read(cert)?, &read(key)?)
            .map_err(|error| format!("cannot use {}: {error}", cert.display()));
    }
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let listen = options.listen.ip().to_string();
    if !options.listen.ip().is_unspecified() && !names.contains(&listen) {
        names.push(listen);
    }
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| format!("cannot make a certificate: {error}"))?;
    let pem = made.cert.pem();
    if let Some(path) = &options.save_cert {
        fs::write(path, &pem)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    TlsServerConfig::from_pem(pem.as_bytes(), made.signing_key.serialize_pem().as_bytes())
        .map_err(|error| format!("cannot use the certificate that was made: {error}"))
}
