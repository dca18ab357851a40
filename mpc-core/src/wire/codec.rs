//! The one place that knows bincode: fixed-width little-endian integers, a size limit, no trailing bytes.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Largest size of any encoded object in bytes; a stream that carries one may allow less.
pub const MAX_ENCODED: usize = 64 << 20;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_ENCODED>> =
    bincode::config::standard().with_fixed_int_encoding().with_little_endian().with_limit::<MAX_ENCODED>();

/// The bytes of `value`.
///
/// # Errors
/// [`Error::Invalid`] where they exceed [`MAX_ENCODED`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|e| Error::invalid("encoding", e.to_string()))
}

/// The value that all of `bytes` together encode.
///
/// # Errors
/// [`Error::Invalid`] where they encode no such value, or bytes are left over. Memory is bounded by [`MAX_ENCODED`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|e| Error::invalid("encoded message", e.to_string()))?;
    if used != bytes.len() {
        return Err(Error::invalid("encoded message", format!("{} bytes too many", bytes.len() - used)));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_what_is_cut_or_longer() {
        let bytes = encode(&(7u32, "seven")).unwrap();
        assert_eq!(decode::<(u32, String)>(&bytes).unwrap(), (7, "seven".to_owned()));
        assert!(decode::<(u32, String)>(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode::<(u32, String)>(&[&bytes[..], &[0]].concat()).is_err());
        let huge = [&7u32.to_le_bytes()[..], &(1u64 << 60).to_le_bytes()].concat();
        assert!(decode::<(u32, String)>(&huge).is_err(), "a length of 2^60 takes no memory");
    }
}
