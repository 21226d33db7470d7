//! Where the shell's servers listen, whom they accept, and how they end.

use std::{fs, io::Write, time::Duration};

use tokio::runtime::Runtime;
use we_net::{
    Acceptor, Http2Config, Server,
    handshake::OriginPolicy,
    protocol::DeflateConfig,
    server::{AcceptorBuilder, ServerBuilder, ServerHandle},
    transport::TlsServerConfig,
};

use crate::{INTERRUPTED, cli::Listening};

/// How long open connections have for their closing handshakes after Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);

/// The runtime of the thread that waits for a server.
pub(crate) fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))
}

/// Whom a server accepts, as the operator wants it.
pub(crate) fn acceptor(options: &Listening) -> AcceptorBuilder {
    let origins = if options.origin.is_empty() {
        OriginPolicy::Any
    } else {
        OriginPolicy::AllowList(options.origin.clone())
    };
    Acceptor::builder()
        .subprotocols(options.subprotocol.clone())
        .origins(origins)
        .compression((!options.no_compression).then(DeflateConfig::default))
}

/// A server as the operator wants it.
pub(crate) fn builder(options: &Listening, acceptor: Acceptor) -> Result<ServerBuilder, String> {
    let mut builder = Server::builder()
        .acceptor(acceptor)
        .http2(options.http2.then(Http2Config::server));
    if options.tls {
        builder = builder.tls(tls(options)?);
    }
    Ok(builder)
}

/// Says where the server listens. A reader of this line may connect at once.
pub(crate) fn announce(server: &Server, options: &Listening) {
    let mut stdout = std::io::stdout();
    let at = match &options.unix_socket {
        Some(path) => path.display().to_string(),
        None => server.url(),
    };
    let _ = writeln!(stdout, "listening on {at}").and_then(|()| stdout.flush());
}

/// The first Ctrl-C, or SIGTERM, ends the connections and then the server; a second one does not wait.
pub(crate) fn end_on_ctrl_c(handle: ServerHandle) {
    tokio::spawn(async move {
        if asked_to_end().await.is_ok() {
            handle.shutdown(DRAIN);
            if asked_to_end().await.is_ok() {
                std::process::exit(INTERRUPTED.into());
            }
        }
    });
}

/// Waits for Ctrl-C, or SIGTERM.
#[cfg(unix)]
pub(crate) async fn asked_to_end() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked,
        _ = terminate.recv() => Ok(()),
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn asked_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Listens where the operator wants it.
pub(crate) async fn bind(options: &Listening, builder: ServerBuilder) -> Result<Server, String> {
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

fn tls(options: &Listening) -> Result<TlsServerConfig, String> {
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
