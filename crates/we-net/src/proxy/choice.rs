//! Which proxy a URL goes through.

use std::env;
use std::ffi::OsString;
use std::fmt;

use url::{Host, Url};

use super::{NoProxy, Proxy, ProxyUrlError};
use crate::transport::reach::port;
use crate::transport::resolve::is_localhost;

/// The proxies of a client. The default is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `ws:` and `http:`.
    plain: Option<Proxy>,
    /// For `wss:` and `https:`.
    secure: Option<Proxy>,
    except: NoProxy,
    /// Whether this machine is reached without a proxy, whatever its name in the URL.
    spare_localhost: bool,
}

impl Proxies {
    /// No proxy.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything through `proxy`.
    pub fn all(proxy: Proxy) -> Self {
        Self {
            plain: Some(proxy.clone()),
            secure: Some(proxy),
            ..Self::default()
        }
    }

    /// The servers in `list` are reached without a proxy. It takes the place of an earlier list.
    pub fn except(mut self, list: NoProxy) -> Self {
        self.except = list;
        self
    }

    /// What the environment variables say that curl and others go by:
    ///
    /// | variable | for |
    /// |---|---|
    /// | `http_proxy` | `ws:` and `http:` |
    /// | `https_proxy`, `HTTPS_PROXY` | `wss:` and `https:` |
    /// | `all_proxy`, `ALL_PROXY` | both, where the one above is not set |
    /// | `no_proxy`, `NO_PROXY` | the servers that are reached without a proxy ([`NoProxy`]) |
    ///
    /// The first that is set and not empty counts. `HTTP_PROXY` is not read: behind a web server it
    /// can be a header that a stranger has sent ([httpoxy](https://httpoxy.org/)). On Windows, where case
    /// does not matter, `http_proxy` is therefore not read by a CGI program (one with `REQUEST_METHOD` in
    /// its environment). `localhost` and
    /// the loopback addresses are never reached through these proxies, as browsers have it.
    ///
    /// # Errors
    /// A variable that names no proxy, or is not UTF-8; the error tells which.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        let ignores_case = cfg!(windows);
        Self::from_os_variables(ignores_case, |name| env::var_os(name))
    }

    /// As [`from_env`](Self::from_env), with `get` for the environment, for which case matters.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        Self::from_os_variables(false, |name| get(name).map(OsString::from))
    }

    fn from_os_variables(
        ignores_case: bool,
        get: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, EnvironmentError> {
        let is_a_header = ignores_case && get("REQUEST_METHOD").is_some();
        let first = |names: &[&'static str]| {
            for variable in names.iter().copied() {
                match get(variable).map(OsString::into_string) {
                    Some(Ok(value)) if !value.trim().is_empty() => {
                        return Ok(Some((variable, value)));
                    }
                    // Passing over it would send what is meant for a proxy straight to the server.
                    Some(Err(_)) => {
                        let source = ProxyUrlError::NotUtf8;
                        return Err(EnvironmentError { variable, source });
                    }
                    _ => {}
                }
            }
            Ok(None)
        };
        let proxy = |names: &[&'static str]| {
            first(names)?
                .map(|(variable, value)| {
                    Proxy::parse(&value).map_err(|source| EnvironmentError { variable, source })
                })
                .transpose()
        };
        let except = first(&["no_proxy", "NO_PROXY"])?;
        let plain: &[&'static str] = if is_a_header {
            &["all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        };
        Ok(Self {
            plain: proxy(plain)?,
            secure: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            except: except
                .map(|(_, list)| NoProxy::parse(&list))
                .unwrap_or_default(),
            spare_localhost: true,
        })
    }

    /// The proxy that `url` goes through, if any.
    pub fn choose(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "ws" | "http" => self.plain.as_ref()?,
            "wss" | "https" => self.secure.as_ref()?,
            _ => return None,
        };
        let host = url.host()?;
        if self.spare_localhost && is_this_machine(&host) {
            return None;
        }
        (!self.except.matches(host, port(url))).then_some(proxy)
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => is_localhost(name),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

/// An environment variable that names no proxy, or no servers to be reached without one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable} cannot be used: {source}")]
pub struct EnvironmentError {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong with its value.
    #[source]
    pub source: ProxyUrlError,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("plain", &self.plain)
            .field("secure", &self.secure)
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Proxies, EnvironmentError> {
        Proxies::from_variables(|name| {
            variables
                .iter()
                .find_map(|(variable, value)| (*variable == name).then(|| (*value).to_owned()))
        })
    }

    /// The proxy for `url`, or an empty string.
    fn chosen(proxies: &Proxies, url: &str) -> String {
        let proxy = proxies.choose(&Url::parse(url).unwrap());
        proxy.map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_is_for_the_rest() {
        let both: &[(&str, &str)] = &[("http_proxy", "p"), ("HTTPS_PROXY", "q")];
        let all: &[(&str, &str)] = &[("ALL_PROXY", "socks5://a"), ("https_proxy", "q")];
        let empty: &[(&str, &str)] = &[("http_proxy", " "), ("all_proxy", "a")];
        let httpoxy: &[(&str, &str)] = &[("HTTP_PROXY", "evil")];
        for (variables, plain, secure) in [
            (both, "http://p:80", "http://q:80"),
            (all, "socks5://a:1080", "http://q:80"),
            (empty, "http://a:80", "http://a:80"),
            (httpoxy, "", ""),
            (&[], "", ""),
        ] {
            let proxies = from(variables).unwrap();
            for scheme in ["ws", "http"] {
                assert_eq!(
                    chosen(&proxies, &format!("{scheme}://h/")),
                    plain,
                    "{variables:?}"
                );
                assert_eq!(
                    chosen(&proxies, &format!("{scheme}s://h/")),
                    secure,
                    "{variables:?}"
                );
            }
        }
    }

    #[test]
    fn a_header_of_a_stranger_is_no_proxy_where_case_does_not_matter() {
        let variables = [("HTTP_PROXY", "evil"), ("REQUEST_METHOD", "GET")];
        for (ignores_case, is_cgi, expected) in [
            (true, true, ""),
            (true, false, "http://evil:80"),
            (false, true, ""),
        ] {
            let proxies = Proxies::from_os_variables(ignores_case, |name| {
                let mut variables = variables.iter().take(1 + usize::from(is_cgi));
                let found = variables.find(|(variable, _)| {
                    *variable == name || ignores_case && variable.eq_ignore_ascii_case(name)
                });
                found.map(|(_, value)| OsString::from(value))
            });
            assert_eq!(chosen(&proxies.unwrap(), "ws://h/"), expected);
        }
    }

    #[test]
    fn the_list_of_exceptions_and_this_machine_are_spared() {
        let proxies = from(&[("all_proxy", "p"), ("no_proxy", "h.example")]).unwrap();
        for url in [
            "ws://h.example/",
            "wss://sub.h.example/",
            "ws://localhost/",
            "ws://a.localhost/",
            "ws://127.9.9.9/",
            "ws://[::1]/",
            "ftp://other.example/",
        ] {
            assert_eq!(chosen(&proxies, url), "", "{url}");
        }
        assert_eq!(chosen(&proxies, "ws://other.example/"), "http://p:80");
        // What the program says itself is meant for every server.
        let explicit = Proxies::all(Proxy::parse("p").unwrap());
        assert_eq!(chosen(&explicit, "ws://localhost/"), "http://p:80");
        let explicit = explicit.except(NoProxy::parse("localhost"));
        assert_eq!(chosen(&explicit, "ws://localhost/"), "");
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error() {
        let error = from(&[("https_proxy", "gopher://p")]).unwrap_err();
        assert!(error.to_string().contains("https_proxy"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_an_error() {
        use std::os::unix::ffi::OsStringExt as _;
        for variable in ["http_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy"] {
            let result = Proxies::from_os_variables(false, |name| {
                (name == variable).then(|| OsString::from_vec(b"p\xff".to_vec()))
            });
            let error = result.unwrap_err();
            assert_eq!(
                (error.variable, &error.source),
                (variable, &ProxyUrlError::NotUtf8)
            );
            assert!(error.to_string().contains("UTF-8"), "{error}");
        }
    }
}
