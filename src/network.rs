//! What the operator decides about the network, and the client that follows from it. Nothing of it can be reached from
//! a script.

use std::{fs, path::Path};

use clap::Args;
use we_net::{
    Client, Http2Config,
    client::ClientBuilder,
    cookies::MemoryJar,
    handshake::WebSocketUrl,
    protocol::DeflateConfig,
    proxy::{NoProxy, Proxies, Proxy},
    transport::{Throttle, TlsConfig},
};

use crate::net_log::NetLog;

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// Trust the certificates in this PEM file too
    #[arg(long, value_name = "FILE")]
    ca: Vec<std::path::PathBuf>,

    /// Trust the authorities of this machine instead of those that come with the shell
    #[arg(long)]
    system_roots: bool,

    /// Do not verify the certificates of servers (those of proxies still are). For tests only: anybody can listen in
    #[arg(long)]
    insecure: bool,

    /// Show servers that ask for one this certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<std::path::PathBuf>,

    /// The private key of that certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<std::path::PathBuf>,

    /// Connect through a proxy: http://[USER:PASSWORD@]HOST:PORT, https://, socks5://, socks5h:// (which looks names
    /// up by itself); `env` for those in http_proxy, https_proxy, all_proxy and no_proxy
    #[arg(long, value_name = "URL|env")]
    proxy: Option<String>,

    /// Connect to these without the proxy: names, addresses, networks, separated by commas
    #[arg(long, value_name = "LIST", requires = "proxy")]
    no_proxy: Option<String>,

    /// Connect to this Unix socket, whatever the host in the URL
    #[arg(long, value_name = "PATH", conflicts_with = "proxy")]
    unix_socket: Option<std::path::PathBuf>,

    /// Send this header to every server; may be given several times. @FILE reads headers from the lines of a file
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// Send a header to the server of this URL only; may be given several times
    #[arg(long, num_args = 2, value_names = ["URL", "NAME: VALUE"])]
    header_for: Vec<String>,

    /// Keep the cookies that servers set, for the time of the run
    #[arg(long)]
    cookies: bool,

    /// Open WebSockets over HTTP/2 where a server of wss: can do that (RFC 8441); several share a connection
    #[arg(long)]
    http2: bool,

    /// Open WebSockets over HTTP/2 at servers of ws: too, all of which must speak it
    #[arg(long)]
    http2_prior_knowledge: bool,

    /// Do not offer servers to compress messages (permessage-deflate)
    #[arg(long)]
    no_compression: bool,

    /// Let a script reconnect at once, however often its connections fail
    #[arg(long)]
    no_throttle: bool,

    /// Tell on stderr what the network does
    #[arg(long)]
    pub(crate) trace_net: bool,

    /// Write each frame to this file, a line of JSON each; `we net-log FILE` shows it. There will be secrets in it
    #[arg(long, value_name = "FILE")]
    net_log: Option<std::path::PathBuf>,
}

impl NetworkOptions {
    /// The client of the operator's choice, which otherwise does as browsers do.
    pub(crate) fn client(&self) -> Result<Client, String> {
        Ok(self.builder()?.build())
    }

    /// The same, for a command that has something to add.
    pub(crate) fn builder(&self) -> Result<ClientBuilder, String> {
        let mut builder = Client::builder();
        if !self.no_compression {
            builder = builder.compression([DeflateConfig::default()]);
        }
        if !self.no_throttle {
            builder = builder.throttle(Throttle::default());
        }
        if self.http2 || self.http2_prior_knowledge {
            builder = builder.http2(Http2Config {
                prior_knowledge: self.http2_prior_knowledge,
                ..Http2Config::default()
            });
        }
        if let Some(tls) = self.tls()? {
            builder = builder.tls(tls);
        }
        if let Some(proxies) = self.proxies()? {
            builder = builder.proxies(proxies);
        }
        if let Some(path) = &self.unix_socket {
            builder = builder.unix_socket(path);
        }
        if self.cookies {
            builder = builder.cookies(MemoryJar::new());
        }
        for header in self.headers()? {
            let (name, value) = named("--header", &header)?;
            builder = builder
                .header(name, value)
                .map_err(|error| format!("cannot use --header: {error}"))?;
        }
        for pair in self.header_for.chunks_exact(2) {
            let [url, header] = pair else { continue };
            let url = WebSocketUrl::parse(url, None)
                .map_err(|error| format!("cannot use --header-for: {error}"))?;
            let (name, value) = named("--header-for", header)?;
            builder = builder
                .header_for(&url, name, value)
                .map_err(|error| format!("cannot use --header-for: {error}"))?;
        }
        if let Some(path) = &self.net_log {
            let log = NetLog::create(path)
                .map_err(|error| format!("cannot write --net-log {}: {error}", path.display()))?;
            builder = builder.frame_log(log);
        }
        Ok(builder)
    }

    /// Whom to trust and who to be, if the operator has chosen.
    fn tls(&self) -> Result<Option<TlsConfig>, String> {
        let chosen =
            self.insecure || self.system_roots || !self.ca.is_empty() || self.client_cert.is_some();
        if !chosen {
            return Ok(None);
        }
        let mut builder = TlsConfig::builder();
        if self.insecure {
            builder = builder.dangerous_accept_any_certificate();
        }
        if self.system_roots {
            builder = builder.system_roots();
        }
        for path in &self.ca {
            builder = builder
                .extra_roots(&read("--ca", path)?)
                .map_err(|error| format!("cannot use --ca {}: {error}", path.display()))?;
        }
        if let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) {
            let (chain, key) = (read("--client-cert", chain)?, read("--client-key", key)?);
            builder = builder
                .client_certificate(&chain, &key)
                .map_err(|error| format!("cannot use --client-cert: {error}"))?;
        }
        let tls = builder.build().map_err(|error| error.to_string())?;
        Ok(Some(tls))
    }

    fn proxies(&self) -> Result<Option<Proxies>, String> {
        let proxies = match self.proxy.as_deref() {
            None => return Ok(None),
            Some("env") => Proxies::from_env().map_err(|error| error.to_string())?,
            Some(url) => {
                let proxy =
                    Proxy::parse(url).map_err(|error| format!("cannot use --proxy: {error}"))?;
                Proxies::all(proxy)
            }
        };
        Ok(Some(match &self.no_proxy {
            Some(list) => proxies.except(NoProxy::parse(list)),
            None => proxies,
        }))
    }

    /// Those of the command line and of the files that it names.
    fn headers(&self) -> Result<Vec<String>, String> {
        let mut headers = Vec::new();
        for given in &self.header {
            let Some(path) = given.strip_prefix('@') else {
                headers.push(given.clone());
                continue;
            };
            let text = fs::read_to_string(path)
                .map_err(|error| format!("cannot read --header @{path}: {error}"))?;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            headers.extend(lines.map(str::to_owned));
        }
        Ok(headers)
    }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {option} {}: {error}", path.display()))
}

/// A header's name and value. The text is not shown: it may be a secret.
fn named<'a>(option: &str, header: &'a str) -> Result<(&'a str, &'a str), String> {
    header
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or_else(|| format!("cannot use {option}: write it as 'Name: value'"))
}
