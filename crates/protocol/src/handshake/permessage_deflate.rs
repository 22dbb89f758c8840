//! Negotiation of permessage-deflate (RFC 7692, 5 and 7.1).

use std::fmt;

use super::extension::Extension;
use crate::deflate::{DeflateOptions, InflateOptions, WINDOW_BITS};

/// The name of the extension in headers.
pub const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that accepted the connection.
    Server,
    /// The end that opened the connection.
    Client,
}

/// The option of one end for the window of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WindowOption {
    /// No preference: the peer decides.
    #[default]
    Unset,
    /// The parameter is not accepted.
    Refused,
    /// The parameter is accepted with any value.
    Accepted,
    /// This window size, as the base-2 logarithm of bytes: 8 to 15.
    Bits(u8),
}

/// The options of one end. The peer decides on options that are not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether the server compresses each message without the context of the one before.
    pub server_no_context_takeover: Option<bool>,
    /// Whether the client compresses each message without the context of the one before.
    pub client_no_context_takeover: Option<bool>,
    /// The window in which the server compresses.
    pub server_max_window_bits: WindowOption,
    /// The window in which the client compresses.
    pub client_max_window_bits: WindowOption,
}

/// The value of the parameter `client_max_window_bits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientWindow {
    /// No value, as an offer may have it: the client accepts any limit for its window.
    Any,
    /// A window size, as the base-2 logarithm of bytes: 8 to 15.
    Bits(u8),
}

/// The parameters of an offer or of an agreement (RFC 7692, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params {
    /// The parameter `server_no_context_takeover`.
    pub server_no_context_takeover: bool,
    /// The parameter `client_no_context_takeover`.
    pub client_no_context_takeover: bool,
    /// The parameter `server_max_window_bits`.
    pub server_max_window_bits: Option<u8>,
    /// The parameter `client_max_window_bits`.
    pub client_max_window_bits: Option<ClientWindow>,
}

/// Why an offer, or the response to it, fails the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NegotiationError {
    /// An offer has a parameter twice.
    Repeated(String),
    /// The value of a parameter is invalid.
    InvalidValue {
        /// The name of the parameter.
        name: String,
        /// Its value, or `None` if it has none.
        value: Option<String>,
    },
    /// A parameter that needs a value has none.
    MissingValue(String),
    /// A parameter that RFC 7692 does not define.
    Undefined(String),
    /// The options of this end allow none of the offers.
    Unacceptable,
    /// The options of this end do not allow this parameter of the server's response.
    UnacceptableAnswer(&'static str),
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated(name) => write!(f, "Multiple extension parameters for {name}"),
            Self::InvalidValue { name, value } => {
                let value = value.as_deref().unwrap_or("true");
                write!(f, "invalid extension parameter value for {name} ({value})")
            }
            Self::MissingValue(name) => {
                write!(f, "Missing extension parameter value for {name}")
            }
            Self::Undefined(name) => write!(f, "Not defined extension parameter ({name})"),
            Self::Unacceptable => f.write_str("Doesn't support the offered configuration"),
            Self::UnacceptableAnswer(name) => write!(f, "Invalid value for \"{name}\""),
        }
    }
}

impl std::error::Error for NegotiationError {}

