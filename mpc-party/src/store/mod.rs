//! What a party keeps: its shares of models and of enrolled templates, and which of them are in service. A redb database whose every value is
//! sealed.
//!
//! A publication is *begun*, grows chunk by chunk and is *complete* when its share is whole. Which complete ones are in
//! service is one record, the [`Catalog`], so that every change of it happens at one instant or not at all. Each write is
//! durable before it returns, and a process that is killed at any instant finds the state before or after it.

mod archive;
mod key;
mod seal;
mod templates;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use anyhow::{Context, Result, bail, ensure};
use mpc_core::session::Id;
use mpc_core::wire::codec;
use mpc_core::wire::peer::Catalog;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use archive::{Verification, restore};
pub use key::{KEY_FILE, StoreKey};
use seal::{Name, Seal};
pub use templates::{Template, TemplateKey};

/// File name of the database.
pub const DATABASE_FILE: &str = "shares.redb";

/// Bytes of a share that are stored at a time.
pub const CHUNK: usize = 1 << 20;

/// MiB that must be left on the disk besides a share.
const SPARE_MIB: u64 = 16;

const CHECK: TableDefinition<(), &[u8]> = TableDefinition::new("check");
const CATALOG: TableDefinition<(), &[u8]> = TableDefinition::new("catalog");
const PREPARED: TableDefinition<(), &[u8]> = TableDefinition::new("prepared");
const HEADERS: TableDefinition<Id, &[u8]> = TableDefinition::new("headers");
const CHUNKS: TableDefinition<(Id, u32), &[u8]> = TableDefinition::new("chunks");
const TEMPLATES: TableDefinition<TemplateKey, &[u8]> = TableDefinition::new("templates");

/// What is said of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose it is.
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

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// The database and the key to it.
pub struct Store {
    path: PathBuf,
    /// Opens the database once more.
    opener: Opener,
    /// Absent where it could not be opened again after an error of the disk.
    database: RwLock<Option<Database>>,
    seal: Seal,
}

impl Store {
    /// Opens the database in `dir`, or makes one.
    ///
    /// # Errors
    /// The folder cannot be used, another process has the database open, or the key is not the one it was made with.
    pub fn open(dir: &Path, key: &StoreKey) -> Result<Self> {
        let path = dir.join(DATABASE_FILE);
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {} (data)", dir.display()))?;
        if !path.exists() {
            make(&path, key).with_context(|| format!("cannot make the share store {}", path.display()))?;
        }
        let file = path.clone();
        Self::open_with(path, Box::new(move || Database::open(&file)), key)
    }

