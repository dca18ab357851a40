//! The seam below sealing. A backend sees the names and the sizes of records; their values are sealed above it.

use std::path::Path;

use mpc_core::session::Id;

use super::TemplateKey;
use super::error::Result;

/// The name of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// A constant that shows whether the key is the right one.
    Check,
    /// The list of what is in service.
    Catalog,
    /// The list prepared to follow it.
    Prepared,
    /// The description of a publication.
    Header(Id),
    /// A piece of the publication's share.
    Chunk(Id, u32),
    /// A template that was computed with a publication.
    Template(TemplateKey),
}

/// A change of several records.
#[derive(Debug, Default)]
pub struct Batch {
    /// Compare and swap: the batch is applied only while this record has this value; with no value, while it is absent.
    pub only_if: Option<(Record, Option<Vec<u8>>)>,
    /// Records to remove, first.
    pub remove: Vec<Record>,
    /// Publications all of whose chunks are removed, first.
    pub remove_chunks: Vec<Id>,
    /// Records to write.
    pub put: Vec<(Record, Vec<u8>)>,
}

/// Keeps named records.
pub trait ShareStore: Send + Sync {
    /// All records at this instant. A holder drops its snapshot before writing.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>>;

    /// Applies the whole batch, durable before this returns, or nothing. Returns whether it did: not if
    /// [`Batch::only_if`] does not hold.
    fn write(&self, batch: &Batch) -> Result<bool>;

    /// Writes a snapshot of all records but [`Record::Prepared`] to a new file, from which another store of this kind
    /// can be opened.
    fn copy(&self, to: &Path) -> Result<()>;

    /// MiB left for more records, if known.
    fn free_mib(&self) -> Option<u64>;
}

/// The records of one instant.
pub trait Snapshot {
    /// The record of that name, if there is one.
    fn get(&self, record: Record) -> Result<Option<Vec<u8>>>;

    /// The publications that have a header, in order.
    fn headers(&self) -> Result<Vec<Id>>;

    /// The number of chunks of a publication.
    fn chunks(&self, publication: &Id) -> Result<u32>;

    /// The names of all templates, in order.
    fn templates(&self) -> Result<Vec<TemplateKey>>;
}
