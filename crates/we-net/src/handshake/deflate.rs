//! How two ends agree on `permessage-deflate`
//! ([RFC 7692 sections 5 and 7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1)): the client's
//! [`offers`], the server's [`answer`] to the first of them that is in order, and the client's check
//! of it ([`check_answer`]).
//!
//! ```
//! use we_net::handshake::{ExtensionHeader, deflate};
//! use we_net::protocol::deflate::{DeflateConfig, DeflateParams};
//!
//! let browser = [DeflateConfig::default()];
//! let offers = deflate::offers(&browser);
//! assert_eq!(ExtensionHeader::format_list(&offers), "permessage-deflate; client_max_window_bits");
//!
//! let (answer, agreed) = deflate::answer(&DeflateConfig::shared(), &offers).ok_or("no offer is in order")?;
//! assert_eq!(answer.to_string(), "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
//! assert_eq!(deflate::check_answer(&browser, &answer)?, (browser[0], agreed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::extension::{ExtensionHeader, ExtensionParam};
use crate::protocol::deflate::{DeflateConfig, DeflateParams, WindowBits};

/// The registered name of the extension.
pub const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// Why an offer is declined, or an answer fails the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeflateError {
    /// The standard knows no such parameter.
    #[error("{NAME} has no parameter `{0}`")]
    Unknown(String),
    /// The parameter occurs twice.
    #[error("parameter `{0}` of {NAME} occurs more than once")]
    Repeated(&'static str),
    /// The parameter has a value, and should have none.
    #[error("parameter `{0}` of {NAME} has a value, which it must not have")]
    Value(&'static str),
    /// The parameter's value is missing or not one of 8 to 15, written without leading zeros.
    #[error("parameter `{0}` of {NAME} must have a value from 8 to 15")]
    Bits(&'static str),
    /// The client has asked for something that the server's answer does not grant.
    #[error("`{0}` was asked for, and the server's {NAME} does not grant it")]
    NotGranted(&'static str),
}

/// The extension's parameters as one member of the header lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Listed {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    client_max_window_bits: Option<ClientWindow>,
}

/// The one parameter whose value is optional, in offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientWindow {
    /// "I can limit my window, if you want me to."
    Any,
    Bits(WindowBits),
}

impl Listed {
    /// Reads the parameters of an offer or an answer. What a value means is the same in both, save
    /// that in an answer `client_max_window_bits` must have one.
    fn parse(header: &ExtensionHeader) -> Result<Self, DeflateError> {
        let mut listed = Self::default();
        for param in header.params() {
            match param.name() {
                SERVER_NO_CONTEXT_TAKEOVER => {
                    let place = &mut listed.server_no_context_takeover;
                    set_flag(place, SERVER_NO_CONTEXT_TAKEOVER, param)?;
                }
                CLIENT_NO_CONTEXT_TAKEOVER => {
                    let place = &mut listed.client_no_context_takeover;
                    set_flag(place, CLIENT_NO_CONTEXT_TAKEOVER, param)?;
                }
                SERVER_MAX_WINDOW_BITS => {
                    let bits = param.value().and_then(parse_bits);
                    let bits = bits.ok_or(DeflateError::Bits(SERVER_MAX_WINDOW_BITS))?;
                    set(
                        &mut listed.server_max_window_bits,
                        SERVER_MAX_WINDOW_BITS,
                        bits,
                    )?;
                }
                CLIENT_MAX_WINDOW_BITS => {
                    let bits = match param.value() {
                        None => ClientWindow::Any,
                        Some(value) => parse_bits(value)
                            .map(ClientWindow::Bits)
                            .ok_or(DeflateError::Bits(CLIENT_MAX_WINDOW_BITS))?,
                    };
                    set(
                        &mut listed.client_max_window_bits,
                        CLIENT_MAX_WINDOW_BITS,
                        bits,
                    )?;
                }
                other => return Err(DeflateError::Unknown(other.to_owned())),
            }
        }
        Ok(listed)
    }

    fn to_header(self) -> ExtensionHeader {
        let mut header = ExtensionHeader::of(NAME);
        if self.server_no_context_takeover {
            header.push(SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if self.client_no_context_takeover {
            header.push(CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if let Some(bits) = self.server_max_window_bits {
            header.push(SERVER_MAX_WINDOW_BITS, Some(bits.get()));
        }
        match self.client_max_window_bits {
            None => {}
            Some(ClientWindow::Any) => header.push(CLIENT_MAX_WINDOW_BITS, None),
            Some(ClientWindow::Bits(bits)) => {
                header.push(CLIENT_MAX_WINDOW_BITS, Some(bits.get()));
            }
        }
        header
    }

    /// What a client with this configuration offers.
    fn offer(config: &DeflateConfig) -> Self {
        Self {
            server_no_context_takeover: config.server_no_context_takeover,
            client_no_context_takeover: config.client_no_context_takeover,
            server_max_window_bits: below_maximum(config.server_max_window_bits),
            client_max_window_bits: Some(match below_maximum(config.client_max_window_bits) {
                Some(bits) => ClientWindow::Bits(bits),
                None => ClientWindow::Any,
            }),
        }
    }
}

/// A window as the header lists it: the largest one goes without saying.
fn below_maximum(bits: WindowBits) -> Option<WindowBits> {
    (bits < WindowBits::MAX).then_some(bits)
}

fn set_flag(
    place: &mut bool,
    name: &'static str,
    param: &ExtensionParam,
) -> Result<(), DeflateError> {
    if param.value().is_some() {
        return Err(DeflateError::Value(name));
    }
    if std::mem::replace(place, true) {
        return Err(DeflateError::Repeated(name));
    }
    Ok(())
}

fn set<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), DeflateError> {
    match place.replace(value) {
        Some(_) => Err(DeflateError::Repeated(name)),
        None => Ok(()),
    }
}

/// Section 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn parse_bits(value: &str) -> Option<WindowBits> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || value.starts_with('0') {
        return None;
    }
    value.parse().ok().and_then(WindowBits::new)
}

/// What a client offers, the preferred one first: for the `Sec-WebSocket-Extensions` header of its
/// request.
#[must_use]
pub fn offers(configs: &[DeflateConfig]) -> Vec<ExtensionHeader> {
    configs
        .iter()
        .map(|config| Listed::offer(config).to_header())
        .collect()
}

/// The server's answer to the first of the client's offers that is in order, and what is agreed on
/// with it. `None` if there is none: then the connection goes without compression.
///
/// Whatever an offer demands of the server is granted. An offer with a parameter that is unknown,
/// repeated, or has a wrong value is passed over, as are offers of other extensions.
#[must_use]
pub fn answer(
    config: &DeflateConfig,
    offers: &[ExtensionHeader],
) -> Option<(ExtensionHeader, DeflateParams)> {
    let offer = offers
        .iter()
        .filter(|offer| offer.name() == NAME)
        .find_map(|offer| Listed::parse(offer).ok())?;

    let mut params = DeflateParams {
        server_no_context_takeover: config.server_no_context_takeover
            || offer.server_no_context_takeover,
        client_no_context_takeover: config.client_no_context_takeover
            || offer.client_no_context_takeover,
        server_max_window_bits: config.server_max_window_bits,
        client_max_window_bits: WindowBits::MAX,
    };
    if let Some(bits) = offer.server_max_window_bits {
        params.server_max_window_bits = params.server_max_window_bits.min(bits);
    }
    // Section 7.1.2.2: only a client that offers the parameter can be asked to limit its window.
    let client_max_window_bits = match offer.client_max_window_bits {
        None => None,
        Some(ClientWindow::Any) => below_maximum(config.client_max_window_bits),
        Some(ClientWindow::Bits(bits)) => Some(bits.min(config.client_max_window_bits)),
    };
    if let Some(bits) = client_max_window_bits {
        params.client_max_window_bits = bits;
    }
    let answer = Listed {
        server_no_context_takeover: params.server_no_context_takeover,
        client_no_context_takeover: params.client_no_context_takeover,
        // What was offered must be in the answer, even if it is 15.
        server_max_window_bits: offer
            .server_max_window_bits
            .map(|_| params.server_max_window_bits)
            .or(below_maximum(params.server_max_window_bits)),
        client_max_window_bits: client_max_window_bits.map(ClientWindow::Bits),
    };
    Some((answer.to_header(), params))
}

/// Checks a server's answer against what the client has offered: which of the offers it accepts (the
/// first that fits), and what is agreed on.
///
/// # Errors
/// If the answer has a parameter that is unknown, repeated, or has a wrong value, or if it does not
/// grant what each of the offers demands. The client must then fail the connection.
pub fn check_answer(
    offered: &[DeflateConfig],
    answer: &ExtensionHeader,
) -> Result<(DeflateConfig, DeflateParams), DeflateError> {
    let answer = Listed::parse(answer)?;
    let client_max_window_bits = match answer.client_max_window_bits {
        None => WindowBits::MAX,
        Some(ClientWindow::Bits(bits)) => bits,
        Some(ClientWindow::Any) => return Err(DeflateError::Bits(CLIENT_MAX_WINDOW_BITS)),
    };
    let params = DeflateParams {
        server_no_context_takeover: answer.server_no_context_takeover,
        client_no_context_takeover: answer.client_no_context_takeover,
        server_max_window_bits: answer.server_max_window_bits.unwrap_or(WindowBits::MAX),
        // Section 7.1.2.2: the value in an offer is a hint. One in an answer may be larger, and the
        // client keeps to its own.
        client_max_window_bits,
    };
    let mut problem = DeflateError::NotGranted(NAME);
    for config in offered {
        match ensure_granted(config, &params) {
            Ok(()) => return Ok((*config, params)),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// Sections 7.1.1.1 and 7.1.2.1: what a client demands of the server.
fn ensure_granted(config: &DeflateConfig, params: &DeflateParams) -> Result<(), DeflateError> {
    if config.server_no_context_takeover && !params.server_no_context_takeover {
        return Err(DeflateError::NotGranted(SERVER_NO_CONTEXT_TAKEOVER));
    }
    if params.server_max_window_bits > config.server_max_window_bits {
        return Err(DeflateError::NotGranted(SERVER_MAX_WINDOW_BITS));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bits(bits: u8) -> WindowBits {
        WindowBits::new(bits).unwrap()
    }

    fn list(value: &str) -> Vec<ExtensionHeader> {
        ExtensionHeader::parse_list([value.as_bytes()]).unwrap()
    }

    /// A configuration in short: `s` and `c` for no take-over, then the two windows.
    fn config(flags: &str, server: u8, client: u8) -> DeflateConfig {
        DeflateConfig {
            server_no_context_takeover: flags.contains('s'),
            client_no_context_takeover: flags.contains('c'),
            server_max_window_bits: bits(server),
            client_max_window_bits: bits(client),
            ..DeflateConfig::default()
        }
    }

    fn params(flags: &str, server: u8, client: u8) -> DeflateParams {
        DeflateParams {
            server_no_context_takeover: flags.contains('s'),
            client_no_context_takeover: flags.contains('c'),
            server_max_window_bits: bits(server),
            client_max_window_bits: bits(client),
        }
    }

    #[test]
    fn client_offers_what_it_wants_in_order() {
        let configs = [config("sc", 8, 10), config("", 15, 15), config("c", 15, 9)];
        assert_eq!(
            ExtensionHeader::format_list(&offers(&configs)),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=8; client_max_window_bits=10, \
             permessage-deflate; client_max_window_bits, \
             permessage-deflate; client_no_context_takeover; client_max_window_bits=9"
        );
    }

    #[test]
    fn server_answers_with_what_both_allow() {
        for (ours, offer, expected, agreed) in [
            (config("", 15, 15), "", "", params("", 15, 15)),
            (
                config("", 15, 15),
                "; client_max_window_bits",
                "",
                params("", 15, 15),
            ),
            (
                config("", 15, 15),
                "; server_max_window_bits=15",
                "; server_max_window_bits=15",
                params("", 15, 15),
            ),
            (
                config("", 15, 15),
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=\"9\"; client_max_window_bits=8",
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8",
                params("sc", 9, 8),
            ),
            (
                config("sc", 12, 11),
                "; client_max_window_bits; server_max_window_bits=13",
                "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11",
                params("sc", 12, 11),
            ),
            (
                config("", 12, 11),
                "; client_max_window_bits=10; server_max_window_bits=10",
                "; server_max_window_bits=10; client_max_window_bits=10",
                params("", 10, 10),
            ),
            // A client that cannot limit its window is not asked to.
            (
                config("", 12, 11),
                "",
                "; server_max_window_bits=12",
                params("", 12, 15),
            ),
        ] {
            let (header, params) = answer(&ours, &list(&format!("{NAME}{offer}"))).unwrap();
            assert_eq!(header.to_string(), format!("{NAME}{expected}"), "{offer}");
            assert_eq!(params, agreed, "{offer}");
        }
    }

    #[test]
    fn server_takes_the_first_offer_in_order_or_none() {
        let server = DeflateConfig::default();
        let offers = "x-webkit-deflate-frame, permessage-deflate; foo, \
                      permessage-deflate; server_max_window_bits=010, \
                      permessage-deflate; server_max_window_bits=10, permessage-deflate";
        let (header, _) = answer(&server, &list(offers)).unwrap();
        assert_eq!(
            header.to_string(),
            "permessage-deflate; server_max_window_bits=10"
        );
        assert_eq!(answer(&server, &list("x-webkit-deflate-frame")), None);
        assert_eq!(answer(&server, &list("permessage-deflate; foo")), None);
        assert_eq!(answer(&server, &[]), None);
    }

    #[test]
    fn wrong_parameters_decline_an_offer_and_fail_an_answer() {
        use DeflateError::{Bits, Repeated, Unknown, Value};
        for (parameters, problem) in [
            ("foo", Unknown("foo".into())),
            (
                "Server_no_context_takeover",
                Unknown("Server_no_context_takeover".into()),
            ),
            ("__proto__", Unknown("__proto__".into())),
            (
                "server_no_context_takeover=1",
                Value("server_no_context_takeover"),
            ),
            (
                "client_no_context_takeover=\"true\"",
                Value("client_no_context_takeover"),
            ),
            (
                "server_no_context_takeover; server_no_context_takeover",
                Repeated("server_no_context_takeover"),
            ),
            (
                "client_no_context_takeover; client_no_context_takeover",
                Repeated("client_no_context_takeover"),
            ),
            (
                "server_max_window_bits=9; server_max_window_bits=9",
                Repeated("server_max_window_bits"),
            ),
            (
                "client_max_window_bits=9; client_max_window_bits=10",
                Repeated("client_max_window_bits"),
            ),
            ("server_max_window_bits", Bits("server_max_window_bits")),
            ("server_max_window_bits=7", Bits("server_max_window_bits")),
            ("server_max_window_bits=16", Bits("server_max_window_bits")),
            ("server_max_window_bits=99", Bits("server_max_window_bits")),
            ("server_max_window_bits=264", Bits("server_max_window_bits")),
            ("server_max_window_bits=010", Bits("server_max_window_bits")),
            ("server_max_window_bits=+9", Bits("server_max_window_bits")),
            ("server_max_window_bits=9.0", Bits("server_max_window_bits")),
            ("client_max_window_bits=0", Bits("client_max_window_bits")),
            ("client_max_window_bits=08", Bits("client_max_window_bits")),
            ("client_max_window_bits=16", Bits("client_max_window_bits")),
            ("client_max_window_bits=x", Bits("client_max_window_bits")),
        ] {
            let member = list(&format!("{NAME}; {parameters}"));
            let offered = [DeflateConfig::default()];
            assert_eq!(
                check_answer(&offered, &member[0]),
                Err(problem),
                "{parameters}"
            );
            assert_eq!(
                answer(&DeflateConfig::default(), &member),
                None,
                "{parameters}"
            );
        }
        // Optional in an offer, but not in an answer.
        let member = list(&format!("{NAME}; client_max_window_bits"));
        assert!(answer(&DeflateConfig::default(), &member).is_some());
        assert_eq!(
            check_answer(&[DeflateConfig::default()], &member[0]),
            Err(Bits("client_max_window_bits"))
        );
    }

    #[test]
    fn client_takes_an_answer_that_grants_what_it_demands() {
        let fit = |offered: &[DeflateConfig], answer: &str| {
            let (config, params) = check_answer(offered, &list(&format!("{NAME}{answer}"))[0])?;
            let at = offered.iter().position(|other| *other == config).unwrap();
            Ok((at, params))
        };
        let browser = [config("", 15, 15)];
        assert_eq!(fit(&browser, ""), Ok((0, params("", 15, 15))));
        // A server may limit both ends unasked.
        assert_eq!(
            fit(
                &browser,
                "; client_max_window_bits=8; server_max_window_bits=9; \
                 server_no_context_takeover; client_no_context_takeover"
            ),
            Ok((0, params("sc", 9, 8)))
        );

        let strict = [config("s", 10, 12)];
        let granted = "; server_no_context_takeover; server_max_window_bits=10";
        assert_eq!(fit(&strict, granted), Ok((0, params("s", 10, 15))));
        let smaller = "; server_no_context_takeover; server_max_window_bits=8";
        assert_eq!(fit(&strict, smaller), Ok((0, params("s", 8, 15))));
        // More than the hint is no offence.
        let larger = format!("{granted}; client_max_window_bits=13");
        assert_eq!(fit(&strict, &larger), Ok((0, params("s", 10, 13))));
        for (answer, missing) in [
            ("", SERVER_NO_CONTEXT_TAKEOVER),
            ("; server_max_window_bits=10", SERVER_NO_CONTEXT_TAKEOVER),
            ("; server_no_context_takeover", SERVER_MAX_WINDOW_BITS),
            (
                "; server_no_context_takeover; server_max_window_bits=11",
                SERVER_MAX_WINDOW_BITS,
            ),
        ] {
            assert_eq!(fit(&strict, answer), Err(DeflateError::NotGranted(missing)));
        }

        let either = [config("s", 10, 12), config("", 15, 15)];
        assert_eq!(fit(&either, granted), Ok((0, params("s", 10, 15))));
        assert_eq!(fit(&either, ""), Ok((1, params("", 15, 15))));
    }

    #[test]
    fn both_ends_agree_whatever_they_want() {
        let configs: Vec<_> = ["", "s", "c", "sc"]
            .into_iter()
            .flat_map(|flags| (8..=15).map(move |server| (flags, server)))
            .flat_map(|(flags, server)| (8..=15).map(move |client| config(flags, server, client)))
            .collect();
        for client in &configs {
            for server in &configs {
                let (header, params) = answer(server, &offers(&[*client])).unwrap();
                assert_eq!(check_answer(&[*client], &header), Ok((*client, params)));
            }
        }
    }
}
