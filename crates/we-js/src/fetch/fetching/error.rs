//! Why there is no response.

use we_net::{HttpError, transport::ConnectError};

/// [A network error](https://fetch.spec.whatwg.org/#concept-network-error).
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    #[error("the mode 'same-origin' does not allow it")]
    Foreign,
    #[error("the mode 'no-cors' allows no other redirect mode than 'follow'")]
    NoCorsRedirect,
    #[error("'{0}:' URLs cannot be fetched by this script")]
    Scheme(String),
    #[error("the blob: URL was revoked or never made, or is not asked for by GET")]
    Blob,
    #[error("the range is not in the Blob")]
    Range,
    #[error("the data: URL is malformed")]
    Data,
    #[error("{0}")]
    File(String),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the server does not share its answer with this origin (Access-Control-Allow-Origin)")]
    NotShared,
    #[error("the server refused the preflight request: {0}")]
    Preflight(&'static str),
    #[error("it redirects, which the redirect mode 'error' does not allow")]
    Redirect,
    #[error("it redirects too often")]
    TooManyRedirects,
    #[error("it redirects to '{0}:'")]
    RedirectScheme(String),
    #[error("it redirects to a URL with a user name or password")]
    RedirectCredentials,
    #[error("it redirects, but the body of the request is a stream and cannot be sent again")]
    RedirectStream,
    #[error("there is no cache")]
    NoCache,
    #[error("requests with 'keepalive' cannot have more than 64 KiB together")]
    Keepalive,
    #[error("the answer does not match the integrity that was asked for")]
    Integrity,
    #[error("the body of the request cannot be sent: {0}")]
    Upload(String),
    #[error("there is not enough memory for it")]
    Memory,
}

impl NetworkError {
    /// Whether asking again would come to nothing else: not so where the network, or the server, failed.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Http(HttpError::Connect(error)) => matches!(
                error,
                ConnectError::BadPort(_) | ConnectError::Header(_) | ConnectError::TlsConfig(_)
            ),
            Self::Http(error) => matches!(
                error,
                HttpError::Url { .. }
                    | HttpError::Scheme(_)
                    | HttpError::Method(_)
                    | HttpError::Unsendable { .. }
                    | HttpError::Header(_)
                    | HttpError::Redirect { .. }
            ),
            Self::Memory => false,
            _ => true,
        }
    }
}
