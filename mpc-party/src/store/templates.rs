//! Templates: small shares, each computed by a session and kept until a change makes it part of a gallery, or for good.

use anyhow::{Context, Result};
use mpc_core::ring::Tensor;
use mpc_core::session::Id;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::codec;
use redb::{ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::seal::Name;
use super::{Store, TEMPLATES};

/// A publication of a model, and the session that has computed a template with it.
pub type TemplateKey = (Id, Id);

/// A template as it is stored.
#[derive(Debug, Clone)]
pub struct Template {
    /// Shape `[size]`.
    pub share: ArithmeticShare,
    /// Whether the session that has computed it is known to have checked its products.
    pub checked: bool,
}

/// Both components of a template.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Record {
    own: Vec<u64>,
    next: Vec<u64>,
}

impl Store {
    /// Keeps a template, and forgets others, in one step.
    pub fn keep_template(&self, key: &TemplateKey, template: &ArithmeticShare, forget: &[TemplateKey]) -> Result<()> {
        self.keep_as(Name::Template(key), key, template, forget)
    }

    /// As an older version did.
    #[cfg(test)]
    pub(crate) fn keep_old_template(&self, key: &TemplateKey, template: &ArithmeticShare) -> Result<()> {
        self.keep_as(Name::OldTemplate(key), key, template, &[])
    }

    fn keep_as(
        &self,
        name: Name<'_>,
        key: &TemplateKey,
        template: &ArithmeticShare,
        forget: &[TemplateKey],
    ) -> Result<()> {
        let words = |component: &Tensor<u64>| component.iter().copied().collect();
        let record = Record { own: words(template.own()), next: words(template.next()) };
        let sealed = self.seal.seal(name, &codec::encode(&record)?)?;
        self.write(|transaction| {
            transaction.open_table(TEMPLATES)?.insert(key, &sealed[..])?;
            super::forget_templates(transaction, forget)
        })
    }

    /// Templates, in the order of their keys; an error in the place of one that is not there, or was changed by somebody without the
    /// key.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn read_templates(&self, keys: &[TemplateKey]) -> Result<Vec<Result<Template>>> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(TEMPLATES)?;
            let read = |key: &TemplateKey| {
                let sealed = table.get(key)?.context("a template is not stored here")?;
                let known = self.seal.unseal(Name::Template(key), sealed.value());
                let checked = known.is_ok();
                let record = known.or_else(|_| self.seal.unseal(Name::OldTemplate(key), sealed.value()))?;
                let record: Record = codec::decode(&record)?;
                let component = |words: &[u64]| Tensor::from_shape_vec(&[words.len()][..], words.to_vec());
                let share = ArithmeticShare::new(component(&record.own)?, component(&record.next)?);
                Ok(Template { share, checked })
            };
            Ok(keys.iter().map(read).collect())
        })
    }

    /// The keys of all templates.
    pub fn template_keys(&self) -> Result<Vec<TemplateKey>> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(TEMPLATES)?;
            let keys = table.iter()?.map(|entry| Ok(entry?.0.value()));
            keys.collect()
        })
    }

    /// Whether a template is there.
    pub fn has_template(&self, key: &TemplateKey) -> Result<bool> {
        self.with(|database| Ok(database.begin_read()?.open_table(TEMPLATES)?.get(key)?.is_some()))
    }
}
