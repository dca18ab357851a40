//! Backup, restore and verification of a store. A backup is a separate database with the same sealed records: it needs
//! the same key, and is as secret as the store.

use std::path::{Path, PathBuf};

use mpc_core::session::Id;
use mpc_core::wire::message::short;
use mpc_core::wire::peer::Catalog as List;

use super::embedded::Embedded;
use super::error::{Result, StoreError};
use super::{DATABASE_FILE, Store, StoreKey};

/// The findings of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The revision of the list of what is in service; the other two parties' stores should have the same.
    pub revision: u64,
    /// One line for each model in service and each other upload.
    pub lines: Vec<String>,
    /// One line for each problem, with what to do.
    pub problems: Vec<String>,
}

impl Verification {
    /// The lines, if there is no problem.
    ///
    /// # Errors
    /// The problems, in one line.
    pub fn into_lines(self) -> Result<Vec<String>> {
        if !self.problems.is_empty() {
            return Err(StoreError::Refused(self.problems.join("; ")));
        }
        Ok([vec![format!("what is in service, after change {}:", self.revision)], self.lines].concat())
    }
}

impl Store {
    /// Writes a snapshot of all records to a new file. The store stays in use.
    ///
    /// # Errors
    /// The file exists, or cannot be written; then no part of it remains.
    pub fn backup(&self, to: &Path) -> Result<()> {
        if to.exists() {
            return Err(StoreError::Refused(format!("{} exists already; choose another name", to.display())));
        }
        let part = beside(to, "part");
        let what = format!("cannot write the backup {}", to.display());
        let written = self.backend.copy(&part).map_err(StoreError::file(&*what));
        let written = written.and_then(|()| std::fs::rename(&part, to).map_err(StoreError::file(what)));
        // After the rename there is nothing to remove.
        drop(std::fs::remove_file(&part));
        written
    }

    /// Reads every record: whether all seals hold, all shares are whole, and everything in service is there.
    ///
    /// # Errors
    /// The database cannot be read at all.
    pub fn verify(&self) -> Result<Verification> {
        let catalog = self.catalog()?;
        let mut report = Verification { revision: catalog.revision, lines: Vec::new(), problems: Vec::new() };
        for entry in &catalog.entries {
            let (name, id) = (format!("{}/{}", entry.tenant, entry.model), entry.publication);
            match self.read(&id) {
                Ok((header, share)) if header.complete => {
                    report.lines.push(format!("{name}: publication {}, {} bytes, in service", short(&id), share.len()));
                }
                Ok(_) => report.problems.push(lost(&name, &id, "the share is not complete")),
                Err(error) => report.problems.push(lost(&name, &id, &format!("{error}"))),
            }
            let keys: Vec<_> = entry.gallery.iter().map(|enrolled| (id, enrolled.template)).collect();
            let read = entry.gallery.iter().zip(self.read_templates(&keys)?);
            let lacking: Vec<_> = read.filter_map(|(enrolled, read)| Some((&enrolled.person, read.err()?))).collect();
            match &lacking[..] {
                [] if keys.is_empty() => {}
                [] => report.lines.push(format!("{name}: {} persons enrolled", keys.len())),
                [(person, error), ..] => report.problems.push(format!(
                    "{name}: the templates of {} of {} persons enrolled ({person:?}: {error}); restore a later backup of this store, \
                     or have them removed and enrolled again",
                    lacking.len(),
                    keys.len()
                )),
            }
        }
        for (id, header) in self.headers()?.into_iter().filter(|(id, _)| !in_service(&catalog, id)) {
            match header {
                Ok(header) => {
                    let state = if header.complete { "uploaded, not in service" } else { "upload not complete" };
                    report.lines.push(format!("publication {} of {}: {state}", short(&id), header.tenant));
                }
                Err(error) => report.problems.push(format!("publication {}: {error}", short(&id))),
            }
        }
        Ok(report)
    }
}

/// Replaces the store in `dir`, which no process may have open, by a backup. Keeps the previous store beside it;
/// returns its path, if there was one.
///
/// # Errors
/// The backup is damaged or sealed with another key; then nothing is changed.
pub fn restore(from: &Path, dir: &Path, key: &StoreKey) -> Result<Option<PathBuf>> {
    if !from.is_file() {
        return Err(StoreError::Refused(format!("there is no backup {}", from.display())));
    }
    let (path, part) = (dir.join(DATABASE_FILE), dir.join("restored.part"));
    std::fs::create_dir_all(dir).map_err(StoreError::file(format!("cannot make the folder {}", dir.display())))?;
    if path.exists() {
        // This fails if a process has the store open.
        drop(Embedded::open(&path)?);
    }
    let what = format!("cannot copy {} to {}", from.display(), part.display());
    std::fs::copy(from, &part).map_err(StoreError::file(what))?;
    check(&part, key).inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    let kept = path.exists().then(|| free_name(&path));
    if let Some(kept) = &kept {
        std::fs::rename(&path, kept).map_err(StoreError::file(format!("cannot move {} away", path.display())))?;
    }
    std::fs::rename(&part, &path).map_err(StoreError::file(format!("cannot put {} into place", path.display())))?;
    Ok(kept)
}

/// Refuses a backup that is damaged or sealed with another key.
fn check(backup: &Path, key: &StoreKey) -> Result<()> {
    let problems = Store::with(Box::new(Embedded::open(backup)?), backup, key)?.verify()?.problems;
    if !problems.is_empty() {
        return Err(StoreError::Refused(format!("the backup is damaged: {}", problems.join("; "))));
    }
    Ok(())
}

fn lost(name: &str, id: &Id, why: &str) -> String {
    format!("{name}: publication {}: {why}; publish the model again, or restore a backup of this store", short(id))
}

fn in_service(catalog: &List, id: &Id) -> bool {
    catalog.entries.iter().any(|entry| entry.publication == *id)
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// An unused name beside `path`.
fn free_name(path: &Path) -> PathBuf {
    let names = (1u32..).map(|n| beside(path, &format!("before-restore-{n}")));
    names.into_iter().find(|name| !name.exists()).expect("there are more numbers than files")
}