impl Params {
    /// Reads the parameters of one extension in a header that `reader` received.
    ///
    /// # Errors
    ///
    /// If a parameter is repeated or undefined, or its value is missing or invalid.
    pub fn read(
        params: &[(String, Option<String>)],
        reader: Role,
    ) -> Result<Self, NegotiationError> {
        let mut read = Self::default();
        for (i, (name, value)) in params.iter().enumerate() {
            if params[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(NegotiationError::Repeated(name.clone()));
            }
            let bits = || window_bits(name, value.as_deref());
            match (name.as_str(), value) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => read.server_no_context_takeover = true,
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => read.client_no_context_takeover = true,
                (SERVER_MAX_WINDOW_BITS, _) => read.server_max_window_bits = Some(bits()?),
                (CLIENT_MAX_WINDOW_BITS, None) if reader == Role::Server => {
                    read.client_max_window_bits = Some(ClientWindow::Any);
                }
                (CLIENT_MAX_WINDOW_BITS, _) => {
                    read.client_max_window_bits = Some(ClientWindow::Bits(bits()?));
                }
                (SERVER_NO_CONTEXT_TAKEOVER | CLIENT_NO_CONTEXT_TAKEOVER, Some(_)) => {
                    return Err(NegotiationError::InvalidValue {
                        name: name.clone(),
                        value: value.clone(),
                    });
                }
                _ => return Err(NegotiationError::Undefined(name.clone())),
            }
        }
        Ok(read)
    }

    /// Returns the extension with these parameters, for a header.
    pub fn to_extension(&self) -> Extension {
        let mut params = Vec::new();
        let mut push = |name: &str, value| params.push((name.to_owned(), value));
        if self.server_no_context_takeover {
            push(SERVER_NO_CONTEXT_TAKEOVER, None);
        }
        if self.client_no_context_takeover {
            push(CLIENT_NO_CONTEXT_TAKEOVER, None);
        }
        if let Some(bits) = self.server_max_window_bits {
            push(SERVER_MAX_WINDOW_BITS, Some(bits.to_string()));
        }
        match self.client_max_window_bits {
            None => {}
            Some(ClientWindow::Any) => push(CLIENT_MAX_WINDOW_BITS, None),
            Some(ClientWindow::Bits(bits)) => push(CLIENT_MAX_WINDOW_BITS, Some(bits.to_string())),
        }
        Extension {
            name: NAME.to_owned(),
            params,
        }
    }

    /// Returns how `role` compresses what it sends. `level` and `mem_level` are
    /// not negotiated.
    pub fn deflate(&self, role: Role, level: u8, mem_level: u8) -> DeflateOptions {
        let (window_bits, no_context_takeover) = self.direction(role);
        let default = DeflateOptions::default();
        DeflateOptions {
            window_bits: window_bits.unwrap_or(default.window_bits),
            mem_level,
            level,
            no_context_takeover,
        }
    }

    /// Returns how `role` decompresses what it receives.
    pub fn inflate(&self, role: Role) -> InflateOptions {
        let sender = match role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let (window_bits, no_context_takeover) = self.direction(sender);
        InflateOptions {
            window_bits: window_bits.unwrap_or(*WINDOW_BITS.end()),
            no_context_takeover,
        }
    }

    fn direction(&self, sender: Role) -> (Option<u8>, bool) {
        match sender {
            Role::Server => (self.server_max_window_bits, self.server_no_context_takeover),
            Role::Client => (
                match self.client_max_window_bits {
                    Some(ClientWindow::Bits(bits)) => Some(bits),
                    Some(ClientWindow::Any) | None => None,
                },
                self.client_no_context_takeover,
            ),
        }
    }
}

fn window_bits(name: &str, value: Option<&str>) -> Result<u8, NegotiationError> {
    let Some(value) = value else {
        return Err(NegotiationError::MissingValue(name.to_owned()));
    };
    // Decimal digits without leading zeroes (RFC 7692, 7.1.2): no sign, no blanks.
    WINDOW_BITS
        .into_iter()
        .find(|bits| bits.to_string() == value)
        .ok_or_else(|| NegotiationError::InvalidValue {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        })
}

impl Options {
    /// Returns what a client offers.
    pub fn offer(&self) -> Params {
        Params {
            server_no_context_takeover: self.server_no_context_takeover == Some(true),
            client_no_context_takeover: self.client_no_context_takeover == Some(true),
            server_max_window_bits: match self.server_max_window_bits {
                WindowOption::Bits(bits) => Some(bits),
                _ => None,
            },
            client_max_window_bits: match self.client_max_window_bits {
                WindowOption::Unset | WindowOption::Accepted => Some(ClientWindow::Any),
                WindowOption::Bits(bits) => Some(ClientWindow::Bits(bits)),
                WindowOption::Refused => None,
            },
        }
    }

    /// Returns what a server agrees to: its response to the first offer that its
    /// options allow.
    ///
    /// # Errors
    ///
    /// [`NegotiationError::Unacceptable`] if the options allow no offer.
    pub fn accept(&self, offers: &[Params]) -> Result<Params, NegotiationError> {
        offers
            .iter()
            .find(|offer| self.allows(offer))
            .map(|offer| self.answer(offer))
            .ok_or(NegotiationError::Unacceptable)
    }

