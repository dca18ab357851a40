//! Messages on a QUIC stream: control messages behind a length that is checked first, and raw words.

use quinn::{ReadExactError, RecvStream, SendStream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::ring::Word;
use crate::wire::codec;
use crate::wire::message::MAX_CONTROL;

/// Sends one control message: its length (`u32`, little endian, at most [`MAX_CONTROL`]) and its encoding.
///
/// # Errors
/// [`Error::Invalid`] where it is too long or the stream is closed.
pub async fn write_message<T: Serialize>(stream: &mut SendStream, message: &T) -> Result<()> {
    let body = codec::encode(message)?;
    if body.len() > MAX_CONTROL {
        let reason = format!("{} bytes, more than the {MAX_CONTROL} allowed", body.len());
        return Err(Error::invalid("control message", reason));
    }
    let framed = [&(body.len() as u32).to_le_bytes(), body.as_slice()].concat();
    stream.write_all(&framed).await.map_err(|e| Error::invalid("stream", e.to_string()))
}

/// Receives one control message. The length is checked before memory is taken.
///
/// # Errors
/// [`Error::Invalid`] where the length is over [`MAX_CONTROL`], the body does not decode, or the stream ends early.
pub async fn read_message<T: DeserializeOwned>(stream: &mut RecvStream) -> Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(ended)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_CONTROL {
        let reason = format!("announces {length} bytes, more than the {MAX_CONTROL} allowed");
        return Err(Error::invalid("control message", reason));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(ended)?;
    codec::decode(&body)
}

/// Sends words, little endian, without a length: both sides know it.
///
/// # Errors
/// [`Error::Invalid`] where the stream is closed.
pub async fn write_words<W: Word>(stream: &mut SendStream, words: &[W]) -> Result<()> {
    stream.write_all(bytemuck::cast_slice(words)).await.map_err(|e| Error::invalid("stream", e.to_string()))
}

/// Receives `n` words, a number that the caller has checked.
///
/// # Errors
/// [`Error::Invalid`] where the stream ends early.
pub async fn read_words<W: Word>(stream: &mut RecvStream, n: usize) -> Result<Vec<W>> {
    let mut words = vec![W::ZERO; n];
    stream.read_exact(bytemuck::cast_slice_mut(&mut words)).await.map_err(ended)?;
    Ok(words)
}

fn ended(error: ReadExactError) -> Error {
    let reason = match error {
        ReadExactError::FinishedEarly(got) => format!("ended after {got} bytes in the middle of a message"),
        ReadExactError::ReadError(e) => e.to_string(),
    };
    Error::invalid("stream", reason)
}
