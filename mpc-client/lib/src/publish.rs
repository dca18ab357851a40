//! Publication: a model goes into service as shares of its weights.

use std::io::{ErrorKind, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use mpc_core::model;
use mpc_core::random;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::session::Id;
use mpc_core::sharing::{Dealt, Seed, share_from};
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::codec;
use mpc_core::wire::message::{Action, Reply, Request, Upload, publication_id};
use mpc_core::wire::share::encode_dealt;
use ndarray::IxDyn;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::connect::{Client, Peer, join};
use crate::error::{Error, Result};
use crate::transport::Transport;

/// The random numbers of a publication. The same numbers make the same publication with the same shares, so that an
/// interrupted one can resume. Secret: together with one party's share they reveal the weights.
#[derive(Clone, Serialize, Deserialize)]
pub struct Dealing {
    fresh: Id,
    seeds: [Id; 2],
}

impl Drop for Dealing {
    fn drop(&mut self) {
        self.seeds.zeroize();
    }
}

impl Dealing {
    /// Fresh numbers, for a publication that is never resumed.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system has no random numbers.
    pub fn fresh() -> Result<Self> {
        let mut dealing = Self { fresh: Id::default(), seeds: [Id::default(); 2] };
        let [first, second] = &mut dealing.seeds;
        for id in [&mut dealing.fresh, first, second] {
            random::fill(id)?;
        }
        Ok(dealing)
    }

    fn publication(&self, model: &model::Model) -> Result<Id> {
        Ok(publication_id(&manifest(model)?, &codec::encode(&model.graph)?, &self.fresh))
    }
}

/// The dealings of one model in a file, each with the cluster that it was made for.
#[derive(Default, Serialize, Deserialize)]
struct Dealings {
    kept: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The fingerprints of each party, as the cluster listed them.
    parties: Vec<Vec<String>>,
    dealing: Dealing,
}

impl Dealings {
    /// The dealing for a cluster. The parties' keys may all have been replaced since it was made, so its publication
    /// identifies it if that is `in_service`. Otherwise the keys identify it, of which each party still has one.
    ///
    /// The same dealing must not go to two clusters: a party of one and a party of the other would together hold all
    /// three components.
    fn find(&self, model: &model::Model, cluster: &[Vec<String>], in_service: &[Id]) -> Result<Option<usize>> {
        for (place, kept) in self.kept.iter().enumerate() {
            if in_service.contains(&kept.dealing.publication(model)?) {
                return Ok(Some(place));
            }
        }
        let overlap = |(old, new): (&Vec<String>, &Vec<String>)| old.iter().any(|key| new.contains(key));
        Ok(self
            .kept
            .iter()
            .rposition(|kept| kept.parties.len() == cluster.len() && kept.parties.iter().zip(cluster).all(overlap)))
    }

    fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| Error::file(path, e)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::file(path, error)),
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::file(path, e);
        let text = zeroize::Zeroizing::new(toml::to_string(self).map_err(|e| failed(&e))?);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|e| failed(&e))?;
        file.persist(path).map_err(|e| failed(&e))?;
        Ok(())
    }
}

/// The digest of a model, weights included.
fn digest(model: &model::Model) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(codec::encode(&(&manifest(model)?, &codec::encode(&model.graph)?))?);
    for weights in model.encode_weights()? {
        weights.iter().for_each(|word| hash.update(word.to_le_bytes()));
    }
    Ok(HEXLOWER.encode(&hash.finalize()[..16]))
}

fn manifest(model: &model::Model) -> Result<String> {
    toml::to_string(&model.manifest).map_err(|e| Error::Internal(e.to_string()))
}

/// A publication that is in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub publication: Id,
    /// The revision that put it there, or a later one.
    pub revision: u64,
    /// Bytes of shares sent.
    pub bytes_sent: u64,
}

impl<T: Transport> Client<T> {
    /// The dealing of a model that `folder` keeps for this client's cluster: that of the publication in service, else
    /// of one that was begun. Without one, or if `anew` asks for a new publication, makes a dealing and keeps it there.
    ///
    /// # Errors
    /// [`Error::File`] where the file cannot be read or written; those of asking the parties what is in service.
    pub async fn dealing(&self, folder: &Path, model: &model::Model, cluster: &Cluster, anew: bool) -> Result<Dealing> {
        let path = folder.join(format!("{}.toml", digest(model)?));
        let parties: Vec<_> = cluster.parties.iter().map(|party| party.fingerprints.clone()).collect();
        let mut dealings = Dealings::read(&path)?;
        let known = dealings.find(model, &parties, &self.publications().await?)?;
        let dealing = match known {
            Some(place) if !anew => dealings.kept.swap_remove(place).dealing,
            _ => Dealing::fresh()?,
        };
        dealings.kept.push(Kept { parties, dealing: dealing.clone() });
        dealings.write(&path)?;
        Ok(dealing)
    }

