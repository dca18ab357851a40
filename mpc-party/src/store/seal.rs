//! Sealing: XChaCha20-Poly1305 under the store's key, prefixed with a random nonce of 24 bytes. The name of the record
//! is the associated data, so nobody without the key can change a record or swap it with another.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::TemplateKey;
use super::backend::Record;
use super::error::{Result, StoreError};
use super::key::StoreKey;

const NONCE: usize = 24;

/// The name that a record is sealed under.
pub(super) fn name(record: Record) -> Vec<u8> {
    match record {
        Record::Check => b"check".to_vec(),
        Record::Catalog => b"catalog".to_vec(),
        Record::Prepared => b"prepared".to_vec(),
        Record::Header(id) => [b"header/", &id[..]].concat(),
        Record::Template((id, template)) => [b"checked template/", &id[..], &template].concat(),
        Record::Chunk(id, index) => [b"chunk/", &id[..], &index.to_le_bytes()].concat(),
    }
}

/// The name of a template from a version that also enrolled with passive security.
pub(super) fn old_template_name((id, template): &TemplateKey) -> Vec<u8> {
    [b"template/", &id[..], template].concat()
}

/// A record, for people.
fn describe(record: Record) -> String {
    match record {
        Record::Check => "the record that identifies the key".into(),
        Record::Catalog => "restore a backup (mpc-party store restore): the record of what is in service".into(),
        Record::Prepared => "the record of the prepared list".into(),
        Record::Header(_) => "the record of this publication".into(),
        Record::Chunk(_, index) => format!("chunk {index} of the share"),
        Record::Template(_) => "the template".into(),
    }
}

pub(super) struct Seal(XChaCha20Poly1305);

impl Seal {
    pub(super) fn new(key: &StoreKey) -> Self {
        Self(XChaCha20Poly1305::new((&*key.0).into()))
    }

    pub(super) fn seal(&self, name: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = XNonce::default();
        mpc_core::random::fill(&mut nonce)?;
        let body = self.0.encrypt(&nonce, Payload { msg: value, aad: name });
        let body = body.map_err(|_| StoreError::Refused("a record too large to be sealed".into()))?;
        Ok([&nonce[..], &body].concat())
    }

    pub(super) fn unseal(&self, record: Record, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.unseal_as(&name(record), sealed).ok_or_else(|| StoreError::Damaged(describe(record)))
    }

    pub(super) fn unseal_as(&self, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_at_checked(NONCE)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        self.0.decrypt(&nonce, Payload { msg: body, aad: name }).map(Zeroizing::new).ok()
    }
}
