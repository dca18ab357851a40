//! A control message as bytes: its length (`u32`, little endian), then its [encoding](super::codec).
//!
//! A reader gets the length first, checks it here, and takes memory as the bytes arrive.

use serde::Serialize;

use super::codec;
use crate::error::{Error, Result};

/// Bytes of a message's length prefix.
pub const PREFIX: usize = 4;

/// A message prefixed with its length.
///
/// # Errors
/// [`Error::Invalid`] where the message exceeds [`codec::MAX_ENCODED`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>> {
    let body = codec::encode(message)?;
    let length = u32::try_from(body.len()).map_err(|e| Error::invalid("encoding", e.to_string()))?;
    Ok([&length.to_le_bytes()[..], &body].concat())
}

/// The number of bytes that follow this length prefix.
///
/// # Errors
/// [`Error::Invalid`] where they are more than `limit`.
pub fn body_length(prefix: [u8; PREFIX], limit: usize) -> Result<usize> {
    match u32::from_le_bytes(prefix) as usize {
        length if length <= limit => Ok(length),
        length => {
            let reason = format!("{length} bytes where at most {limit} are allowed");
            Err(Error::invalid("control message", reason))
        }
    }
}
