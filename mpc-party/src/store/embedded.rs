//! The backend within the process: a redb database in a file.

use std::fmt;
use std::path::{Path, PathBuf};

use mpc_core::session::Id;
use parking_lot::{RwLock, RwLockReadGuard};
use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use super::TemplateKey;
use super::backend::{Batch, Record, ShareStore, Snapshot};
use super::error::{Result, StoreError};

const CHECK: TableDefinition<(), &[u8]> = TableDefinition::new("check");
const CATALOG: TableDefinition<(), &[u8]> = TableDefinition::new("catalog");
const PREPARED: TableDefinition<(), &[u8]> = TableDefinition::new("prepared");
const HEADERS: TableDefinition<Id, &[u8]> = TableDefinition::new("headers");
const CHUNKS: TableDefinition<(Id, u32), &[u8]> = TableDefinition::new("chunks");
const TEMPLATES: TableDefinition<TemplateKey, &[u8]> = TableDefinition::new("templates");

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// Holds off [`Embedded::reopen`].
type Open<'s> = RwLockReadGuard<'s, Option<Database>>;

/// A database in a file.
pub(super) struct Embedded {
    path: PathBuf,
    /// Opens the database once more.
    opener: Opener,
    /// `None` where it could not be reopened after a disk error.
    database: RwLock<Option<Database>>,
}

impl Embedded {
    /// Creates a database.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = path.to_owned();
        Self::open_with(path, Box::new(move || Database::create(&file)))
    }

    /// Opens an existing database.
    ///
    /// # Errors
    /// [`StoreError::InUse`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = path.to_owned();
        Self::open_with(path, Box::new(move || Database::open(&file)))
    }

    pub(super) fn open_with(path: &Path, opener: Opener) -> Result<Self> {
        let database = opener().map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            other => StoreError::Database { path: path.to_owned(), reason: format!("cannot open it: {other}") },
        })?;
        let store = Self { path: path.to_owned(), opener, database: RwLock::new(Some(database)) };
        store.make_tables()?;
        Ok(store)
    }

    fn make_tables(&self) -> Result<()> {
        self.transact(|transaction| {
            Tables::open(transaction)?;
            Ok(true)
        })?;
        Ok(())
    }

    fn with<'s, T>(&'s self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<(T, Open<'s>)> {
        // Recursive: a thread that holds a snapshot may take another one while `reopen` waits.
        let open = self.database.read_recursive();
        let gone = || self.failed("it could not be reopened after a disk error");
        let result = work(open.as_ref().ok_or_else(gone)?).map_err(|error| self.failed(error))?;
        Ok((result, open))
    }

    /// Runs one transaction: all of it, durable, or nothing if `change` returns false.
    fn transact(&self, change: impl FnOnce(&WriteTransaction) -> Result<bool, redb::Error>) -> Result<bool> {
        let written = self.with(|database| {
            let transaction = database.begin_write()?;
            let applied = change(&transaction)?;
            if applied {
                transaction.commit()?
            } else {
                transaction.abort()?
            }
            Ok(applied)
        });
        match written {
            Ok((applied, _)) => Ok(applied),
            Err(error) => {
                self.reopen();
                Err(error)
            }
        }
    }

    /// After a disk error the database takes no more writes until it is reopened; a full disk may have room again.
    fn reopen(&self) {
        let mut database = self.database.write();
        *database = None;
        match (self.opener)() {
            Ok(opened) => *database = Some(opened),
            Err(error) => tracing::error!(path = %self.path.display(), "cannot open the share store again: {error}"),
        }
    }

    fn failed(&self, reason: impl fmt::Display) -> StoreError {
        StoreError::Database { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// The tables of a write transaction.
struct Tables<'t> {
    check: Table<'t, (), &'static [u8]>,
    catalog: Table<'t, (), &'static [u8]>,
    prepared: Table<'t, (), &'static [u8]>,
    headers: Table<'t, Id, &'static [u8]>,
    chunks: Table<'t, (Id, u32), &'static [u8]>,
    templates: Table<'t, TemplateKey, &'static [u8]>,
}

/// Evaluates an expression with the table and the key of a record.
macro_rules! with_table {
    ($tables:expr, $record:expr, |$table:ident, $key:ident| $body:expr) => {
        match $record {
            Record::Check => {
                let ($table, $key) = (&mut $tables.check, ());
                $body
            }
            Record::Catalog => {
                let ($table, $key) = (&mut $tables.catalog, ());
                $body
            }
            Record::Prepared => {
                let ($table, $key) = (&mut $tables.prepared, ());
                $body
            }
            Record::Header(id) => {
                let ($table, $key) = (&mut $tables.headers, id);
                $body
            }
            Record::Chunk(id, index) => {
                let ($table, $key) = (&mut $tables.chunks, (id, index));
                $body
            }
            Record::Template(key) => {
                let ($table, $key) = (&mut $tables.templates, key);
                $body
            }
        }
    };
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            check: transaction.open_table(CHECK)?,
            catalog: transaction.open_table(CATALOG)?,
            prepared: transaction.open_table(PREPARED)?,
            headers: transaction.open_table(HEADERS)?,
            chunks: transaction.open_table(CHUNKS)?,
            templates: transaction.open_table(TEMPLATES)?,
        })
    }

    fn holds(&mut self, only_if: &(Record, Option<Vec<u8>>)) -> Result<bool, redb::Error> {
        let (record, expected) = only_if;
        let found = with_table!(self, *record, |table, key| table.get(key)?.map(|value| value.value().to_vec()));
        Ok(found == *expected)
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), redb::Error> {
        for record in &batch.remove {
            with_table!(self, *record, |table, key| drop(table.remove(key)?));
        }
        for id in &batch.remove_chunks {
            self.chunks.retain_in((*id, 0)..=(*id, u32::MAX), |_, _| false)?;
        }
        for (record, value) in &batch.put {
            with_table!(self, *record, |table, key| drop(table.insert(key, &value[..])?));
        }
        Ok(())
    }
}

