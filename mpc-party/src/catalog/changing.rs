//! The next list: how it follows from a change, and its preparation until P0 says whether the change is made.

use mpc_core::model::Manifest;
use mpc_core::session::Id;
use mpc_core::wire::message::{Action, Code, Refusal};
use mpc_core::wire::peer::{Catalog as List, Entry};
use tokio::sync::{MutexGuard, oneshot};

use super::{Catalog, fault};
use crate::gallery::{counted, with_person, without_person};
use crate::model::not_in_service;
use crate::store::Result;

/// A list that this party will adopt when P0 says that the change is made.
pub(super) struct Prepared {
    pub(super) list: List,
    /// Tells the waiting request about the change; after a restart, none waits.
    pub(super) made: Option<oneshot::Sender<()>>,
}

impl Catalog {
    /// Waits for the end of another change, and holds off the next one.
    pub(crate) async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The list after a change by this tenant; the one in service if nothing is left to do. It depends on that list and
    /// the change alone, so all three parties compute the same.
    ///
    /// # Errors
    /// The action is not possible here: no such publication or model, or no room.
    pub(crate) fn after(&self, tenant: &str, action: &Action) -> Result<List, Refusal> {
        let list = self.agreed();
        match action {
            Action::Activate { publication, forget_gallery } => {
                let stored = self.store.read(publication).map(|(header, _)| header);
                let ours = stored.ok().filter(|header| header.complete && header.tenant == tenant);
                let header = ours.ok_or_else(|| Code::NotFound.because("this publication is not stored here"))?;
                if list.entries.iter().any(|entry| entry.publication == *publication) {
                    return Ok(list);
                }
                let name = Manifest::parse(&header.manifest).map_err(|e| Code::Invalid.because(e.to_string()))?.name;
                may_forget(&list, tenant, &name, *forget_gallery)?;
                let next = counted(list.with(tenant, &name, Some(*publication)))?;
                let most = self.limits.models;
                if next.entries.len() > most {
                    return Err(Code::Full.because(format!("this party serves {most} models already (limits.models)")));
                }
                Ok(next)
            }
            Action::Retire { model, forget_gallery } => {
                if in_service(&list, tenant, model).is_none() {
                    return Err(Code::NotFound.because(format!("there is no model {model:?} in service")));
                }
                may_forget(&list, tenant, model, *forget_gallery)?;
                counted(list.with(tenant, model, None))
            }
            Action::Enrol { publication, person, template } => {
                own(&list, tenant, publication)?;
                let next = with_person(&list, publication, person, *template, self.limits.templates)?;
                let template = (*publication, *template);
                if next != list && !self.store.has_template(&template).map_err(|e| fault(&e))? {
                    return Err(Code::NotFound.because(format!("the template is not here; enrol {person:?} once more")));
                }
                Ok(next)
            }
            Action::Remove { publication, person } => {
                own(&list, tenant, publication)?;
                without_person(&list, publication, person)
            }
        }
    }

    /// Commits to adopting `next` when P0 says so, even after a restart. The receiver is told when that happens, or
    /// that another list has come. The caller holds [`Catalog::change`], has checked the change, and knows that both
    /// others mean the same.
    ///
    /// # Errors
    /// The store cannot be written; nothing is prepared.
    pub(crate) fn prepare(&self, next: List) -> Result<oneshot::Receiver<()>> {
        self.store.set_prepared(Some(&next))?;
        let (made, is_made) = oneshot::channel();
        self.lock().prepared = Some(Prepared { list: next, made: Some(made) });
        Ok(is_made)
    }

    /// Withdraws what was prepared, whatever P0 says later.
    ///
    /// # Errors
    /// The store cannot be written; the list stays prepared.
    pub(crate) fn forget_prepared(&self) -> Result<()> {
        if self.lock().prepared.is_some() {
            self.store.set_prepared(None)?;
            self.lock().prepared = None;
        }
        Ok(())
    }

    /// Whether this very list is prepared.
    pub(crate) fn is_prepared(&self, list: &List) -> bool {
        self.lock().prepared.as_ref().is_some_and(|prepared| prepared.list == *list)
    }
}

/// Refuses a publication on the list that is not this tenant's.
fn own(list: &List, tenant: &str, publication: &Id) -> Result<(), Refusal> {
    let own = |entry: &Entry| entry.tenant == tenant && entry.publication == *publication;
    if list.entries.iter().any(own) { Ok(()) } else { Err(not_in_service()) }
}

/// A tenant's model of that name.
fn in_service<'a>(list: &'a List, tenant: &str, model: &str) -> Option<&'a Entry> {
    list.entries.iter().find(|entry| entry.tenant == tenant && entry.model == model)
}

/// A model leaves service together with its gallery only if its publisher says so.
fn may_forget(list: &List, tenant: &str, model: &str, forget_gallery: bool) -> Result<(), Refusal> {
    let enrolled = in_service(list, tenant, model).map_or(0, |entry| entry.gallery.len());
    let s = if enrolled == 1 { "" } else { "s" };
    if enrolled == 0 || forget_gallery {
        return Ok(());
    }
    Err(Code::WouldForget.because(format!(
        "{enrolled} person{s} enrolled with the model {model:?} would be deleted: their templates belong to the publication in \
         service"
    )))
}
