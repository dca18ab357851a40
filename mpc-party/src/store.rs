//! Shares of published models on disk: a redb database whose every value is sealed.
//!
//! A value is XChaCha20-Poly1305 of the record under the store's key, behind its random nonce of 24 bytes; the record's
//! name is the associated data, so that nobody can swap two records. The key stands in a file of its own, or comes from
//! the environment, and never in the database.
//!
//! A publication is *pending* from [`Store::put`] until [`Store::commit`] makes its model's name point to it.

use std::fmt;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use mpc_core::wire::codec;
use mpc_core::wire::message::Id;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// File name of the key beside the database: 64 hexadecimal digits, readable by its owner alone.
pub const KEY_FILE: &str = "store.key";

/// File name of the database.
pub const DATABASE_FILE: &str = "shares.redb";

/// Sealed public part and sealed weight shares, by publication.
const PUBLICATIONS: TableDefinition<Id, (&[u8], &[u8])> = TableDefinition::new("publications");
/// Sealed id of the publication in service, by model name.
const IN_SERVICE: TableDefinition<&str, &[u8]> = TableDefinition::new("in service");
/// A sealed constant that tells whether the key is the right one.
const CHECK: TableDefinition<(), &[u8]> = TableDefinition::new("check");

const NONCE: usize = 24;

/// The key of a store.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// A fresh key from the operating system.
    pub fn fresh() -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(|e| anyhow!("operating system randomness: {e}"))?;
        Ok(Self(key))
    }

    /// Writes the key to a new file that only its owner can read.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let hex: Zeroizing<String> = Zeroizing::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect());
        let written = options.open(path).and_then(|mut file| {
            file.write_all(hex.as_bytes())?;
            file.sync_all()
        });
        written.with_context(|| format!("cannot write the store key {}", path.display()))
    }

    /// Reads what [`StoreKey::save`] wrote; a file that others can read is refused.
    pub fn load(path: &Path) -> Result<Self> {
        let what = || format!("store key {}", path.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let mode = std::fs::metadata(path).with_context(what)?.mode();
            ensure!(mode & 0o077 == 0, "{}: others can read it; run `chmod 600 {}`", what(), path.display());
        }
        let text = std::fs::read_to_string(path).with_context(what)?;
        Self::try_from(text).map_err(|reason| anyhow!("{}: {reason}", what()))
    }
}

impl TryFrom<String> for StoreKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = Zeroizing::new(text);
        let digits = text.trim().as_bytes();
        let mut key = Zeroizing::new([0; 32]);
        if digits.len() != 64 {
            return Err("a store key is 64 hexadecimal digits");
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or("a store key is 64 hexadecimal digits");
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// The public part of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    /// Name of the model, from its manifest.
    pub name: String,
    /// The manifest, TOML.
    pub manifest: String,
    /// The encoded graph.
    pub graph: Vec<u8>,
}

/// A publication as it is stored.
pub struct Record {
    /// Its name.
    pub publication: Id,
    /// What everybody may know.
    pub public: Public,
    /// Both components of all weights, flat, little endian: first `own`, then `next`.
    pub weights: Zeroizing<Vec<u8>>,
}

/// The database and the key to it.
pub struct Store {
    database: Database,
    cipher: XChaCha20Poly1305,
}

impl Store {
    /// Opens the database in `dir`, or makes one, and forgets what was pending when the last process ended.
    ///
    /// # Errors
    /// The folder cannot be used, another process has the database open, or the key is not the one it was made with.
    pub fn open(dir: &Path, key: &StoreKey) -> Result<Self> {
        let path = dir.join(DATABASE_FILE);
        let what = || format!("cannot open the share store {}", path.display());
        std::fs::create_dir_all(dir).with_context(what)?;
        let database = Database::create(&path).with_context(what)?;
        let store = Self { database, cipher: XChaCha20Poly1305::new((&*key.0).into()) };
        store.check_key().with_context(what)?;
        store.drop_pending().with_context(what)?;
        Ok(store)
    }

