//! The share store: a party's shares of models and of enrolled templates, and the list of what is in service. Every
//! value is sealed; a [`ShareStore`] keeps the sealed records.
//!
//! A publication is *begun*, grows chunk by chunk and is *complete* when its share is whole. One record, the
//! [`Catalog`](mpc_core::wire::peer::Catalog), says which complete ones are in service, so that a change happens at one
//! instant or not at all. Each write is durable before it returns, and a process killed at any instant finds the state
//! before or after it.

mod archive;
mod backend;
mod embedded;
mod error;
mod key;
mod lists;
mod seal;
mod templates;

use std::path::{Path, PathBuf};

use mpc_core::session::Id;
use mpc_core::wire::codec;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use self::archive::{Verification, restore};
pub use self::backend::{Batch, Record, ShareStore, Snapshot};
use self::embedded::Embedded;
pub use self::error::{Result, StoreError};
pub use self::key::{KEY_FILE, StoreKey};
use self::seal::Seal;
pub use self::templates::{Template, TemplateKey};

/// File name of the database.
pub const DATABASE_FILE: &str = "shares.redb";

/// Bytes of a share stored at a time.
pub const CHUNK: usize = 1 << 20;

/// MiB that must remain free on the disk after a share.
const SPARE_MIB: u64 = 16;

/// The description of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The tenant that owns it.
    pub tenant: String,
    /// The manifest, TOML.
    pub manifest: String,
    /// The encoded graph.
    pub graph: Vec<u8>,
    /// Bytes of the dealt share.
    pub length: u64,
    /// SHA-256 of the dealt share.
    pub digest: Id,
    /// When the upload began, seconds since 1970 by this party's clock.
    pub begun_s: u64,
    /// Whether the share is whole.
    pub complete: bool,
}

impl Header {
    fn chunks(&self) -> u32 {
        self.length.div_ceil(CHUNK as u64) as u32
    }

    /// Whether both announce the same bytes.
    fn same_share(&self, other: &Self) -> bool {
        (&self.tenant, &self.manifest, &self.graph, self.length, self.digest)
            == (&other.tenant, &other.manifest, &other.graph, other.length, other.digest)
    }
}

/// The records and the key that they are sealed with.
pub struct Store {
    path: PathBuf,
    backend: Box<dyn ShareStore>,
    seal: Seal,
}

impl Store {
    /// Opens the database in `dir`, or creates one.
    ///
    /// # Errors
    /// [`StoreError::File`] where the folder cannot be used, [`StoreError::InUse`], [`StoreError::WrongKey`].
    pub fn open(dir: &Path, key: &StoreKey) -> Result<Self> {
        let path = dir.join(DATABASE_FILE);
        let what = format!("cannot make the folder {} (data)", dir.display());
        std::fs::create_dir_all(dir).map_err(StoreError::file(what))?;
        if !path.exists() {
            make(&path, key)?;
        }
        Self::with(Box::new(Embedded::open(&path)?), &path, key)
    }

    /// As [`Store::open`], or nothing where another process has the database open.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_if_free(dir: &Path, key: &StoreKey) -> Result<Option<Self>> {
        match Self::open(dir, key) {
            Err(StoreError::InUse(_)) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// A store that seals the records of a backend with a key. Messages call it `path`.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`] where the records are sealed with another key.
    pub fn with(backend: Box<dyn ShareStore>, path: &Path, key: &StoreKey) -> Result<Self> {
        let store = Self { path: path.to_owned(), backend, seal: Seal::new(key) };
        let known = store.backend.snapshot()?.get(Record::Check)?;
        match known {
            Some(sealed) => {
                let known = store.seal.unseal(Record::Check, &sealed);
                known.map_err(|_| StoreError::WrongKey(path.to_owned()))?;
            }
            None => store.put(Record::Check, b"", Batch::default())?,
        }
        Ok(store)
    }

    /// Begins an upload, or resumes one of the same share. Returns how many bytes, in whole chunks, are stored already.
    /// A share that should be whole but cannot be read is damaged: its upload starts over.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn begin(&self, id: &Id, header: &Header) -> Result<u64> {
        if let Some(have) = self.stored(id, header)? {
            return Ok(have);
        }
        let anew = Batch { remove_chunks: vec![*id], ..Batch::default() };
        self.put(Record::Header(*id), &codec::encode(header)?, anew)?;
        Ok(0)
    }

    /// The stored bytes of the very share that `header` announces, if its upload may resume.
    fn stored(&self, id: &Id, header: &Header) -> Result<Option<u64>> {
        let snapshot = self.backend.snapshot()?;
        let sealed = snapshot.get(Record::Header(*id))?;
        let known = sealed.and_then(|sealed| self.header(id, &sealed).ok());
        let Some(known) = known.filter(|known| known.same_share(header)) else { return Ok(None) };
        let have = (u64::from(snapshot.chunks(id)?) * CHUNK as u64).min(known.length);
        Ok((have < known.length || self.read(id).is_ok()).then_some(have))
    }

