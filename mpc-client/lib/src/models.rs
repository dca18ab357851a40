//! The models that a cluster has in service, and changes of that list.

use std::time::Duration;

use mpc_core::model::{Graph, Manifest};
use mpc_core::session::{Id, Mode};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Action, Change, ModelInfo, Reply, Request, Stamp};

use crate::connect::{Client, join};
use crate::error::{Error, Result};
use crate::session::Model;
use crate::transport::Transport;

/// Maximum number of attempts while the three parties switch between versions of a model: two seconds' worth.
const ATTEMPTS: usize = 40;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The models that the three parties have in service for this client.
#[derive(Debug, Clone)]
pub struct Models {
    /// The models that all three serve in the same publication, by name.
    pub served: Vec<Model>,
    /// One line for each model that only some of them serve, or in different publications.
    pub problems: Vec<String>,
    /// The weakest security that all three parties allow.
    pub minimum: Mode,
}

impl Model {
    /// Reads a party's description, which is no more trusted than any other message.
    fn from_info(info: &ModelInfo, parties: Mode) -> Result<Self> {
        let described = || {
            let (manifest, graph) = (Manifest::parse(&info.manifest)?, codec::decode::<Graph>(&info.graph)?);
            graph.validate().map(|()| (manifest, graph))
        };
        let (manifest, graph) = described().map_err(|e| {
            Error::Aborted(format!(
                "the servers describe a model that this program cannot use; update the older side: {e}"
            ))
        })?;
        let (publication, revision) = (info.publication, info.revision);
        Ok(Self { publication, revision, minimum: parties.max(manifest.security), manifest, graph })
    }
}

impl<T: Transport> Client<T> {
    /// The models that the parties have in service.
    ///
    /// # Errors
    /// [`Error::Disagreement`] where they describe one publication differently.
    pub async fn models(&self) -> Result<Models> {
        let lists = self.lists().await?;
        let minimum = lists.iter().map(|(minimum, _)| *minimum).max().unwrap_or_default();
        let lists = lists.map(|(_, models)| models);
        let (mut served, mut partly): (Vec<Model>, Vec<(String, [bool; 3])>) = Default::default();
        for info in lists.iter().flatten() {
            if served.iter().any(|model| model.publication == info.publication) {
                continue;
            }
            let here = lists.each_ref().map(|list| list.iter().find(|other| other.publication == info.publication));
            match here {
                [Some(p0), Some(p1), Some(p2)] => {
                    let info = self.alike("one publication of a model", [p0, p1, p2])?;
                    served.push(Model::from_info(info, minimum)?);
                }
                some => partly.push((Manifest::parse(&info.manifest)?.name, some.map(|info| info.is_some()))),
            }
        }
        partly.dedup();
        let problems = partly.into_iter().map(|(name, served)| self.problem(&name, served)).collect();
        Ok(Models { served, problems, minimum })
    }

    /// The publications that at least two parties have in service for this client. With at most one corrupt party, an
    /// honest one confirms each.
    pub(crate) async fn publications(&self) -> Result<Vec<Id>> {
        let lists = self.lists().await?.map(|(_, models)| models);
        let mut listed: Vec<Id> = lists.iter().flatten().map(|info| info.publication).collect();
        listed.sort_unstable();
        listed.dedup();
        listed.retain(|id| lists.iter().filter(|list| list.iter().any(|info| info.publication == *id)).count() >= 2);
        Ok(listed)
    }

    /// The security that each party allows, and the models it has in service.
    async fn lists(&self) -> Result<[(Mode, Vec<ModelInfo>); 3]> {
        let lists = self.parties().map(|peer| async move {
            match peer.ask(Request::Models).await?.reply().await? {
                Reply::Models { minimum, models } => Ok((minimum, models)),
                other => Err(peer.unexpected(&other)),
            }
        });
        join(lists).await
    }

    fn problem(&self, name: &str, served: [bool; 3]) -> String {
        let at = |wanted: bool| {
            let labels = self.parties().into_iter().zip(served).filter(|(_, served)| *served == wanted);
            labels.map(|(peer, _)| peer.label().to_owned()).collect::<Vec<_>>().join(" and ")
        };
        format!(
            "{name}: a publication is in service at {} and not at {}; publish it again, or ask their operators to run \
             `mpc-party check`",
            at(true),
            at(false)
        )
    }

    /// The model of that name. Waits a moment if the parties are switching to another version.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] where the cluster serves none; [`Error::Disagreement`] where only some
    /// parties serve it.
    pub async fn model(&self, name: &str) -> Result<Model> {
        let mut attempts = ATTEMPTS;
        loop {
            let Models { served, problems, .. } = self.models().await?;
            if let Some(model) = served.iter().find(|model| model.manifest.name == name) {
                return Ok(model.clone());
            }
            let partly = problems.into_iter().find(|problem| problem.starts_with(&format!("{name}: ")));
            match partly {
                Some(_) if attempts > 0 => {
                    attempts -= 1;
                    T::sleep(PAUSE).await;
                }
                Some(problem) => return Err(Error::Disagreement(problem)),
                None => {
                    let served = served.into_iter().map(|model| model.manifest.name).collect();
                    return Err(Error::UnknownModel { name: name.to_owned(), served });
                }
            }
        }
    }

    /// Takes the model of that name out of service and has the parties delete its shares and, with `forget_gallery`,
    /// the persons enrolled with it. Returns the number of the change.
    ///
    /// # Errors
    /// [`Error::Refused`] where there is no such model, the client lacks the right, or persons are enrolled and
    /// `forget_gallery` is not set.
    pub async fn retire(&self, name: &str, forget_gallery: bool) -> Result<u64> {
        self.change(Action::Retire { model: name.to_owned(), forget_gallery }).await
    }

    /// Has all three make a change; returns its number.
    pub(crate) async fn change(&self, action: Action) -> Result<u64> {
        let request = Request::Change(Change { stamp: Stamp::fresh()?, action });
        let revisions = self.join_session(self.parties().map(|peer| {
            let request = request.clone();
            async move {
                match peer.ask(request).await?.reply().await? {
                    Reply::Changed { revision } => Ok(revision),
                    other => Err(peer.unexpected(&other)),
                }
            }
        }));
        self.alike("the number of the change", revisions.await?)
    }
}
