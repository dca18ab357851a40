//! What goes back: JSON, or why there is none.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use mpc_client::Error;
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
    error: String,
}

impl Failure {
    /// With a line for the person who asks.
    pub(crate) fn new(status: StatusCode, kind: &'static str, error: impl Into<String>) -> Self {
        Self { status, allow: None, kind, error: error.into() }
    }

    /// A request that makes no sense.
    pub(crate) fn usage(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", error)
    }

    /// The methods that the resource does have.
    pub(crate) fn allowing(self, methods: String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// Something that the request names is not there.
    pub(crate) fn missing(error: Error) -> Self {
        match error {
            Error::Usage(error) => Self::new(StatusCode::NOT_FOUND, "not-found", error),
            other => other.into(),
        }
    }

    /// The same under another status.
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
            Error::Usage(_) | Error::Input(_) => StatusCode::BAD_REQUEST,
            Error::Unreachable { .. } | Error::NotTrusted(_) | Error::Refused { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Disagreement(_) | Error::Cheating { .. } | Error::Aborted(_) => StatusCode::BAD_GATEWAY,
            Error::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.kind(), error.to_string())
    }
}

/// A response with an object.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(value).expect("what is answered has string keys only");
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
