//! Control messages and shares on a byte stream; see [`message`](super::message) for who sends what.
//!
//! No length costs memory before as many bytes arrived. The caller sets the deadline.

use std::io::{Error, ErrorKind, Result};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytemuck::cast_slice;
use ndarray::IxDyn;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::codec;
use super::message::Versioned;
use crate::ring::Tensor;
use crate::sharing::{Component, Dealt, Seed};

const SEED: u8 = 0;
const EXPLICIT: u8 = 1;

/// Writes one control message.
pub async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> Result<()> {
    let body = codec::encode(message).map_err(invalid)?;
    let length = u32::try_from(body.len()).map_err(invalid)?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(&body).await
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

/// Bytes of an element of Z_2^64.
pub const WORD: usize = 8;

/// Writes both components of a share that its owner dealt, with the lowest `width` bytes of each element.
///
/// # Panics
/// If `width` is not 1 to 8.
pub async fn send_dealt(stream: &mut (impl AsyncWrite + Unpin), dealt: &Dealt<u64>, width: usize) -> Result<()> {
    for component in [&dealt.own, &dealt.next] {
        match component {
            Component::Seed(seed) => {
                stream.write_u8(SEED).await?;
                stream.write_all(&*seed.0).await?;
            }
            Component::Explicit(tensor) => {
                stream.write_u8(EXPLICIT).await?;
                let mut bytes = Zeroizing::new(Vec::with_capacity(width * tensor.len()));
                tensor.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()[..width]));
                stream.write_all(&bytes).await?;
            }
        }
    }
    Ok(())
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

/// What [`send_dealt`] writes of a share over Z_2^64.
pub fn encode_dealt(dealt: &Dealt<u64>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    at_once(send_dealt(&mut *bytes, dealt, WORD)).expect("memory takes everything");
    bytes
}

/// What [`receive_dealt`] reads of a share over Z_2^64 from exactly these bytes.
///
/// # Errors
/// As there, and `InvalidData` where bytes are left.
pub fn decode_dealt(mut bytes: &[u8], shape: &[usize]) -> Result<Dealt<u64>> {
    let dealt = at_once(receive_dealt(&mut bytes, shape, WORD))?;
    if bytes.is_empty() { Ok(dealt) } else { Err(invalid(format!("{} bytes too many", bytes.len()))) }
}

/// The result of reading from or writing to memory, which never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("memory is always ready"),
    }
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
    receive_elements(stream, shape, WORD).await
}

/// Reads the elements of a tensor of this shape, `width` bytes each.
async fn receive_elements(stream: &mut (impl AsyncRead + Unpin), shape: &[usize], width: usize) -> Result<Tensor<u64>> {
    let length = shape.iter().try_fold(width, |n, &side| n.checked_mul(side));
    let bytes = receive_bytes(stream, length.ok_or_else(|| invalid("a tensor larger than memory"))?).await?;
    let word = |bytes: &[u8]| {
        let mut word = [0; WORD];
        word[..width].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let words = bytes.chunks_exact(width).map(word).collect();
    Ok(Tensor::from_shape_vec(IxDyn(shape), words).expect("as many elements as the shape says"))
}

async fn receive_component(
    stream: &mut (impl AsyncRead + Unpin),
    shape: &[usize],
    width: usize,
) -> Result<Component<u64>> {
    match stream.read_u8().await? {
        SEED => {
            let mut seed = Seed(Box::default());
            stream.read_exact(&mut *seed.0).await?;
            Ok(Component::Seed(seed))
        }
        EXPLICIT => Ok(Component::Explicit(receive_elements(stream, shape, width).await?)),
        other => Err(invalid(format!("a component of unknown kind {other}"))),
    }
}

async fn receive_frame(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let length = stream.read_u32_le().await? as usize;
    if length > limit {
        return Err(invalid(format!("a message of {length} bytes where at most {limit} are allowed")));
    }
    receive_bytes(stream, length).await
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

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Arithmetic;
    use crate::sharing::{InputRange, RangedShare, share, share_ranged};
    use crate::wire::message::{MAX_CONTROL, PROTOCOL_VERSION, Request};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn messages_and_dealt_shares_round_trip() {
        block_on(async {
            let secret = Tensor::from_shape_vec(IxDyn(&[2, 3]), vec![0u64, 1, 2, u64::MAX, 7, 1 << 63]).unwrap();
            for dealt in share::<Arithmetic, u64>(&secret).unwrap() {
                let mut bytes = Vec::new();
                send(&mut bytes, &Versioned::new(Request::Status)).await.unwrap();
                send_dealt(&mut bytes, &dealt, WORD).await.unwrap();
                let mut stream = &bytes[..];
                assert_eq!(receive_first::<Request>(&mut stream, MAX_CONTROL).await.unwrap(), Request::Status);
                let got = receive_dealt(&mut stream, &[2, 3], WORD).await.unwrap();
                assert_eq!(got.own.expand(&[2, 3]), dealt.own.expand(&[2, 3]));
                assert_eq!(got.next.expand(&[2, 3]), dealt.next.expand(&[2, 3]));
                assert!(stream.is_empty());
                assert!(receive_dealt(&mut &bytes[..bytes.len() - 1], &[2, 3], WORD).await.is_err(), "cut short");

                let encoded = encode_dealt(&dealt);
                assert!(bytes.ends_with(&encoded));
                let decoded = decode_dealt(&encoded, &[2, 3]).unwrap();
                assert_eq!(decoded.own.expand(&[2, 3]), dealt.own.expand(&[2, 3]));
                assert!(decode_dealt(&[&encoded[..], &[0]].concat(), &[2, 3]).is_err(), "a byte too many");
                assert!(decode_dealt(&encoded[1..], &[2, 3]).is_err());
            }

            let (range, secret) = (InputRange::holding(8.0, 16), secret.mapv(|x| x % 8).into_shared());
            for dealt in share_ranged(&secret, range).unwrap() {
                let mut bytes = Vec::new();
                send_dealt(&mut bytes, &dealt, range.bytes()).await.unwrap();
                let mut stream = &bytes[..];
                let got = receive_dealt(&mut stream, &[2, 3], range.bytes()).await.unwrap();
                let [got, sent] = [got, dealt].map(|dealt| RangedShare::from_dealt(&dealt, &[2, 3], range));
                assert!(stream.is_empty() && got.words().own() == sent.words().own());
                assert_eq!(got.words().next(), sent.words().next());
            }
        });
    }

    #[test]
    fn lengths_and_versions_are_checked_first() {
        block_on(async {
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
