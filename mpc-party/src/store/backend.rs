//! The seam below sealing. A backend sees the names and the sizes of records; their values are sealed above it.

use std::path::Path;

use mpc_core::session::Id;

use super::TemplateKey;
use super::error::Result;

/// The name of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// A constant that tells whether the key is the right one.
    Check,
    /// The list of what is in service.
    Catalog,
    /// The list that may follow it.
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
    /// All records as they are at this instant. Whoever holds a snapshot drops it before writing.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>>;

    /// Applies a batch, all of it, durable before this returns, or nothing. Whether the batch was applied: it is not
    /// where [`Batch::only_if`] does not hold.
    fn write(&self, batch: &Batch) -> Result<bool>;

    /// Writes all records but [`Record::Prepared`], as they are at one instant, to a new file that another store of
    /// this kind can be opened from.
    fn copy(&self, to: &Path) -> Result<()>;

    /// MiB that are left for more records, where that can be known.
    fn free_mib(&self) -> Option<u64>;
}

/// The records of one instant.
pub trait Snapshot {
    /// A record, if there is one of that name.
    fn get(&self, record: Record) -> Result<Option<Vec<u8>>>;

    /// The publications that have a header, in order.
    fn headers(&self) -> Result<Vec<Id>>;

    /// The number of chunks of a publication.
    fn chunks(&self, publication: &Id) -> Result<u32>;

    /// The names of all templates, in order.
    fn templates(&self) -> Result<Vec<TemplateKey>>;
}
