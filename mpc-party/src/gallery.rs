//! The enrolled templates of a model that compares, and enrolling and removing persons.

use std::collections::HashMap;

use mpc_core::inference::head::Templates;
use mpc_core::session::{Id, Mode};
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::message::{Code, Refusal};
use mpc_core::wire::peer::{Catalog as List, Enrolled, Entry, gallery_digest, gallery_name};

use crate::model::not_in_service;
use crate::store::{Result, Store, Template};

/// The persons enrolled with one publication, and this party's shares of their templates.
pub(crate) struct Gallery {
    /// The digest that a client names in a question about the gallery.
    pub(crate) digest: Id,
    /// The persons, by place.
    pub(crate) enrolled: Vec<Enrolled>,
    /// The templates, by place; `None` where the store lacks one.
    rows: Vec<Option<Template>>,
    /// The templates in the form that sessions use; `None` where the store lacks any.
    pub(crate) templates: Option<Templates>,
}

impl Gallery {
    /// The gallery of an entry, whose templates have `size` elements. Templates in `before` are not read again. A
    /// template that is absent from the store, or damaged, counts as lacking, not as an error.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn load(store: &Store, entry: &Entry, size: usize, before: Option<&Self>) -> Result<Self> {
        let known: HashMap<Id, &Template> = before.map_or_else(HashMap::new, |before| {
            let rows = before.enrolled.iter().zip(&before.rows);
            rows.filter_map(|(enrolled, row)| Some((enrolled.template, row.as_ref()?))).collect()
        });
        let unknown = entry.gallery.iter().map(|enrolled| (entry.publication, enrolled.template));
        let unknown: Vec<_> = unknown.filter(|(_, template)| !known.contains_key(template)).collect();
        let mut read = store.read_templates(&unknown)?.into_iter();
        let rows = entry.gallery.iter().map(|enrolled| match known.get(&enrolled.template) {
            Some(row) => Some((*row).clone()),
            None => read.next().and_then(Result::ok).filter(|row| row.share.len() == size),
        });
        let rows: Vec<Option<Template>> = rows.collect();
        let all: Option<Vec<ArithmeticShare>> = rows.iter().map(|row| Some(row.as_ref()?.share.clone())).collect();
        let templates = all.map(|rows| Templates::new(size, &rows));
        let digest = gallery_digest(&entry.publication, &entry.gallery);
        Ok(Self { digest, enrolled: entry.gallery.clone(), templates, rows })
    }

    /// The places whose template the store lacks.
    pub(crate) fn lacking(&self) -> Vec<u32> {
        self.rows.iter().zip(0..).filter_map(|(row, place)| row.is_none().then_some(place)).collect()
    }

    /// The problem with the gallery, if there is one, and what to do about it.
    pub(crate) fn problem(&self) -> Option<String> {
        const NAMED: usize = 3;
        let lacking = self.lacking();
        let more = lacking.len().checked_sub(1)?.saturating_sub(NAMED - 1);
        let names = lacking.iter().take(NAMED).map(|&place| format!("{:?}", self.enrolled[place as usize].person));
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let names = names.collect::<Vec<_>>().join(", ");
        Some(format!(
            "this party's store lacks the templates of {names}{more}: remove and enrol them again, or have its operator restore a \
             later backup"
        ))
    }

    /// Refuses a question stricter than the sessions that computed the templates.
    ///
    /// # Errors
    /// A person was enrolled by a version that also enrolled with passive security.
    pub(crate) fn check_security(&self, asked: Mode) -> Result<(), Refusal> {
        let mut persons = self.enrolled.iter().zip(&self.rows);
        let unknown = persons.find(|(_, row)| row.as_ref().is_some_and(|row| !row.checked));
        match unknown {
            Some((enrolled, _)) if asked > Mode::Passive => Err(Code::Incomplete.because(format!(
                "{:?} was enrolled by an older version, perhaps with passive security, where a party may have chosen the template; \
                 remove and enrol that person again, or ask for passive security",
                enrolled.person
            ))),
            _ => Ok(()),
        }
    }
}

