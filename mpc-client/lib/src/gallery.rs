//! Galleries: enrolling, finding and removing persons with a model that compares.
//!
//! The three parties keep a share of each template, and a list of names that they and this client's tenant can read. A
//! question names the list that the client has seen, so that all mean the same persons; if the list has changed since,
//! the client reads it again.

use std::time::Duration;

use mpc_core::session::{Id, Mode};
use mpc_core::wire::message::{Action, Code, Question, Reply, Request};
use mpc_core::wire::peer::gallery_name;
use serde::Serialize;

use crate::connect::{Client, join};
use crate::error::{Error, Result};
use crate::session::{Encoded, Evaluation, Model, Terms};
use crate::transport::Transport;

/// Maximum number of attempts to ask about a gallery that keeps changing.
const ATTEMPTS: usize = 20;

/// Pause between two attempts: other parties switch a moment later.
const PAUSE: Duration = Duration::from_millis(50);

/// The persons enrolled, as all three parties report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gallery {
    /// Names, by place.
    pub persons: Vec<String>,
    /// The persons whose template a server has lost, because its store is older than the gallery or damaged. The
    /// gallery answers no question until they are removed; then they can be enrolled again.
    pub lost: Vec<Lost>,
    digest: Id,
}

/// A person whose template a server has lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The name in the gallery.
    pub person: String,
    /// The servers that have lost it.
    pub servers: Vec<String>,
}

/// The result of a search in a gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Matches {
    /// The person for each input, or `None`.
    pub persons: Vec<Option<String>>,
    /// The evaluation; its predictions are places in the gallery. `None` where nobody is enrolled, and nothing was
    /// asked.
    pub evaluation: Option<Evaluation>,
}

impl<T: Transport> Client<T> {
    /// The persons enrolled with a model.
    ///
    /// # Errors
    /// [`Error::Refused`] where the model compares nothing, [`Error::Disagreement`] where the parties have different
    /// lists for longer than a change takes.
    pub async fn gallery(&self, model: &Model) -> Result<Gallery> {
        let publication = model.publication;
        let mut attempts = ATTEMPTS;
        loop {
            let lists = self.parties().map(|peer| async move {
                match peer.ask(Request::Gallery { publication }).await?.reply().await? {
                    Reply::Gallery { persons, digest, lacking } => Ok(((persons, digest), lacking)),
                    other => Err(peer.unexpected(&other)),
                }
            });
            let [(p0, lacking0), (p1, lacking1), (p2, lacking2)] = join(lists).await?;
            match self.alike("who is enrolled", [p0, p1, p2]) {
                Err(Error::Disagreement(_)) if attempts > 1 => attempts -= 1,
                known => {
                    let (persons, digest) = known?;
                    let lost = self.lost(&persons, [lacking0, lacking1, lacking2]);
                    return Ok(Gallery { persons, lost, digest });
                }
            }
            T::sleep(PAUSE).await;
        }
    }

    /// Enrols a person with the mean of `inputs`. The parties compute the template and keep it, then make it part of
    /// the gallery. The security is at least [that for kept templates](Question::minimum).
    ///
    /// # Errors
    /// [`Error::Usage`] where the name is taken or not possible; as [`Client::classify`].
    pub async fn enrol(
        &self,
        model: &Model,
        person: &str,
        inputs: &[Encoded],
        security: Mode,
        timeout: Duration,
    ) -> Result<Evaluation> {
        if !gallery_name(person) {
            let reason = "a person's name has 1 to 64 bytes, no control characters and no spaces at its ends";
            return Err(Error::Usage(reason.into()));
        }
        if self.gallery(model).await?.persons.iter().any(|other| other == person) {
            let reason = format!("{person:?} is enrolled already: remove that one first, or choose another name");
            return Err(Error::Usage(reason));
        }
        let (template, evaluation) = self.keep(model, Terms { security, timeout }, inputs).await?;
        let publication = model.publication;
        self.change(Action::Enrol { publication, person: person.to_owned(), template }).await?;
        Ok(evaluation)
    }

