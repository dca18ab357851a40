//! The cryptography of handshakes and certificates.

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// X25519MLKEM768 offered first, then X25519.
pub(super) fn provider() -> CryptoProvider {
    let kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}
