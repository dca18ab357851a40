//! Access control: holders of a token, or programs on this machine, but no page of another site in a browser.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;
use mpc_client::{Error, Result};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::reply::Failure;

/// Minimum length of a token: 16 random hexadecimal digits are 64 bits, which nobody guesses over a network.
const TOKEN_LEN: usize = 16;

/// Decides by the head of a request whether to serve it.
#[derive(Debug)]
pub(crate) struct Guard {
    /// SHA-256 of each token, so that the time of a comparison does not reveal a length either. If empty, no token is
    /// needed.
    tokens: Vec<[u8; 32]>,
}

impl Guard {
    /// A guard for an address, with the tokens of a file.
    ///
    /// # Errors
    /// [`Error::Usage`] where others could reach the address and there are no tokens, or the file cannot be used.
    pub(crate) fn new(listen: SocketAddr, tokens: Option<&Path>) -> Result<Self> {
        let Some(path) = tokens else {
            return if listen.ip().is_loopback() {
                Ok(Self { tokens: Vec::new() })
            } else {
                Err(Error::Usage(format!(
                    "anybody who reaches {listen} could ask: pass --token-file FILE, or listen on 127.0.0.1 (the file has one \
                     token per line; make one with `openssl rand -hex 32`)"
                )))
            };
        };
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        let tokens: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if tokens.is_empty() {
            return Err(Error::file(path, "holds no token; make one with `openssl rand -hex 32`"));
        }
        if tokens.iter().any(|token| token.len() < TOKEN_LEN) {
            return Err(Error::file(path, format!("a token has less than {TOKEN_LEN} characters")));
        }
        Ok(Self { tokens: tokens.into_iter().map(digest).collect() })
    }

    /// Refuses a request from a page of another site and, unless the route is `open` to everybody, a request without a
    /// token.
    pub(crate) fn admit(&self, headers: &HeaderMap, open: bool) -> Result<(), Failure> {
        let forbidden = |error: &str| Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", error));
        let host = text(headers, HOST).unwrap_or_default();
        if let Some(origin) = headers.get(ORIGIN) {
            let ours = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            if !ours.is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)) {
                return forbidden("pages of other sites may not ask here");
            }
        }
        // A site can point its own name at this machine's address; then Origin and Host agree, but do not name this
        // machine.
        if self.tokens.is_empty() && !names_loopback(host) {
            return forbidden("without tokens, only localhost and loopback addresses are answered as Host");
        }
        if open || self.tokens.is_empty() {
            return Ok(());
        }
        let given = text(headers, AUTHORIZATION).and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        if given.is_some_and(|token| self.knows(token)) {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send `Authorization: Bearer TOKEN` with a token of this gateway",
        ))
    }

    fn knows(&self, token: &str) -> bool {
        let given = digest(token);
        self.tokens.iter().fold(Choice::from(0), |known, token| known | token.ct_eq(&given)).into()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn names_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(guard: &Guard, headers: &[(HeaderName, &str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        guard.admit(&headers, false).map_or_else(|failure| failure.reply().status().as_u16(), |()| 200)
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let guard = Guard::new("127.0.0.1:7070".parse().unwrap(), None).unwrap();
        for host in ["localhost:7070", "LOCALHOST", "127.0.0.1:7070", "127.1.2.3", "[::1]:7070"] {
            assert_eq!(admitted(&guard, &[(HOST, host)]), 200, "{host}");
            assert_eq!(admitted(&guard, &[(HOST, host), (ORIGIN, &format!("http://{host}"))]), 200, "{host}");
            for origin in ["http://evil.example", "null", "http://localhost:7071", "localhost:7070"] {
                assert_eq!(admitted(&guard, &[(HOST, host), (ORIGIN, origin)]), 403, "{host} {origin}");
            }
        }
        for host in ["evil.example:7070", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", ""] {
            assert_eq!(admitted(&guard, &[(HOST, host), (ORIGIN, &format!("http://{host}"))]), 403, "{host}");
        }
        assert_eq!(admitted(&guard, &[]), 403);
    }

    #[test]
    fn other_addresses_need_tokens() {
        let everywhere: SocketAddr = "0.0.0.0:7070".parse().unwrap();
        assert!(Guard::new(everywhere, None).unwrap_err().to_string().contains("--token-file"));
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, problem) in [("\n \n", "no token"), ("0123456789abcdef\nshort\n", "16 characters")] {
            std::fs::write(file.path(), content).unwrap();
            let error = Guard::new(everywhere, Some(file.path())).unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("short"), "{error}");
        }
        std::fs::write(file.path(), "0123456789abcdef\n  fedcba9876543210\r\n").unwrap();
        let guard = Guard::new(everywhere, Some(file.path())).unwrap();
        let asked = |value: &str| admitted(&guard, &[(HOST, "home.example"), (AUTHORIZATION, value)]);
        assert_eq!((asked("Bearer 0123456789abcdef"), asked("bearer fedcba9876543210")), (200, 200));
        for wrong in
            ["Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "Bearer ", "Bearer"]
        {
            assert_eq!(asked(wrong), 401, "{wrong}");
        }
        assert_eq!(admitted(&guard, &[(HOST, "home.example")]), 401);
    }
}