    /// Stores a publication, pending. The same one twice is refused.
    pub fn put(&self, record: &Record) -> Result<()> {
        let id = &record.publication;
        let public = self.seal(&name(b"public", id), &codec::encode(&record.public)?)?;
        let weights = self.seal(&name(b"weights", id), &record.weights)?;
        let transaction = self.database.begin_write()?;
        {
            let mut publications = transaction.open_table(PUBLICATIONS)?;
            ensure!(publications.get(id)?.is_none(), "this publication is stored already");
            publications.insert(id, (&public[..], &weights[..]))?;
        }
        Ok(transaction.commit()?)
    }

    /// Makes the name of its model point to a pending publication, and forgets the one that it pointed to before.
    pub fn commit(&self, publication: &Id) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut publications = transaction.open_table(PUBLICATIONS)?;
            let mut in_service = transaction.open_table(IN_SERVICE)?;
            let public = match publications.get(publication)? {
                Some(record) => self.open_public(publication, record.value().0)?,
                None => bail!("this publication is not stored"),
            };
            let older = match in_service.get(&*public.name)? {
                Some(sealed) => Some(self.open_in_service(&public.name, sealed.value())?),
                None => None,
            };
            let sealed = self.seal(&name(b"in service", public.name.as_bytes()), publication)?;
            in_service.insert(&*public.name, &sealed[..])?;
            if let Some(older) = older.filter(|older| older != publication) {
                publications.remove(older)?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Forgets a pending publication.
    pub fn remove(&self, publication: &Id) -> Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(PUBLICATIONS)?.remove(publication)?;
        Ok(transaction.commit()?)
    }

    /// Everything in service.
    ///
    /// # Errors
    /// A record was changed by somebody without the key.
    pub fn load(&self) -> Result<Vec<Record>> {
        let transaction = self.database.begin_read()?;
        let publications = transaction.open_table(PUBLICATIONS)?;
        let mut records = Vec::new();
        for entry in transaction.open_table(IN_SERVICE)?.iter()? {
            let (model, sealed) = entry?;
            let publication = self.open_in_service(model.value(), sealed.value())?;
            let stored = publications.get(&publication)?;
            let stored = stored.with_context(|| format!("the shares of model {:?} are gone", model.value()))?;
            let (public, weights) = stored.value();
            let public = self.open_public(&publication, public)?;
            let weights = self.unseal(&name(b"weights", &publication), weights)?;
            records.push(Record { publication, public, weights });
        }
        Ok(records)
    }

    fn check_key(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut check = transaction.open_table(CHECK)?;
            let known = check.get(())?.map(|sealed| self.unseal(b"check", sealed.value()).map(drop));
            match known {
                Some(known) => known.context("the store key is not the one that this database was made with")?,
                None => drop(check.insert((), &self.seal(b"check", b"")?[..])?),
            }
        }
        Ok(transaction.commit()?)
    }

    fn drop_pending(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let in_service = transaction.open_table(IN_SERVICE)?;
            let mut keep = Vec::new();
            for entry in in_service.iter()? {
                let (model, sealed) = entry?;
                keep.push(self.open_in_service(model.value(), sealed.value())?);
            }
            transaction.open_table(PUBLICATIONS)?.retain(|publication, _| keep.contains(&publication))?;
        }
        Ok(transaction.commit()?)
    }

    fn open_public(&self, publication: &Id, sealed: &[u8]) -> Result<Public> {
        Ok(codec::decode(&self.unseal(&name(b"public", publication), sealed)?)?)
    }

    fn open_in_service(&self, model: &str, sealed: &[u8]) -> Result<Id> {
        let id = self.unseal(&name(b"in service", model.as_bytes()), sealed)?;
        Id::try_from(&id[..]).context("the record of a model in service is damaged")
    }

    fn seal(&self, name: &[u8], value: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = vec![0; NONCE];
        getrandom::fill(&mut sealed).map_err(|e| anyhow!("operating system randomness: {e}"))?;
        let nonce = XNonce::try_from(&sealed[..]).context("a nonce has 24 bytes")?;
        let body = self.cipher.encrypt(&nonce, Payload { msg: value, aad: name });
        sealed.extend(body.map_err(|_| anyhow!("a record too large to be sealed"))?);
        Ok(sealed)
    }

    fn unseal(&self, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged =
            || anyhow!("a record in the share store does not match its seal: wrong key, or the file was changed");
        let (nonce, body) = sealed.split_at_checked(NONCE).ok_or_else(damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged())?;
        let value = self.cipher.decrypt(&nonce, Payload { msg: body, aad: name });
        value.map(Zeroizing::new).map_err(|_| damaged())
    }
}