    /// Shares a model's weights to the three parties and puts it into service under its manifest's name. An earlier
    /// model of that name stays in service until all three have stored the new one and compared their shares. After an
    /// interruption, calling this again with the same dealing resumes. Persons enrolled with an earlier publication are
    /// deleted only with `forget_gallery`.
    ///
    /// # Errors
    /// [`Error::Refused`] where a party does not accept it, for example because this client may not publish, or because
    /// persons are enrolled.
    pub async fn publish(&self, model: &model::Model, dealing: &Dealing, forget_gallery: bool) -> Result<Published> {
        let (manifest, graph) = (manifest(model)?, codec::encode(&model.graph)?);
        let words: Vec<u64> = model.encode_weights()?.iter().flatten().copied().collect();
        let weights =
            Tensor::from_shape_vec(IxDyn(&[words.len()]), words).map_err(|e| Error::Internal(e.to_string()))?;
        let publication = dealing.publication(model)?;
        let mut dealt =
            share_from::<Arithmetic, u64>(dealing.seeds.map(|seed| Seed(Box::new(seed))), &weights).into_iter();
        let sent = join(self.parties().map(|peer| {
            let dealt = dealt.next().expect("one for each of the three");
            upload(peer, publication, (manifest.clone(), graph.clone()), dealt)
        }))
        .await?;
        let revision = self.change(Action::Activate { publication, forget_gallery }).await?;
        Ok(Published { publication, revision, bytes_sent: sent.iter().sum() })
    }
}

/// Sends a party the part of its share that it has not stored; returns the bytes sent.
async fn upload<T: Transport>(
    peer: &Peer<T>,
    publication: Id,
    (manifest, graph): (String, Vec<u8>),
    dealt: Dealt<u64>,
) -> Result<u64> {
    let share = encode_dealt(&dealt);
    let (length, digest) = (share.len() as u64, Sha256::digest(&share).into());
    let mut conversation = peer.ask(Request::Upload(Upload { publication, manifest, graph, length, digest })).await?;
    let have = match conversation.reply().await? {
        Reply::Ready { have } if have <= length => have,
        other => return Err(peer.unexpected(&other)),
    };
    match conversation.send(&share[have as usize..]).await? {
        Reply::Stored => Ok(length - have),
        other => Err(peer.unexpected(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: [&str; 3]) -> Vec<Vec<String>> {
        names.map(|name| name.split(' ').map(str::to_owned).collect()).into()
    }

    #[test]
    fn a_dealing_is_known_by_its_publication_whatever_the_keys_are_now() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/face-match");
        let model = model::Model::load(&folder).unwrap();
        let dealing = Dealing::fresh().unwrap();
        let publication = dealing.publication(&model).unwrap();
        let dealings = Dealings { kept: vec![Kept { parties: keys(["a", "b", "c"]), dealing }] };
        let find = |cluster, in_service: &[Id]| dealings.find(&model, &keys(cluster), in_service).unwrap();

        assert_eq!(find(["a", "b", "c"], &[]), Some(0), "an upload that was interrupted");
        assert_eq!(find(["a new", "b", "c"], &[]), Some(0), "while a key is replaced");
        assert_eq!(find(["x", "y", "z"], &[publication]), Some(0), "after all keys were replaced");
        assert_eq!(find(["x", "b", "c"], &[[7; 32]]), None, "another cluster never gets the same shares");
        assert_eq!(find(["b", "c", "a"], &[]), None, "in another order the parties would get each other's shares");
    }

    #[test]
    fn dealings_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("publications").join("model.toml");
        assert!(Dealings::read(&path).unwrap().kept.is_empty());
        let dealing = Dealing::fresh().unwrap();
        let kept = Kept { parties: keys(["a", "b", "c"]), dealing: dealing.clone() };
        Dealings { kept: vec![kept] }.write(&path).unwrap();
        let read = Dealings::read(&path).unwrap();
        assert_eq!((&read.kept[0].parties, read.kept[0].dealing.seeds), (&keys(["a", "b", "c"]), dealing.seeds));
    }
}
