//! The enrolled templates of a model that compares, and the changes of who is enrolled.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use mpc_core::inference::head::Templates;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::message::Id;
use mpc_core::wire::peer::{Catalog, Enrolled, Entry, gallery_digest, gallery_name};

use crate::store::Store;

/// Who is enrolled with one publication, and this party's shares of the templates.
pub(crate) struct Gallery {
    /// What the client names in a question about it.
    pub(crate) digest: Id,
    /// By place.
    pub(crate) enrolled: Vec<Enrolled>,
    /// By place.
    rows: Vec<ArithmeticShare>,
    /// The same, as they are compared with.
    pub(crate) templates: Templates,
}

impl Gallery {
    /// The gallery of an entry, whose templates have `size` elements. What `before` has is not read again.
    ///
    /// # Errors
    /// A template is not in the store, or damaged there.
    pub(crate) fn load(store: &Store, entry: &Entry, size: usize, before: Option<&Self>) -> Result<Self> {
        let known: HashMap<Id, &ArithmeticShare> = before.map_or_else(HashMap::new, |before| {
            before.enrolled.iter().map(|enrolled| enrolled.template).zip(&before.rows).collect()
        });
        let unknown = entry.gallery.iter().map(|enrolled| (entry.publication, enrolled.template));
        let unknown: Vec<_> = unknown.filter(|(_, template)| !known.contains_key(template)).collect();
        let mut read = store.read_templates(&unknown)?.into_iter();
        let rows = entry.gallery.iter().map(|enrolled| match known.get(&enrolled.template) {
            Some(row) => Ok((*row).clone()),
            None => read.next().filter(|row| row.len() == size).context("a template has another size"),
        });
        let rows: Vec<ArithmeticShare> = rows.collect::<Result<_>>()?;
        let digest = gallery_digest(&entry.publication, &entry.gallery);
        Ok(Self { digest, enrolled: entry.gallery.clone(), templates: Templates::new(size, &rows), rows })
    }
}

/// The list with one more person in the gallery of `publication`; none where the very same template is there already.
///
/// # Errors
/// The name is taken or not possible, or there are `most` persons already.
pub(crate) fn with_person(
    list: &Catalog,
    publication: &Id,
    person: &str,
    template: Id,
    most: usize,
) -> Result<Option<Catalog>> {
    let mut gallery = gallery(list, publication)?;
    ensure!(gallery_name(person), "a name has 1 to 64 bytes, no control characters and no spaces at its ends");
    match gallery.iter().find(|enrolled| enrolled.person == person) {
        Some(enrolled) if enrolled.template == template => return Ok(None),
        Some(_) => bail!("{person:?} is enrolled already; remove that one first, or choose another name"),
        None => {}
    }
    ensure!(gallery.len() < most, "{most} persons are enrolled already (limits.templates)");
    gallery.push(Enrolled { person: person.into(), template });
    Ok(Some(list.with_gallery(publication, gallery)))
}

/// The list without a person.
///
/// # Errors
/// There is no such person.
pub(crate) fn without_person(list: &Catalog, publication: &Id, person: &str) -> Result<Catalog> {
    let mut gallery = gallery(list, publication)?;
    let before = gallery.len();
    gallery.retain(|enrolled| enrolled.person != person);
    ensure!(gallery.len() < before, "nobody is enrolled as {person:?}");
    Ok(list.with_gallery(publication, gallery))
}

/// Whether a list has a person with that template, or with any.
pub(crate) fn has_person(list: &Catalog, publication: &Id, person: &str, template: Option<&Id>) -> bool {
    let is_meant = |enrolled: &Enrolled| {
        enrolled.person == person && template.is_none_or(|template| enrolled.template == *template)
    };
    gallery(list, publication).is_ok_and(|gallery| gallery.iter().any(is_meant))
}

fn gallery(list: &Catalog, publication: &Id) -> Result<Vec<Enrolled>> {
    let entry = list.entries.iter().find(|entry| entry.publication == *publication);
    Ok(entry
        .context("no such publication is in service here; it may have been replaced, ask for the models again")?
        .gallery
        .clone())
}
