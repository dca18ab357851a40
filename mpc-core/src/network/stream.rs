//! Control messages and shares on a byte stream; see [`message`](crate::wire::message) for who sends what.
//!
//! Memory grows with the bytes that arrive, never with an announced length. The caller sets the deadline.

use std::io::{Error, ErrorKind, Result};

use bytemuck::cast_slice;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use crate::ring::Tensor;
use crate::sharing::{Component, Dealt};
use crate::wire::message::Versioned;
use crate::wire::share::{self, WORD};
use crate::wire::{codec, frame};

/// Writes one control message.
///
/// # Errors
/// `InvalidData` where it exceeds [`codec::MAX_ENCODED`]; those of the stream.
pub async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> Result<()> {
    stream.write_all(&frame::encode(message).map_err(invalid)?).await
}

/// Reads one control message of at most `limit` bytes.
///
/// # Errors
/// `InvalidData` where it is longer or cannot be decoded, `UnexpectedEof` where the stream ends within.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<T> {
    codec::decode(&receive_frame(stream, limit).await?).map_err(invalid)
}

/// Reads the first control message on a stream, which tells its sender's version.
///
/// # Errors
/// As [`receive`]; another version is `InvalidData` with a text that names both.
pub async fn receive_first<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<T> {
    Versioned::decode(&receive_frame(stream, limit).await?).map_err(invalid)
}

/// Writes both components of a share that its owner dealt, with the lowest `width` bytes of each element.
///
/// # Panics
/// If `width` is not 1 to 8.
pub async fn send_dealt(stream: &mut (impl AsyncWrite + Unpin), dealt: &Dealt<u64>, width: usize) -> Result<()> {
    stream.write_all(&share::encode_component(&dealt.own, width)).await?;
    stream.write_all(&share::encode_component(&dealt.next, width)).await
}

/// Reads both components of a dealt share of this shape, whose elements are `width` bytes each.
///
/// # Errors
/// `InvalidData` on an unknown kind of component, `UnexpectedEof` where the stream ends within.
///
/// # Panics
/// If `width` is not 1 to 8.
pub async fn receive_dealt(stream: &mut (impl AsyncRead + Unpin), shape: &[usize], width: usize) -> Result<Dealt<u64>> {
    let [own, next] = [receive_component(stream, shape, width).await?, receive_component(stream, shape, width).await?];
    Ok(Dealt { own, next })
}

/// Writes the elements of a tensor.
///
/// # Panics
/// If the tensor is not in standard layout, which no share is.
pub async fn send_words(stream: &mut (impl AsyncWrite + Unpin), tensor: &Tensor<u64>) -> Result<()> {
    stream.write_all(cast_slice(tensor.as_slice().expect("standard layout"))).await
}

/// Reads the elements of a tensor of this shape.
///
/// # Errors
/// `UnexpectedEof` where the stream ends within.
pub async fn receive_words(stream: &mut (impl AsyncRead + Unpin), shape: &[usize]) -> Result<Tensor<u64>> {
    let length = share::words_length(shape, WORD).map_err(invalid)?;
    share::decode_words(&receive_bytes(stream, length).await?, shape, WORD).map_err(invalid)
}

/// Reads exactly `length` bytes into a buffer that grows as they arrive.
///
/// # Errors
/// `UnexpectedEof` where the stream ends within.
pub async fn receive_bytes(stream: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    stream.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        let text = format!("the stream ended after {} of {length} bytes", bytes.len());
        return Err(Error::new(ErrorKind::UnexpectedEof, text));
    }
    Ok(bytes)
}

async fn receive_component(
    stream: &mut (impl AsyncRead + Unpin),
    shape: &[usize],
    width: usize,
) -> Result<Component<u64>> {
    let kind = stream.read_u8().await?;
    let length = share::component_length(kind, shape, width).map_err(invalid)?;
    share::decode_component(kind, &receive_bytes(stream, length).await?, shape, width).map_err(invalid)
}

async fn receive_frame(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let mut prefix = [0; frame::PREFIX];
    stream.read_exact(&mut prefix).await?;
    receive_bytes(stream, frame::body_length(prefix, limit).map_err(invalid)?).await
}

fn invalid(error: crate::error::Error) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{MAX_CONTROL, PROTOCOL_VERSION, Request};

    #[test]
    fn lengths_and_versions_are_checked_first() {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let huge = u32::MAX.to_le_bytes();
            let error = receive::<Request>(&mut &huge[..], MAX_CONTROL).await.unwrap_err();
            assert!(error.to_string().contains("4294967295 bytes"), "{error}");
            assert!(receive_words(&mut &[0u8; 8][..], &[1 << 60]).await.is_err(), "no memory for 2^63 bytes");
            assert!(receive_words(&mut &[0u8; 8][..], &[1 << 40, 1 << 40]).await.is_err());

            let mut bytes = Vec::new();
            send(&mut bytes, &Versioned { version: PROTOCOL_VERSION + 1, body: Request::Status }).await.unwrap();
            let error = receive_first::<Request>(&mut &bytes[..], MAX_CONTROL).await.unwrap_err();
            let versions = [PROTOCOL_VERSION, PROTOCOL_VERSION + 1].map(|version| format!("version {version}"));
            assert!(versions.iter().all(|version| error.to_string().contains(version)), "{error}");
        });
    }
}
