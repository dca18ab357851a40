//! Shares as bytes; [`message`](super::message) describes their encoding and who sends them.

use ndarray::IxDyn;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::ring::Tensor;
use crate::sharing::{Component, Dealt, Seed};

/// Bytes of an element of Z_2^64.
pub const WORD: usize = 8;

const SEED: u8 = 0;
const EXPLICIT: u8 = 1;

/// One component of a share that its owner dealt, with the lowest `width` bytes of each element.
///
/// # Panics
/// If `width` is not 1 to 8.
pub fn encode_component(component: &Component<u64>, width: usize) -> Zeroizing<Vec<u8>> {
    match component {
        Component::Seed(seed) => Zeroizing::new([&[SEED][..], &*seed.0].concat()),
        Component::Explicit(tensor) => {
            let mut bytes = Zeroizing::new(Vec::with_capacity(1 + width * tensor.len()));
            bytes.push(EXPLICIT);
            tensor.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()[..width]));
            bytes
        }
    }
}

/// The number of bytes after the first one, the `kind`, in a component of this shape with elements of `width` bytes.
///
/// # Errors
/// [`Error::Invalid`] on an unknown kind, and on more bytes than an address can tell apart.
pub fn component_length(kind: u8, shape: &[usize], width: usize) -> Result<usize> {
    match kind {
        SEED => Ok(size_of::<[u8; 32]>()),
        EXPLICIT => words_length(shape, width),
        other => Err(Error::invalid("dealt share", format!("a component of unknown kind {other}"))),
    }
}

/// The component of this `kind` that [all its bytes](component_length) encode.
///
/// # Errors
/// [`Error::Invalid`] on an unknown kind and another number of bytes.
pub fn decode_component(kind: u8, bytes: &[u8], shape: &[usize], width: usize) -> Result<Component<u64>> {
    if bytes.len() != component_length(kind, shape, width)? {
        return Err(Error::invalid("dealt share", format!("a component of {} bytes", bytes.len())));
    }
    match kind {
        SEED => {
            let mut seed = Seed(Box::default());
            seed.0.copy_from_slice(bytes);
            Ok(Component::Seed(seed))
        }
        _ => Ok(Component::Explicit(decode_words(bytes, shape, width)?)),
    }
}

/// Both components of a share over Z_2^64.
pub fn encode_dealt(dealt: &Dealt<u64>) -> Zeroizing<Vec<u8>> {
    let [own, next] = [&dealt.own, &dealt.next].map(|component| encode_component(component, WORD));
    Zeroizing::new([&own[..], &next[..]].concat())
}

/// The share over Z_2^64 of this shape that all of `bytes` together encode.
///
/// # Errors
/// [`Error::Invalid`] where they encode none, or bytes are missing or left over.
pub fn decode_dealt(mut bytes: &[u8], shape: &[usize]) -> Result<Dealt<u64>> {
    let mut component = || {
        let cut = || Error::invalid("dealt share", "ends too early");
        let (&kind, rest) = bytes.split_first().ok_or_else(cut)?;
        let (component, rest) = rest.split_at_checked(component_length(kind, shape, WORD)?).ok_or_else(cut)?;
        bytes = rest;
        decode_component(kind, component, shape, WORD)
    };
    let dealt = Dealt { own: component()?, next: component()? };
    match bytes.len() {
        0 => Ok(dealt),
        left => Err(Error::invalid("dealt share", format!("{left} bytes too many"))),
    }
}

/// The number of bytes in a tensor of this shape, `width` for each element.
///
/// # Errors
/// [`Error::Invalid`] where they are more than an address can tell apart.
pub fn words_length(shape: &[usize], width: usize) -> Result<usize> {
    let length = shape.iter().try_fold(width, |n, &side| n.checked_mul(side));
    length.ok_or_else(|| Error::invalid("share", "a tensor larger than memory"))
}

/// The tensor of this shape whose elements are `width` bytes each.
///
/// # Errors
/// [`Error::Invalid`] on another number of bytes.
pub fn decode_words(bytes: &[u8], shape: &[usize], width: usize) -> Result<Tensor<u64>> {
    let word = |bytes: &[u8]| {
        let mut word = [0; WORD];
        word[..width].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let words = bytes.chunks_exact(width).map(word).collect();
    Tensor::from_shape_vec(IxDyn(shape), words).map_err(|e| Error::invalid("share", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Arithmetic;
    use crate::sharing::{InputRange, RangedShare, share, share_ranged};

    #[test]
    fn dealt_shares_round_trip() {
        let secret = Tensor::from_shape_vec(IxDyn(&[2, 3]), vec![0u64, 1, 2, u64::MAX, 7, 1 << 63]).unwrap();
        for dealt in share::<Arithmetic, u64>(&secret).unwrap() {
            let encoded = encode_dealt(&dealt);
            let decoded = decode_dealt(&encoded, &[2, 3]).unwrap();
            assert_eq!(decoded.own.expand(&[2, 3]), dealt.own.expand(&[2, 3]));
            assert_eq!(decoded.next.expand(&[2, 3]), dealt.next.expand(&[2, 3]));
            assert!(decode_dealt(&[&encoded[..], &[0]].concat(), &[2, 3]).is_err(), "a byte too many");
            assert!(decode_dealt(&encoded[..encoded.len() - 1], &[2, 3]).is_err(), "cut short");
            assert!(decode_dealt(&encoded[1..], &[2, 3]).is_err());
        }

        let (range, secret) = (InputRange::holding(8.0, 16), secret.mapv(|x| x % 8).into_shared());
        for dealt in share_ranged(&secret, range).unwrap() {
            let again = |component| {
                let bytes = encode_component(component, range.bytes());
                decode_component(bytes[0], &bytes[1..], &[2, 3], range.bytes()).unwrap()
            };
            let got = Dealt { own: again(&dealt.own), next: again(&dealt.next) };
            let [got, sent] = [got, dealt].map(|dealt| RangedShare::from_dealt(&dealt, &[2, 3], range));
            assert_eq!(got.words().own(), sent.words().own());
            assert_eq!(got.words().next(), sent.words().next());
        }
    }

    #[test]
    fn lengths_that_overflow_are_refused() {
        assert!(words_length(&[1 << 40, 1 << 40], WORD).is_err());
    }
}