    fn allows(&self, offer: &Params) -> bool {
        let takeover_is_kept =
            self.server_no_context_takeover == Some(false) && offer.server_no_context_takeover;
        let server_window_is_too_wide =
            match (self.server_max_window_bits, offer.server_max_window_bits) {
                (WindowOption::Refused, Some(_)) => true,
                (WindowOption::Bits(wanted), Some(offered)) => wanted > offered,
                _ => false,
            };
        let client_cannot_limit = matches!(self.client_max_window_bits, WindowOption::Bits(_))
            && offer.client_max_window_bits.is_none();
        !takeover_is_kept && !server_window_is_too_wide && !client_cannot_limit
    }

    fn answer(&self, offer: &Params) -> Params {
        Params {
            server_no_context_takeover: self.server_no_context_takeover == Some(true)
                || offer.server_no_context_takeover,
            client_no_context_takeover: self
                .client_no_context_takeover
                .unwrap_or(offer.client_no_context_takeover),
            server_max_window_bits: match self.server_max_window_bits {
                WindowOption::Bits(bits) => Some(bits),
                _ => offer.server_max_window_bits,
            },
            client_max_window_bits: match (
                self.client_max_window_bits,
                offer.client_max_window_bits,
            ) {
                // The window must not exceed the client's offer (RFC 7692, 7.1.2.2).
                (WindowOption::Bits(bits), Some(ClientWindow::Bits(offered))) => {
                    Some(ClientWindow::Bits(bits.min(offered)))
                }
                (WindowOption::Bits(bits), _) => Some(ClientWindow::Bits(bits)),
                (WindowOption::Refused, _) | (_, Some(ClientWindow::Any)) => None,
                (_, offered) => offered,
            },
        }
    }

