//! TLS of both roles by rustls: which authorities are trusted, and the one switch that trusts
//! everybody.
//!
//! The cryptography is *ring*, named explicitly: whatever the embedding program has made the
//! default of its process, connections here behave the same. ALPN offers `http/1.1`, the protocol
//! that the opening handshake speaks, and where [HTTP/2](crate::http2) is on `h2` before it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

/// <https://www.iana.org/assignments/tls-extensiontype-values/tls-extensiontype-values.xhtml#alpn-protocol-ids>
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";
/// <https://www.rfc-editor.org/rfc/rfc9113#section-3.2>
pub(crate) const ALPN_HTTP_2: &[u8] = b"h2";

/// Whom a client trusts. Cheap to clone; clones share their session tickets.
#[derive(Clone)]
pub struct TlsConfig {
    config: Arc<ClientConfig>,
    /// The same without our certificate.
    anonymous: Arc<ClientConfig>,
    /// For proxies: without our certificate, and they must be trusted in any case.
    for_proxies: Arc<ClientConfig>,
    trust: Trust,
}

/// Puts a [`TlsConfig`] together.
///
/// ```
/// # fn example(authority: &[u8], chain: &[u8], key: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use we_net::transport::TlsConfig;
///
/// let tls = TlsConfig::builder()
///     .system_roots()
///     .extra_roots(authority)?
///     .client_certificate(chain, key)?
///     .build()?;
/// let client = we_net::Client::builder().tls(tls).build();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct TlsConfigBuilder {
    /// Instead of those that come with this library.
    system_roots: bool,
    extra_roots: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
    accept_any: bool,
}

/// A certificate chain with its private key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// How a server proves who it is. Cheap to clone.
#[derive(Clone)]
pub struct TlsServerConfig {
    config: Arc<ServerConfig>,
}

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The text is not PEM.
    #[error(
        "cannot read the PEM text: {0}; it must have lines such as -----BEGIN CERTIFICATE-----"
    )]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// There is no certificate in it.
    #[error(
        "there is no certificate in the PEM text; it must have a line -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate,
    /// A certificate or key is malformed, or they do not belong together.
    #[error("the certificate or key cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authorities for the certificates of clients cannot be used.
    #[error("the authorities for client certificates cannot be used: {0}")]
    ClientAuthorities(#[from] VerifierBuilderError),
    /// This machine has no authorities that it trusts, or they cannot be read.
    #[error(
        "this machine has no certificates of authorities ({0}); install them (package ca-certificates, say), or do without the system's roots"
    )]
    NoSystemRoots(String),
}

/// What a client checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Roots,
    Anyone,
}

impl TlsConfig {
    /// Trusts the authorities that Mozilla's browser trusts (the `webpki-roots` crate).
    pub fn new() -> Result<Self, TlsConfigError> {
        static SHARED: OnceLock<TlsConfig> = OnceLock::new();
        if let Some(config) = SHARED.get() {
            return Ok(config.clone());
        }
        let config = Self::builder().build()?;
        Ok(SHARED.get_or_init(|| config).clone())
    }

    /// Starts from what [`new`](Self::new) gives.
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder::default()
    }

    /// Trusts also the certificates in `pem`: an organisation's own authority, or a test's.
    pub fn with_extra_roots(pem: &[u8]) -> Result<Self, TlsConfigError> {
        Self::builder().extra_roots(pem)?.build()
    }

    /// Trusts whoever answers: no certificate is checked, and anyone on the way can read and change
    /// everything. For experiments on one's own machine. Never to be reached from a script.
    pub fn dangerous_accept_any_certificate() -> Result<Self, TlsConfigError> {
        Self::builder().dangerous_accept_any_certificate().build()
    }

    /// For handing to `tokio-rustls`.
    pub(crate) fn rustls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The same for a server that is not to know who we are.
    pub(crate) fn rustls_anonymous(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.anonymous)
    }

    /// The same for a proxy.
    pub(crate) fn rustls_for_proxies(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.for_proxies)
    }

    /// The same with HTTP/2 on offer, which is preferred. Shares the session tickets.
    pub(crate) fn rustls_http2(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.insert(0, ALPN_HTTP_2.to_vec());
        Arc::new(config)
    }
}

impl TlsConfigBuilder {
    /// Trusts the authorities that this machine trusts, instead of those that come with this library.
    /// Where they are is for the `rustls-native-certs` crate to know; the environment variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name another place.
    pub fn system_roots(mut self) -> Self {
        self.system_roots = true;
        self
    }

    /// Trusts also the certificates in `pem`: an organisation's own authority, or a test's. Further
    /// calls add more.
    ///
    /// # Errors
    /// When there is no certificate in `pem`.
    pub fn extra_roots(mut self, pem: &[u8]) -> Result<Self, TlsConfigError> {
        self.extra_roots.extend(certificates(pem)?);
        Ok(self)
    }