    /// As [`Store::open`], or nothing where another process has the database open.
    ///
    /// # Errors
    /// As there.
    pub fn open_if_free(dir: &Path, key: &StoreKey) -> Result<Option<Self>> {
        match Self::open(dir, key) {
            Err(error) if matches!(error.downcast_ref(), Some(DatabaseError::DatabaseAlreadyOpen)) => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn open_with(path: PathBuf, opener: Opener, key: &StoreKey) -> Result<Self> {
        let what = || format!("cannot open the share store {}", path.display());
        let database = RwLock::new(Some(opener().with_context(what)?));
        let store = Self { path: path.clone(), opener, database, seal: Seal::new(key) };
        store.check_key().with_context(what)?;
        Ok(store)
    }

    /// Begins an upload, or goes on with one of the same share. How many bytes are there already, whole chunks of it. A share that
    /// should be whole and cannot be read is damaged: it begins anew.
    pub fn begin(&self, id: &Id, header: &Header) -> Result<u64> {
        let readable = self.read(id).is_ok();
        self.write(|transaction| {
            let mut headers = transaction.open_table(HEADERS)?;
            let known = headers.get(id)?.and_then(|sealed| self.header(id, sealed.value()).ok());
            if let Some(known) = known.filter(|known| known.same_share(header)) {
                let have = stored(transaction, id)?.min(known.length);
                if have < known.length || readable {
                    return Ok(have);
                }
            }
            forget_chunks(transaction, id)?;
            let sealed = self.seal.seal(Name::Header(id), &codec::encode(header)?)?;
            headers.insert(id, &sealed[..])?;
            Ok(0)
        })
    }

    /// Whether a share of so many bytes fits the disk, with some room to spare.
    ///
    /// # Errors
    /// It does not; how much there is.
    pub fn check_room(&self, bytes: u64) -> Result<(), String> {
        let (needed, free) = ((bytes + bytes / 8).div_ceil(1 << 20) + SPARE_MIB, free_mib(&self.path));
        let folder = self.path.parent().unwrap_or(Path::new("."));
        match free {
            Some(free) if free < needed => {
                Err(format!("the disk of {} (data) has {free} MiB left, {needed} MiB are needed", folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// Stores the chunk of a share that begins at `index` times [`CHUNK`] bytes.
    pub fn append(&self, id: &Id, index: u32, chunk: &[u8]) -> Result<()> {
        let sealed = self.seal.seal(Name::Chunk(id, index), chunk)?;
        self.write(|transaction| {
            transaction.open_table(CHUNKS)?.insert((*id, index), &sealed[..])?;
            Ok(())
        })
    }

    /// Marks a publication as complete, if its share is what was announced.
    ///
    /// # Errors
    /// It is not: the upload has to begin again, and what is here is forgotten.
    pub fn complete(&self, id: &Id) -> Result<()> {
        let (header, share) = self.read(id)?;
        if Sha256::digest(&share)[..] != header.digest {
            self.remove(&[*id])?;
            bail!("the share that arrived is not the one that was announced; upload it again");
        }
        let sealed = self.seal.seal(Name::Header(id), &codec::encode(&Header { complete: true, ..header })?)?;
        self.write(|transaction| {
            transaction.open_table(HEADERS)?.insert(id, &sealed[..])?;
            Ok(())
        })
    }

    /// A publication and its dealt share.
    ///
    /// # Errors
    /// It is not there, or a record of it was changed by somebody without the key.
    pub fn read(&self, id: &Id) -> Result<(Header, Zeroizing<Vec<u8>>)> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let sealed = transaction.open_table(HEADERS)?.get(id)?.context("this publication is not stored here")?;
            let header = self.header(id, sealed.value())?;
            let table = transaction.open_table(CHUNKS)?;
            let mut share = Zeroizing::new(Vec::new());
            for index in 0..header.chunks() {
                let sealed = table.get((*id, index))?.with_context(|| format!("chunk {index} of the share is gone"))?;
                share.extend_from_slice(&self.seal.unseal(Name::Chunk(id, index), sealed.value())?);
            }
            ensure!(share.len() as u64 == header.length, "the share has {} bytes of {}", share.len(), header.length);
            Ok((header, share))
        })
    }

    /// Every publication that is complete or begun; one whose record is damaged has an error in its place.
    pub fn headers(&self) -> Result<Vec<(Id, Result<Header>)>> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(HEADERS)?;
            let entries = table.iter()?.map(|entry| {
                let (id, sealed) = entry?;
                Ok((id.value(), self.header(&id.value(), sealed.value())))
            });
            entries.collect()
        })
    }

    /// Whether it can be read.
    pub fn is_usable(&self) -> bool {
        self.with(|database| Ok(database.begin_read()?.open_table(CHECK).map(drop)?)).is_ok()
    }

    /// What is in service.
    ///
    /// # Errors
    /// The record was changed by somebody without the key.
    pub fn catalog(&self) -> Result<Catalog> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(CATALOG)?;
            let Some(sealed) = table.get(())? else { return Ok(Catalog::default()) };
            let what = "the record of what is in service";
            Ok(codec::decode(&self.seal.unseal(Name::Catalog, sealed.value()).context(what)?)?)
        })
    }

    /// Replaces what is in service, and forgets publications and templates, in one step.
    pub fn set_catalog(&self, catalog: &Catalog, forget: &[Id], templates: &[TemplateKey]) -> Result<()> {
        let sealed = self.seal.seal(Name::Catalog, &codec::encode(catalog)?)?;
        self.write(|transaction| {
            transaction.open_table(CATALOG)?.insert((), &sealed[..])?;
            forget_templates(transaction, templates)?;
            self.forget(transaction, forget)
        })
    }

    /// The list that may follow the one in service, as it was [set](Store::set_prepared) last. A backup does not have it.
    ///
    /// # Errors
    /// The record was changed by somebody without the key.
    pub fn prepared(&self) -> Result<Option<Catalog>> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(PREPARED)?;
            let Some(sealed) = table.get(())? else { return Ok(None) };
            let what = "the record of what may follow what is in service";
            Ok(Some(codec::decode(&self.seal.unseal(Name::Prepared, sealed.value()).context(what)?)?))
        })
    }

    /// Replaces the list that may follow the one in service.
    pub fn set_prepared(&self, next: Option<&Catalog>) -> Result<()> {
        let sealed = next.map(|next| self.seal.seal(Name::Prepared, &codec::encode(next)?)).transpose()?;
        self.write(|transaction| {
            let mut table = transaction.open_table(PREPARED)?;
            match sealed {
                Some(sealed) => table.insert((), &sealed[..])?.map(drop),
                None => table.remove(())?.map(drop),
            };
            Ok(())
        })
    }

    /// Forgets publications.
    pub fn remove(&self, ids: &[Id]) -> Result<()> {
        self.write(|transaction| self.forget(transaction, ids))
    }

    fn forget(&self, transaction: &WriteTransaction, ids: &[Id]) -> Result<()> {
        for id in ids {
            transaction.open_table(HEADERS)?.remove(id)?;
            forget_chunks(transaction, id)?;
        }
        Ok(())
    }

    /// Makes the tables, and checks the key.
    fn check_key(&self) -> Result<()> {
        self.write(|transaction| {
            transaction.open_table(CATALOG)?;
            transaction.open_table(PREPARED)?;
            transaction.open_table(HEADERS)?;
            transaction.open_table(CHUNKS)?;
            transaction.open_table(TEMPLATES)?;
            let mut check = transaction.open_table(CHECK)?;
            let known = check.get(())?.map(|sealed| self.seal.unseal(Name::Check, sealed.value()).map(drop));
            match known {
                Some(known) => known.context("the store key is not the one that this database was made with"),
                None => {
                    check.insert((), &self.seal.seal(Name::Check, b"")?[..])?;
                    Ok(())
                }
            }
        })
    }

    fn header(&self, id: &Id, sealed: &[u8]) -> Result<Header> {
        Ok(codec::decode(&self.seal.unseal(Name::Header(id), sealed)?)?)
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        work(database.as_ref().context("the share store could not be opened again after an error of the disk")?)
    }

    /// One transaction: all of it, durable, or nothing.
    fn write<T>(&self, change: impl FnOnce(&WriteTransaction) -> Result<T>) -> Result<T> {
        let written = self.with(|database| {
            let transaction = database.begin_write()?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        });
        written.inspect_err(|_| self.reopen()).with_context(|| format!("share store {}", self.path.display()))
    }

    /// After an error of the disk the database takes no more writes until it is opened anew: a full disk may have room again.
    fn reopen(&self) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *database = None;
        match (self.opener)() {
            Ok(opened) => *database = Some(opened),
            Err(error) => tracing::error!(path = %self.path.display(), "cannot open the share store again: {error}"),
        }
    }
}