    /// Checks that a share of `bytes` bytes fits the disk, with some room to spare.
    ///
    /// # Errors
    /// [`StoreError::Refused`] says how much room there is.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        let needed = (bytes + bytes / 8).div_ceil(1 << 20) + SPARE_MIB;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        match self.backend.free_mib() {
            Some(free) if free < needed => Err(StoreError::Refused(format!(
                "the disk of {} (data) has {free} MiB left, {needed} MiB are needed",
                folder.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Stores the chunk of a share that begins at `index` times [`CHUNK`] bytes.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn append(&self, id: &Id, index: u32, chunk: &[u8]) -> Result<()> {
        self.put(Record::Chunk(*id, index), chunk, Batch::default())
    }

    /// Marks a publication as complete, if its share is the announced one.
    ///
    /// # Errors
    /// The share is another one: its chunks are deleted, and the upload must start over.
    pub fn complete(&self, id: &Id) -> Result<()> {
        let (header, share) = self.read(id)?;
        if Sha256::digest(&share)[..] != header.digest {
            self.remove(&[*id])?;
            let reason = "the share that arrived is not the one that was announced; upload it again";
            return Err(StoreError::Refused(reason.into()));
        }
        let complete = Header { complete: true, ..header };
        self.put(Record::Header(*id), &codec::encode(&complete)?, Batch::default())
    }

    /// A publication and its dealt share.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Damaged`].
    pub fn read(&self, id: &Id) -> Result<(Header, Zeroizing<Vec<u8>>)> {
        let snapshot = self.backend.snapshot()?;
        let sealed = snapshot.get(Record::Header(*id))?;
        let sealed = sealed.ok_or_else(|| StoreError::Missing("this publication is not stored here".into()))?;
        let header = self.header(id, &sealed)?;
        let mut share = Zeroizing::new(Vec::new());
        for index in 0..header.chunks() {
            let chunk = Record::Chunk(*id, index);
            let sealed = snapshot.get(chunk)?;
            let sealed = sealed.ok_or_else(|| StoreError::Missing(format!("chunk {index} of the share is gone")))?;
            share.extend_from_slice(&self.seal.unseal(chunk, &sealed)?);
        }
        if share.len() as u64 != header.length {
            let (have, length) = (share.len(), header.length);
            return Err(StoreError::Missing(format!("the share has {have} bytes of {length}")));
        }
        Ok((header, share))
    }

    /// Every publication, complete or begun; a damaged record yields an error in its place.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn headers(&self) -> Result<Vec<(Id, Result<Header>)>> {
        let snapshot = self.backend.snapshot()?;
        let ids = snapshot.headers()?.into_iter();
        let headers = ids.filter_map(|id| match snapshot.get(Record::Header(id)) {
            Ok(sealed) => Some(Ok((id, self.header(&id, &sealed?)))),
            Err(error) => Some(Err(error)),
        });
        headers.collect()
    }

    /// Whether the store can be read.
    pub fn is_usable(&self) -> bool {
        self.backend.snapshot().is_ok()
    }

    /// Deletes publications.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn remove(&self, ids: &[Id]) -> Result<()> {
        self.backend.write(&forget(ids)).map(drop)
    }

    fn header(&self, id: &Id, sealed: &[u8]) -> Result<Header> {
        Ok(codec::decode(&self.seal.unseal(Record::Header(*id), sealed)?)?)
    }

    /// Seals and writes a record, in one step with the rest of a batch.
    fn put(&self, record: Record, value: &[u8], batch: Batch) -> Result<()> {
        self.swap(record, value, batch).map(drop)
    }

    /// As [`Store::put`]; returns whether the batch was applied.
    fn swap(&self, record: Record, value: &[u8], mut batch: Batch) -> Result<bool> {
        batch.put.push((record, self.seal.seal(&seal::name(record), value)?));
        self.backend.write(&batch)
    }
}

/// The batch that deletes publications.
fn forget(ids: &[Id]) -> Batch {
    let remove = ids.iter().map(|id| Record::Header(*id)).collect();
    Batch { remove, remove_chunks: ids.to_vec(), ..Batch::default() }
}

/// Creates a database under another name first, so that a process killed in between leaves no half-made one.
fn make(path: &Path, key: &StoreKey) -> Result<()> {
    let part = path.with_extension("part");
    let what = || format!("cannot make the share store {}", path.display());
    if part.exists() {
        std::fs::remove_file(&part).map_err(StoreError::file(what()))?;
    }
    drop(Store::with(Box::new(Embedded::create(&part)?), &part, key)?);
    std::fs::rename(part, path).map_err(StoreError::file(what()))
}

#[cfg(test)]
mod tests;
