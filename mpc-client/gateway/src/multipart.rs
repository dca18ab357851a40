//! The files of a request.

use http_body_util::BodyDataStream;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use mpc_client::Input;
use multer::{Constraints, Multipart, SizeLimit};
use tokio::time::timeout;

use super::BODY;
use super::reply::Failure;

/// Maximum number of files in a request.
const FILES: usize = 256;

/// The files of a `multipart/form-data` body of at most `max` bytes, in their order.
pub(crate) async fn files(request: Request<Incoming>, max: u64) -> Result<Vec<Input>, Failure> {
    let too_large = || {
        let error = format!("the request has more than {} MiB; give the gateway a larger --max-mib", max >> 20);
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", error)
    };
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| {
        let error = "send the files as multipart/form-data, for instance with `curl -F file=@FILE`";
        Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", error)
    })?;
    if request.body().size_hint().lower() > max {
        return Err(too_large());
    }
    let limit = Constraints::new().size_limit(SizeLimit::new().whole_stream(max));
    let mut parts = Multipart::with_constraints(BodyDataStream::new(request.into_body()), boundary, limit);
    let read = async {
        let mut files = Vec::new();
        while let Some(part) = parts.next_field().await? {
            let name = part.file_name().or(part.name()).unwrap_or("file").to_owned();
            files.push(Input::bytes(name, part.bytes().await?.into()));
            if files.len() > FILES {
                break;
            }
        }
        Ok(files)
    };
    let slow = |_| Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request did not arrive in time");
    let files = timeout(BODY, read).await.map_err(slow)?.map_err(|error| match error {
        multer::Error::StreamSizeExceeded { .. } => too_large(),
        other => Failure::usage(format!("the request is not valid multipart/form-data: {other}")),
    })?;
    match files.len() {
        0 => Err(Failure::usage("the request has no files: send them as multipart/form-data")),
        1..=FILES => Ok(files),
        _ => Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("more than {FILES} files at once"))),
    }
}
