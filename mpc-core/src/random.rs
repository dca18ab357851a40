//! Random numbers of the operating system.

use crate::error::{Error, Result};

/// Fills `bytes` with random bytes.
///
/// # Errors
/// [`Error::System`] where the operating system has none.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::system("random numbers", e))
}