impl ShareStore for Embedded {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        let (tables, open) = self.with(|database| {
            let transaction = database.begin_read()?;
            Ok(ReadTables {
                check: transaction.open_table(CHECK)?,
                catalog: transaction.open_table(CATALOG)?,
                prepared: transaction.open_table(PREPARED)?,
                headers: transaction.open_table(HEADERS)?,
                chunks: transaction.open_table(CHUNKS)?,
                templates: transaction.open_table(TEMPLATES)?,
            })
        })?;
        Ok(Box::new(Instant { store: self, tables, _open: open }))
    }

    fn write(&self, batch: &Batch) -> Result<bool> {
        self.transact(|transaction| {
            let mut tables = Tables::open(transaction)?;
            let holds = batch.only_if.as_ref().map_or(Ok(true), |only_if| tables.holds(only_if))?;
            if holds {
                tables.apply(batch)?;
            }
            Ok(holds)
        })
    }

    fn copy(&self, to: &Path) -> Result<()> {
        self.with(|from| {
            let (source, database) = (from.begin_read()?, Database::create(to)?);
            let target = database.begin_write()?;
            macro_rules! copy_table {
                ($($table:expr),*) => {$({
                    let mut copied = target.open_table($table)?;
                    for record in source.open_table($table)?.iter()? {
                        let (key, value) = record?;
                        copied.insert(key.value(), value.value())?;
                    }
                })*};
            }
            copy_table!(CHECK, CATALOG, HEADERS, CHUNKS, TEMPLATES);
            Ok(target.commit()?)
        })
        .map(drop)
    }

    #[cfg(unix)]
    fn free_mib(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some((disk.f_bavail.saturating_mul(disk.f_frsize)) >> 20)
    }

    #[cfg(not(unix))]
    fn free_mib(&self) -> Option<u64> {
        None
    }
}

/// The records of one instant.
struct Instant<'s> {
    store: &'s Embedded,
    tables: ReadTables,
    _open: Open<'s>,
}

struct ReadTables {
    check: ReadOnlyTable<(), &'static [u8]>,
    catalog: ReadOnlyTable<(), &'static [u8]>,
    prepared: ReadOnlyTable<(), &'static [u8]>,
    headers: ReadOnlyTable<Id, &'static [u8]>,
    chunks: ReadOnlyTable<(Id, u32), &'static [u8]>,
    templates: ReadOnlyTable<TemplateKey, &'static [u8]>,
}

impl Snapshot for Instant<'_> {
    fn get(&self, record: Record) -> Result<Option<Vec<u8>>> {
        let tables = &self.tables;
        let value = match record {
            Record::Check => tables.check.get(()),
            Record::Catalog => tables.catalog.get(()),
            Record::Prepared => tables.prepared.get(()),
            Record::Header(id) => tables.headers.get(id),
            Record::Chunk(id, index) => tables.chunks.get((id, index)),
            Record::Template(key) => tables.templates.get(key),
        };
        Ok(value.map_err(|error| self.store.failed(error))?.map(|value| value.value().to_vec()))
    }

    fn headers(&self) -> Result<Vec<Id>> {
        let headers = self.tables.headers.iter().map_err(|error| self.store.failed(error))?;
        headers.map(|entry| Ok(entry.map_err(|error| self.store.failed(error))?.0.value())).collect()
    }

    fn chunks(&self, publication: &Id) -> Result<u32> {
        let all = (*publication, 0)..=(*publication, u32::MAX);
        let chunks = self.tables.chunks.range(all).map_err(|error| self.store.failed(error))?;
        Ok(chunks.take_while(Result::is_ok).count() as u32)
    }

    fn templates(&self) -> Result<Vec<TemplateKey>> {
        let templates = self.tables.templates.iter().map_err(|error| self.store.failed(error))?;
        templates.map(|entry| Ok(entry.map_err(|error| self.store.failed(error))?.0.value())).collect()
    }
}