    /// Checks the server's response, and returns it if the client's options allow it.
    ///
    /// # Errors
    ///
    /// [`NegotiationError::UnacceptableAnswer`] if they do not.
    pub fn accept_answer(&self, answer: Params) -> Result<Params, NegotiationError> {
        if self.client_no_context_takeover == Some(false) && answer.client_no_context_takeover {
            return Err(NegotiationError::UnacceptableAnswer(
                CLIENT_NO_CONTEXT_TAKEOVER,
            ));
        }
        let client_window_is_allowed =
            match (self.client_max_window_bits, answer.client_max_window_bits) {
                (WindowOption::Refused, answered) => answered.is_none(),
                (WindowOption::Bits(most), Some(ClientWindow::Bits(bits))) => bits <= most,
                (WindowOption::Bits(_), _) => false,
                _ => true,
            };
        if !client_window_is_allowed {
            return Err(NegotiationError::UnacceptableAnswer(CLIENT_MAX_WINDOW_BITS));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::extension;
    use super::*;

    fn read(value: &str, reader: Role) -> Result<Vec<Params>, NegotiationError> {
        extension::parse(value)
            .iter()
            .filter(|extension| extension.name == NAME)
            .map(|extension| Params::read(&extension.params, reader))
            .collect()
    }

    fn accept(options: Options, value: &str) -> Result<String, NegotiationError> {
        let offers = read(value, Role::Server)?;
        Ok(options.accept(&offers)?.to_extension().to_string())
    }

    #[test]
    fn offers() {
        assert_eq!(
            Options::default().offer().to_extension().to_string(),
            "permessage-deflate; client_max_window_bits"
        );
        let all = Options {
            server_no_context_takeover: Some(true),
            client_no_context_takeover: Some(true),
            server_max_window_bits: WindowOption::Bits(10),
            client_max_window_bits: WindowOption::Bits(11),
        };
        assert_eq!(
            all.offer().to_extension().to_string(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=11"
        );
    }

    #[test]
    fn a_server_answers() {
        let any = Options::default();
        let twelve = Options {
            server_max_window_bits: WindowOption::Bits(12),
            client_max_window_bits: WindowOption::Bits(11),
            server_no_context_takeover: Some(true),
            client_no_context_takeover: Some(true),
        };
        let nothing = Options {
            server_no_context_takeover: Some(false),
            client_no_context_takeover: Some(false),
            server_max_window_bits: WindowOption::Refused,
            client_max_window_bits: WindowOption::Refused,
        };
        for (options, offer, answer) in [
            (any, "permessage-deflate", Some("permessage-deflate")),
            (
                any,
                "permessage-deflate; client_max_window_bits",
                Some("permessage-deflate"),
            ),
            (
                any,
                "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9; \
                 client_no_context_takeover; server_no_context_takeover",
                Some(
                    "permessage-deflate; server_no_context_takeover; \
                     client_no_context_takeover; server_max_window_bits=9; \
                     client_max_window_bits=10",
                ),
            ),
            (
                twelve,
                "permessage-deflate; server_max_window_bits=14; client_max_window_bits=13",
                Some(
                    "permessage-deflate; server_no_context_takeover; \
                     client_no_context_takeover; server_max_window_bits=12; \
                     client_max_window_bits=11",
                ),
            ),
            (twelve, "permessage-deflate", None),
            (
                twelve,
                "permessage-deflate; server_max_window_bits=11; client_max_window_bits",
                None,
            ),
            (
                nothing,
                "permessage-deflate; server_no_context_takeover",
                None,
            ),
            (
                nothing,
                "permessage-deflate; server_max_window_bits=10",
                None,
            ),
            (
                nothing,
                "permessage-deflate; client_max_window_bits=10; client_no_context_takeover",
                Some("permessage-deflate"),
            ),
            (
                Options {
                    server_max_window_bits: WindowOption::Bits(11),
                    ..any
                },
                "permessage-deflate; server_max_window_bits=10, permessage-deflate",
                Some("permessage-deflate; server_max_window_bits=11"),
            ),
        ] {
            assert_eq!(accept(options, offer).ok().as_deref(), answer, "{offer}");
        }
    }

    #[test]
    fn all_windows_of_both_ends_agree() {
        let options = |client_max_window_bits| Options {
            client_max_window_bits,
            ..Options::default()
        };
        for own in WINDOW_BITS {
            let server = options(WindowOption::Bits(own));
            for offered in WINDOW_BITS {
                let client = options(WindowOption::Bits(offered));
                let answer = server.accept(&[client.offer()]).unwrap();
                let agreed = client.accept_answer(answer).unwrap();
                let bits = own.min(offered);
                assert_eq!(
                    agreed.client_max_window_bits,
                    Some(ClientWindow::Bits(bits))
                );
            }
        }
    }

    #[test]
    fn a_client_judges_the_answer() {
        let answer = |options: Options, value| {
            let params = read(value, Role::Client)?[0];
            options.accept_answer(params)
        };
        let any = Options::default();
        let all = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                   server_max_window_bits=10; client_max_window_bits=11";
        assert!(answer(any, "permessage-deflate").is_ok());
        assert!(answer(any, all).is_ok());
        for (options, value) in [
            (
                Options {
                    client_no_context_takeover: Some(false),
                    ..any
                },
                all,
            ),
            (
                Options {
                    client_max_window_bits: WindowOption::Refused,
                    ..any
                },
                all,
            ),
            (
                Options {
                    client_max_window_bits: WindowOption::Bits(10),
                    ..any
                },
                all,
            ),
            (any, "permessage-deflate; client_max_window_bits"),
            (any, "permessage-deflate; server_max_window_bits"),
        ] {
            assert!(answer(options, value).is_err(), "{options:?} {value}");
        }
    }

    #[test]
    fn invalid_parameters() {
        for value in [
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; foo",
            "permessage-deflate; foo=15",
            "permessage-deflate; __proto__",
            "permessage-deflate; server_no_context_takeover=10",
            "permessage-deflate; client_no_context_takeover=10",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=09",
            "permessage-deflate; client_max_window_bits=9x",
            "permessage-deflate; client_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_max_window_bits=99999999999999999999",
            "permessage-deflate; server_max_window_bits",
        ] {
            for reader in [Role::Server, Role::Client] {
                assert!(read(value, reader).is_err(), "{value}");
            }
        }
    }

    #[test]
    fn each_end_gets_its_direction() {
        let params = Params {
            server_no_context_takeover: true,
            client_no_context_takeover: false,
            server_max_window_bits: Some(9),
            client_max_window_bits: None,
        };
        let server = params.deflate(Role::Server, 6, 8);
        let client = params.inflate(Role::Client);
        assert_eq!((server.window_bits, client.window_bits), (9, 9));
        assert!(server.no_context_takeover && client.no_context_takeover);
        let client = params.deflate(Role::Client, 6, 8);
        let server = params.inflate(Role::Server);
        assert_eq!((server.window_bits, client.window_bits), (15, 13));
        assert!(!server.no_context_takeover && !client.no_context_takeover);
    }
}