    /// Shows the certificate chain in `chain_pem` (the own certificate first) to servers that ask for
    /// one, and proves by the private key in `key_pem` that it is ours. Every server that asks gets to
    /// see it, save those that are asked [without](crate::http::Request::anonymous) it. A proxy that is spoken to by
    /// TLS does not.
    ///
    /// # Errors
    /// When there is no certificate or no key in the text.
    pub fn client_certificate(
        mut self,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<Self, TlsConfigError> {
        self.identity = Some(Identity::from_pem(chain_pem, key_pem)?);
        Ok(self)
    }

    /// Trusts whoever answers: no certificate is checked, and anyone on the way can read and change
    /// everything. For experiments on one's own machine. Never to be reached from a script. A proxy that is
    /// spoken to by TLS is not meant; [`extra_roots`](Self::extra_roots) helps there.
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        self.accept_any = true;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// When certificates cannot be used, the client's key is not that of its certificate, or this
    /// machine has no authorities.
    pub fn build(self) -> Result<TlsConfig, TlsConfigError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let base = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
        };
        let mut roots = if self.system_roots {
            system_roots()?
        } else {
            web_roots()
        };
        for certificate in self.extra_roots {
            roots.add(certificate)?;
        }
        let roots = Arc::new(roots);
        let for_proxies = shared(
            base()?
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth(),
        );
        let (verified, trust) = if self.accept_any {
            let verifier = Arc::new(AcceptAnyCertificate { algorithms });
            let config = base()?
                .dangerous()
                .with_custom_certificate_verifier(verifier);
            (config, Trust::Anyone)
        } else {
            (base()?.with_root_certificates(roots), Trust::Roots)
        };
        let anonymous = match trust {
            Trust::Anyone => shared(verified.clone().with_no_client_auth()),
            Trust::Roots => Arc::clone(&for_proxies),
        };
        let config = match self.identity {
            Some(Identity { chain, key }) => shared(verified.with_client_auth_cert(chain, key)?),
            None => Arc::clone(&anonymous),
        };
        Ok(TlsConfig {
            config,
            anonymous,
            for_proxies,
            trust,
        })
    }
}

/// A configuration that is complete but for ALPN.
fn shared(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    Arc::new(config)
}

impl Identity {
    fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)?;
        Ok(Self { chain, key })
    }
}

impl fmt::Debug for Identity {
    /// Shows nothing: there is a private key inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl TlsServerConfig {
    /// Proves itself by the certificate chain in `chain_pem` (its own certificate first) and the
    /// private key in `key_pem`. Clients are not asked for certificates.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsConfigError> {
        let anyone = WebPkiClientVerifier::no_client_auth();
        Self::new(Identity::from_pem(chain_pem, key_pem)?, anyone)
    }

    /// As [`from_pem`](Self::from_pem), and lets in only clients that show a certificate from one of
    /// the authorities in `authorities_pem`.
    pub fn requiring_client_certificates(
        chain_pem: &[u8],
        key_pem: &[u8],
        authorities_pem: &[u8],
    ) -> Result<Self, TlsConfigError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities_pem)? {
            roots.add(certificate)?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
        Self::new(Identity::from_pem(chain_pem, key_pem)?, verifier)
    }

    fn new(
        identity: Identity,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<Self, TlsConfigError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_single_cert(identity.chain, identity.key)?;
        config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// For handing to `tokio-rustls`.
    pub(crate) fn rustls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The same for clients of HTTP/2 too, which is preferred.
    pub(crate) fn with_http2(mut self) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols.insert(0, ALPN_HTTP_2.to_vec());
        self.config = Arc::new(config);
        self
    }
}

impl fmt::Debug for TlsServerConfig {
    /// Shows nothing: there is a private key inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfig").finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn web_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// What this machine trusts. One bad certificate among many is skipped, as it is no reason to trust
/// none.
fn system_roots() -> Result<RootCertStore, TlsConfigError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(loaded.certs);
    tracing::debug!(target: "we::net", added, ignored, "authorities of this machine");
    if added == 0 {
        let problems: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        let detail = if problems.is_empty() {
            "none was found".to_owned()
        } else {
            problems.join("; ")
        };
        return Err(TlsConfigError::NoSystemRoots(detail));
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err(TlsConfigError::NoCertificate);
    }
    Ok(certificates)
}

/// The verifier behind [`TlsConfig::dangerous_accept_any_certificate`]. It still checks that the
/// peer holds the key of the certificate that it shows, so that a broken peer is not taken for a
/// working one.
#[derive(Debug)]
struct AcceptAnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_without_certificates_is_refused() {
        assert!(matches!(
            TlsConfig::with_extra_roots(b"hello"),
            Err(TlsConfigError::NoCertificate)
        ));
        assert!(
            TlsConfig::with_extra_roots(
                b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"
            )
            .is_err()
        );
        assert!(TlsServerConfig::from_pem(b"", b"").is_err());
        let builder = TlsConfig::builder();
        assert!(builder.client_certificate(b"", b"").is_err());
    }

    #[test]
    fn debug_output_tells_whether_anyone_is_trusted() {
        let text = format!(
            "{:?}",
            TlsConfig::dangerous_accept_any_certificate().unwrap()
        );
        assert!(text.contains("Anyone"), "{text}");
    }

    #[test]
    fn the_default_is_built_once() {
        let (a, b) = (TlsConfig::new().unwrap(), TlsConfig::new().unwrap());
        assert!(Arc::ptr_eq(&a.config, &b.config));
        assert_eq!(a.config.alpn_protocols, [ALPN_HTTP_1_1]);
    }
}