/// Makes a new database under another name first: one that is killed while it is being made is not one yet.
fn make(path: &Path, key: &StoreKey) -> Result<()> {
    let part = path.with_extension("part");
    if part.exists() {
        std::fs::remove_file(&part)?;
    }
    let file = part.clone();
    drop(Store::open_with(part.clone(), Box::new(move || Database::create(&file)), key)?);
    Ok(std::fs::rename(part, path)?)
}

/// MiB that the disk of a file has left, where that can be known.
#[cfg(unix)]
fn free_mib(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some((disk.f_bavail.saturating_mul(disk.f_frsize)) >> 20)
}

#[cfg(not(unix))]
fn free_mib(_: &Path) -> Option<u64> {
    None
}

/// Bytes in the chunks from the first one on.
fn stored(transaction: &WriteTransaction, id: &Id) -> Result<u64> {
    let chunks = transaction.open_table(CHUNKS)?;
    let there = chunks.range((*id, 0)..=(*id, u32::MAX))?.take_while(Result::is_ok).count();
    Ok((there * CHUNK) as u64)
}

fn forget_chunks(transaction: &WriteTransaction, id: &Id) -> Result<()> {
    Ok(transaction.open_table(CHUNKS)?.retain_in((*id, 0)..=(*id, u32::MAX), |_, _| false)?)
}

fn forget_templates(transaction: &WriteTransaction, keys: &[TemplateKey]) -> Result<()> {
    let mut table = transaction.open_table(TEMPLATES)?;
    for key in keys {
        table.remove(key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
