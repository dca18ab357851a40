//! Templates: small shares, each computed by a session, and kept until they expire or, in a gallery, for good.

use mpc_core::ring::Tensor;
use mpc_core::session::Id;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::codec;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Store;
use super::backend::{Batch, Record, Snapshot};
use super::error::{Result, StoreError};
use super::seal::old_template_name;

/// A publication of a model, and the session that computed a template with it.
pub type TemplateKey = (Id, Id);

/// A template as it is stored.
#[derive(Debug, Clone)]
pub struct Template {
    /// Shape `[size]`.
    pub share: ArithmeticShare,
    /// Whether the session that computed it is known to have checked its products.
    pub checked: bool,
}

/// Both components of a template.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Components {
    own: Vec<u64>,
    next: Vec<u64>,
}

impl From<&ArithmeticShare> for Components {
    fn from(template: &ArithmeticShare) -> Self {
        let words = |component: &Tensor<u64>| component.iter().copied().collect();
        Self { own: words(template.own()), next: words(template.next()) }
    }
}

impl Store {
    /// Keeps a template, and deletes others, in one step.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn keep_template(&self, key: &TemplateKey, template: &ArithmeticShare, forget: &[TemplateKey]) -> Result<()> {
        let remove = forget.iter().map(|key| Record::Template(*key)).collect();
        let components = codec::encode(&Components::from(template))?;
        self.put(Record::Template(*key), &components, Batch { remove, ..Batch::default() })
    }

    /// Keeps a template as an older version did.
    #[cfg(test)]
    pub(crate) fn keep_old_template(&self, key: &TemplateKey, template: &ArithmeticShare) -> Result<()> {
        let sealed = self.seal.seal(&old_template_name(key), &codec::encode(&Components::from(template))?)?;
        let put = vec![(Record::Template(*key), sealed)];
        self.backend.write(&Batch { put, ..Batch::default() }).map(drop)
    }

    /// Templates, in the order of their keys; an error in the place of a template that is missing, or that somebody
    /// without the key has changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read_templates(&self, keys: &[TemplateKey]) -> Result<Vec<Result<Template>>> {
        let snapshot = self.backend.snapshot()?;
        Ok(keys.iter().map(|key| self.read_template(&*snapshot, key)).collect())
    }

    fn read_template(&self, snapshot: &dyn Snapshot, key: &TemplateKey) -> Result<Template> {
        let sealed = snapshot.get(Record::Template(*key))?;
        let sealed = sealed.ok_or_else(|| StoreError::Missing("a template is not stored here".into()))?;
        let known = self.seal.unseal(Record::Template(*key), &sealed);
        let checked = known.is_ok();
        let old = |damaged| self.seal.unseal_as(&old_template_name(key), &sealed).ok_or(damaged);
        let Components { own, next } = &codec::decode(&known.or_else(old)?)?;
        let component = |words: &[u64]| {
            let tensor = Tensor::from_shape_vec(&[words.len()][..], words.to_vec());
            tensor.map_err(|error| StoreError::Refused(error.to_string()))
        };
        let share = ArithmeticShare::new(component(own)?, component(next)?);
        Ok(Template { share, checked })
    }

    /// The keys of all templates.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn template_keys(&self) -> Result<Vec<TemplateKey>> {
        self.backend.snapshot()?.templates()
    }

    /// Whether a template is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn has_template(&self, key: &TemplateKey) -> Result<bool> {
        Ok(self.backend.snapshot()?.get(Record::Template(*key))?.is_some())
    }
}