    /// The persons that the three servers lack, from their places.
    fn lost(&self, persons: &[String], lacking: [Vec<u32>; 3]) -> Vec<Lost> {
        let lost = |(person, place): (&String, u32)| {
            let at = self.parties().into_iter().zip(&lacking).filter(|(_, lacking)| lacking.contains(&place));
            let servers: Vec<String> = at.map(|(peer, _)| peer.label().to_owned()).collect();
            (!servers.is_empty()).then(|| Lost { person: person.clone(), servers })
        };
        persons.iter().zip(0..).filter_map(lost).collect()
    }

    /// Removes everybody whose template a server has lost from the gallery; returns their names. They can be enrolled
    /// again.
    ///
    /// # Errors
    /// As [`Client::gallery`] and [`Client::remove`].
    pub async fn remove_lost(&self, model: &Model) -> Result<Vec<String>> {
        let lost = self.gallery(model).await?.lost;
        for Lost { person, .. } in &lost {
            self.remove(model, person).await?;
        }
        Ok(lost.into_iter().map(|lost| lost.person).collect())
    }

    /// Removes a person from the gallery and has the parties delete the template.
    ///
    /// # Errors
    /// [`Error::UnknownPerson`] where nobody has that name.
    pub async fn remove(&self, model: &Model, person: &str) -> Result<()> {
        self.place(&self.gallery(model).await?, person)?;
        let action = Action::Remove { publication: model.publication, person: person.to_owned() };
        self.change(action).await.map(drop)
    }

    /// The enrolled person that each input is of, or nobody. As [`Client::classify`].
    ///
    /// # Errors
    /// As there.
    pub async fn find(&self, model: &Model, inputs: &[Encoded], security: Mode, timeout: Duration) -> Result<Matches> {
        let (gallery, evaluation) = self
            .about(model, async |gallery| {
                if gallery.persons.is_empty() {
                    return Ok(None);
                }
                let question = Question::Who { gallery: gallery.digest };
                let shape = [inputs.len(), gallery.persons.len() + 1];
                self.positions(model, question, Terms { security, timeout }, inputs, shape).await.map(Some)
            })
            .await?;
        let Some(evaluation) = evaluation else {
            return Ok(Matches { persons: vec![None; inputs.len()], evaluation: None });
        };
        let persons = evaluation.predictions.iter().map(|found| gallery.persons.get(found.label).cloned()).collect();
        Ok(Matches { persons, evaluation: Some(evaluation) })
    }

    /// Whether each input is of an enrolled person. As [`Client::compare`]; the parties see which person is meant.
    ///
    /// # Errors
    /// [`Error::UnknownPerson`] where nobody has that name; as there.
    pub async fn confirm(
        &self,
        model: &Model,
        person: &str,
        inputs: &[Encoded],
        security: Mode,
        timeout: Duration,
    ) -> Result<Evaluation> {
        let (_, evaluation) = self
            .about(model, async |gallery| {
                let question = Question::Is { gallery: gallery.digest, place: self.place(gallery, person)? };
                self.verdicts(model, question, Terms { security, timeout }, inputs, inputs.len()).await
            })
            .await?;
        Ok(evaluation)
    }

    /// Asks about the gallery, and again if it has changed meanwhile.
    async fn about<A>(&self, model: &Model, ask: impl AsyncFn(&Gallery) -> Result<A>) -> Result<(Gallery, A)> {
        let mut attempts = ATTEMPTS;
        loop {
            let gallery = self.gallery(model).await?;
            match ask(&gallery).await {
                Err(Error::Refused { code: Code::GalleryChanged, .. }) if attempts > 1 => attempts -= 1,
                result => return Ok((gallery, result?)),
            }
            T::sleep(PAUSE).await;
        }
    }

    fn place(&self, gallery: &Gallery, person: &str) -> Result<u32> {
        let place = gallery.persons.iter().position(|other| other == person);
        let unknown = || Error::UnknownPerson { name: person.to_owned(), anybody: !gallery.persons.is_empty() };
        Ok(place.ok_or_else(unknown)? as u32)
    }
}
