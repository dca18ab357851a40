//! The list of what is in service, and the one prepared to follow it.

use mpc_core::session::Id;
use mpc_core::wire::codec;
use mpc_core::wire::peer::Catalog as List;

use super::backend::{Batch, Record};
use super::error::{Result, StoreError};
use super::{Store, TemplateKey, forget};

impl Store {
    /// The list of what is in service.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn catalog(&self) -> Result<List> {
        let sealed = self.backend.snapshot()?.get(Record::Catalog)?;
        self.list(sealed.as_deref())
    }

    /// Replaces any list in service, and deletes publications and templates, in one step.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn set_catalog(&self, list: &List, forget: &[Id], templates: &[TemplateKey]) -> Result<()> {
        self.replace_catalog(self.catalog()?.revision, list, forget, templates)
    }

    /// Replaces the list of revision `expected`, and deletes publications and templates, in one step.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another list is in service.
    pub fn replace_catalog(
        &self,
        expected: u64,
        list: &List,
        forgotten: &[Id],
        templates: &[TemplateKey],
    ) -> Result<()> {
        let sealed = self.backend.snapshot()?.get(Record::Catalog)?;
        let conflict = |found| StoreError::Conflict { expected, found };
        let found = self.list(sealed.as_deref())?.revision;
        if found != expected {
            return Err(conflict(found));
        }
        let mut batch = Batch { only_if: Some((Record::Catalog, sealed)), ..forget(forgotten) };
        batch.remove.extend(templates.iter().map(|key| Record::Template(*key)));
        // Every sealing has a fresh nonce, so equal bytes are the very record that was read.
        if self.swap(Record::Catalog, &codec::encode(list)?, batch)? {
            return Ok(());
        }
        Err(conflict(self.catalog()?.revision))
    }

    /// The prepared list, as [set](Store::set_prepared) last. A backup does not contain it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn prepared(&self) -> Result<Option<List>> {
        let Some(sealed) = self.backend.snapshot()?.get(Record::Prepared)? else { return Ok(None) };
        Ok(Some(codec::decode(&self.seal.unseal(Record::Prepared, &sealed)?)?))
    }

    /// Replaces the prepared list.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn set_prepared(&self, next: Option<&List>) -> Result<()> {
        match next {
            Some(next) => self.put(Record::Prepared, &codec::encode(next)?, Batch::default()),
            None => self.backend.write(&Batch { remove: vec![Record::Prepared], ..Batch::default() }).map(drop),
        }
    }

    fn list(&self, sealed: Option<&[u8]>) -> Result<List> {
        match sealed {
            Some(sealed) => Ok(codec::decode(&self.seal.unseal(Record::Catalog, sealed)?)?),
            None => Ok(List::default()),
        }
    }
}