/// The list with one more person in the gallery of `publication`; unchanged if that very template is there already.
///
/// # Errors
/// The name is taken or not possible, or there are `most` persons already.
pub(crate) fn with_person(
    list: &List,
    publication: &Id,
    person: &str,
    template: Id,
    most: usize,
) -> Result<List, Refusal> {
    let mut gallery = gallery(list, publication)?;
    if !gallery_name(person) {
        let reason = "a name has 1 to 64 bytes, no control characters and no spaces at its ends";
        return Err(Code::Invalid.because(reason));
    }
    match gallery.iter().find(|enrolled| enrolled.person == person) {
        Some(enrolled) if enrolled.template == template => return Ok(list.clone()),
        Some(_) => {
            let reason = format!("{person:?} is enrolled already; remove that one first, or choose another name");
            return Err(Code::Taken.because(reason));
        }
        None => {}
    }
    if gallery.len() >= most {
        return Err(Code::Full.because(format!("{most} persons are enrolled already (limits.templates)")));
    }
    gallery.push(Enrolled { person: person.into(), template });
    counted(list.with_gallery(publication, gallery))
}

/// The list without a person.
///
/// # Errors
/// There is no such person.
pub(crate) fn without_person(list: &List, publication: &Id, person: &str) -> Result<List, Refusal> {
    let mut gallery = gallery(list, publication)?;
    let before = gallery.len();
    gallery.retain(|enrolled| enrolled.person != person);
    if gallery.len() == before {
        return Err(Code::NotFound.because(format!("nobody is enrolled as {person:?}")));
    }
    counted(list.with_gallery(publication, gallery))
}

/// The next list; refused where the number of changes would overflow.
pub(crate) fn counted(next: mpc_core::Result<List>) -> Result<List, Refusal> {
    next.map_err(|error| Code::Full.because(error.to_string()))
}

fn gallery(list: &List, publication: &Id) -> Result<Vec<Enrolled>, Refusal> {
    let entry = list.entries.iter().find(|entry| entry.publication == *publication);
    Ok(entry.ok_or_else(not_in_service)?.gallery.clone())
}

#[cfg(test)]
mod tests {
    use mpc_core::ring::Tensor;

    use super::*;
    use crate::store::StoreKey;

    #[test]
    fn a_template_of_an_older_version_answers_passive_questions_only() {
        let (dir, key) = (tempfile::tempdir().unwrap(), StoreKey::fresh().unwrap());
        let store = Store::open(dir.path(), &key).unwrap();
        let component = Tensor::from_elem(&[2][..], 7);
        let template = ArithmeticShare::new(component.clone(), component);
        let enrolled = |person: &str, template| Enrolled { person: person.into(), template: [template; 32] };
        let list = List::default().with("a", "face", Some([1; 32])).unwrap();
        store.keep_template(&([1; 32], [1; 32]), &template, &[]).unwrap();
        store.keep_old_template(&([1; 32], [2; 32]), &template).unwrap();
        let gallery = |persons: Vec<Enrolled>, before: Option<&Gallery>| {
            let list = list.with_gallery(&[1; 32], persons).unwrap();
            Gallery::load(&store, &list.entries[0], 2, before).unwrap()
        };
        let new = gallery(vec![enrolled("ann", 1)], None);
        assert!([Mode::Passive, Mode::Active, Mode::Strict].into_iter().all(|mode| new.check_security(mode).is_ok()));
        let old = gallery(vec![enrolled("ann", 1), enrolled("bob", 2)], Some(&new));
        assert!(old.check_security(Mode::Passive).is_ok());
        for mode in [Mode::Active, Mode::Strict] {
            let error = old.check_security(mode).unwrap_err().reason;
            assert!(error.contains("\"bob\" was enrolled by an older version"), "{error}");
        }
        assert!(gallery(vec![enrolled("ann", 1)], Some(&old)).check_security(Mode::Active).is_ok());
    }
}
