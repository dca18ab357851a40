//! Sealing: XChaCha20-Poly1305 under the store's key, behind a random nonce of 24 bytes. The name of the record is the
//! associated data, so that nobody without the key can change a record or put one in the place of another.

use anyhow::{Context, Result, anyhow};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use mpc_core::session::Id;
use zeroize::Zeroizing;

use super::TemplateKey;
use super::key::StoreKey;

const NONCE: usize = 24;

/// What a sealed record is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name<'a> {
    /// A constant that tells whether the key is the right one.
    Check,
    /// What is in service.
    Catalog,
    /// What may follow it.
    Prepared,
    /// What is said of a publication.
    Header(&'a Id),
    /// A piece of its share.
    Chunk(&'a Id, u32),
    /// A template that was computed with it.
    Template(&'a TemplateKey),
    /// A template of a version that also enrolled with passive security.
    OldTemplate(&'a TemplateKey),
}

impl Name<'_> {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Check => b"check".to_vec(),
            Self::Catalog => b"catalog".to_vec(),
            Self::Prepared => b"prepared".to_vec(),
            Self::Header(id) => [b"header/", &id[..]].concat(),
            Self::Template((id, template)) => [b"checked template/", &id[..], template].concat(),
            Self::OldTemplate((id, template)) => [b"template/", &id[..], template].concat(),
            Self::Chunk(id, index) => [b"chunk/", &id[..], &index.to_le_bytes()].concat(),
        }
    }
}

pub(super) struct Seal(XChaCha20Poly1305);

impl Seal {
    pub(super) fn new(key: &StoreKey) -> Self {
        Self(XChaCha20Poly1305::new((&*key.0).into()))
    }

    pub(super) fn seal(&self, name: Name<'_>, value: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = vec![0; NONCE];
        mpc_core::random::fill(&mut sealed)?;
        let nonce = XNonce::try_from(&sealed[..]).context("a nonce has 24 bytes")?;
        let body = self.0.encrypt(&nonce, Payload { msg: value, aad: &name.bytes() });
        sealed.extend(body.map_err(|_| anyhow!("a record too large to be sealed"))?);
        Ok(sealed)
    }

    pub(super) fn unseal(&self, name: Name<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = || anyhow!("a record does not match its seal: another key, or the file was changed");
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or_else(damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged())?;
        let value = self.0.decrypt(&nonce, Payload { msg: body, aad: &name.bytes() });
        value.map(Zeroizing::new).map_err(|_| damaged())
    }
}
