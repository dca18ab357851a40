//! Responses: JSON, other content, or the reason of a failure.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use mpc_client::Error;
use mpc_core::wire::message::Code;
use serde::Serialize;

/// A whole response.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Why there is no answer: a status for programs and, in the body, a finer kind and a line for people.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    allow: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    error: String,
}

impl Failure {
    /// A failure with a line for people.
    pub(crate) fn new(status: StatusCode, kind: &'static str, error: impl Into<String>) -> Self {
        Self { status, allow: None, kind, code: None, error: error.into() }
    }

    /// A request that makes no sense.
    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", error)
    }

    /// Adds the methods that the resource has.
    pub(crate) fn allowing(self, methods: String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// The same failure under another status.
    pub(crate) fn at(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The response.
    pub(crate) fn reply(self) -> Reply {
        let mut reply = json(self.status, &self);
        let headers = reply.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => {}
        }
        if let Some(allow) = self.allow.and_then(|methods| methods.try_into().ok()) {
            headers.insert(ALLOW, allow);
        }
        reply
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Usage(_) | Error::WrongTask { .. } | Error::Input(_) => StatusCode::BAD_REQUEST,
            Error::UnknownModel { .. } | Error::UnknownPerson { .. } => StatusCode::NOT_FOUND,
            Error::Unreachable { .. } | Error::NotTrusted(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Refused { code, .. } => refused(*code),
            Error::Disagreement(_) | Error::Cheating { .. } | Error::Aborted(_) => StatusCode::BAD_GATEWAY,
            Error::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { code: error.code().map(Code::name), ..Self::new(status, error.kind(), error.to_string()) }
    }
}

/// The status for a server's refusal: a mistake of the caller, or a problem that may pass.
fn refused(code: Code) -> StatusCode {
    match code {
        Code::Invalid | Code::WeakSecurity | Code::Taken => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Disagreement | Code::Internal => StatusCode::BAD_GATEWAY,
        // The gateway's own rights, or a problem that another attempt or the operators solve.
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A response with an object.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(value).expect("answers have string keys only");
    let mut reply = content("application/json", body);
    *reply.status_mut() = status;
    reply
}

/// A response with anything else.
pub(crate) fn content(kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_s_status_follows_from_its_code_and_the_body_names_it() {
        let expected = [(Code::Invalid, 400), (Code::NotFound, 404), (Code::TooLarge, 413), (Code::Busy, 503)];
        for (code, status) in expected {
            let failure = Failure::from(Error::Refused { party: "P1".into(), code, reason: "so".into() });
            let body = serde_json::to_value(&failure).unwrap();
            assert_eq!((&body["kind"], &body["code"]), (&"refused".into(), &code.name().into()));
            assert_eq!(failure.reply().status(), status, "{code:?}");
        }
    }
}