/// Name of a record, unique across kinds because no kind holds a slash.
fn name(kind: &[u8], id: &[u8]) -> Vec<u8> {
    [kind, b"/", id].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(byte: u8) -> Record {
        let public = Public { name: "digits".into(), manifest: "m".into(), graph: vec![byte] };
        Record { publication: [byte; 32], public, weights: Zeroizing::new(vec![0xa5; 1000]) }
    }

    fn in_service(store: &Store) -> Vec<u8> {
        store.load().unwrap().iter().map(|record| record.publication[0]).collect()
    }

    #[test]
    fn committed_publications_survive_and_pending_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let key = StoreKey::fresh().unwrap();
        let store = Store::open(dir.path(), &key).unwrap();
        store.put(&record(1)).unwrap();
        assert!(store.put(&record(1)).is_err(), "twice");
        assert!(in_service(&store).is_empty());
        store.commit(&[1; 32]).unwrap();
        store.put(&record(2)).unwrap();
        drop(store);

        let store = Store::open(dir.path(), &key).unwrap();
        assert_eq!(in_service(&store), [1]);
        assert!(store.commit(&[2; 32]).is_err(), "dropped when the store was opened");
        let loaded = store.load().unwrap().remove(0);
        assert_eq!((loaded.public, loaded.weights), (record(1).public, record(1).weights));

        store.put(&record(3)).unwrap();
        store.commit(&[3; 32]).unwrap();
        assert_eq!(in_service(&store), [3], "replaces the model of the same name");
        store.remove(&[1; 32]).unwrap();
    }

    #[test]
    fn sealed_and_tied_to_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = StoreKey::fresh().unwrap();
        let store = Store::open(dir.path(), &key).unwrap();
        store.put(&record(1)).unwrap();
        store.commit(&[1; 32]).unwrap();
        drop(store);
        let bytes = std::fs::read(dir.path().join(DATABASE_FILE)).unwrap();
        assert!(!bytes.windows(16).any(|window| window == [0xa5; 16]), "the weights are not in the file");

        let error = Store::open(dir.path(), &StoreKey::fresh().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains("store key"), "{error:#}");
    }

    #[test]
    fn swapped_and_changed_records_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreKey::fresh().unwrap()).unwrap();
        store.put(&record(1)).unwrap();
        store.commit(&[1; 32]).unwrap();
        store.put(&record(2)).unwrap();

        let transaction = store.database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(PUBLICATIONS).unwrap();
            let other = table.get([2; 32]).unwrap().map(|r| (r.value().0.to_vec(), r.value().1.to_vec())).unwrap();
            table.insert([1; 32], (&other.0[..], &other.1[..])).unwrap();
        }
        transaction.commit().unwrap();
        assert!(store.load().is_err(), "the record of another publication");

        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(IN_SERVICE).unwrap().insert("digits", &[0; 60][..]).unwrap();
        transaction.commit().unwrap();
        assert!(store.load().is_err(), "another record in service");
        assert!(store.unseal(b"check", &[1, 2, 3]).is_err(), "too short");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        let key = StoreKey::fresh().unwrap();
        key.save(&path).unwrap();
        assert_eq!(*StoreKey::load(&path).unwrap().0, *key.0);
        assert!(key.save(&path).is_err(), "never overwritten");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(StoreKey::load(&path).unwrap_err().to_string().contains("chmod 600"));
        assert!(StoreKey::try_from("zz".repeat(32)).is_err());
    }
}
