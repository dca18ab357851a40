//! Putting a model into service: its weights are shared, never shown.

use std::io::Write;
use std::path::Path;

use mpc_core::model;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::sharing::{Dealt, Seed, share_from};
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::codec;
use mpc_core::wire::message::{Action, Id, Reply, Request, Upload, publication_id};
use mpc_core::wire::stream::encode_dealt;
use ndarray::IxDyn;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::connect::{Client, Peer, join};
use crate::error::{Error, Result};

/// The random numbers of a publication. The same ones make the same publication with the same shares, so that one which was
/// interrupted can go on. Secret: together with one party's share they are the weights.
#[derive(Serialize, Deserialize)]
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
    /// New ones, for a publication that is never resumed.
    ///
    /// # Errors
    /// [`Error::Internal`] where the operating system has no random numbers.
    pub fn fresh() -> Result<Self> {
        let mut dealing = Self { fresh: Id::default(), seeds: [Id::default(); 2] };
        let [first, second] = &mut dealing.seeds;
        for id in [&mut dealing.fresh, first, second] {
            getrandom::fill(id).map_err(|e| Error::Internal(format!("operating system randomness: {e}")))?;
        }
        Ok(dealing)
    }

    /// Those that a file in `folder` keeps for this model in this cluster; made where there is none, or a new publication is
    /// wanted `anew`.
    ///
    /// # Errors
    /// [`Error::Usage`] where the file cannot be read or written.
    pub fn kept(folder: &Path, model: &model::Model, cluster: &Cluster, anew: bool) -> Result<Self> {
        let path = folder.join(format!("{}.toml", name(model, cluster)?));
        let failed = |e: &dyn std::fmt::Display| Error::file(&path, e);
        if path.exists() && !anew {
            let text = std::fs::read_to_string(&path).map_err(|e| failed(&e))?;
            return toml::from_str(&text).map_err(|e| failed(&e));
        }
        let dealing = Self::fresh()?;
        let text = toml::to_string(&dealing).map_err(|e| failed(&e))?;
        std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|e| failed(&e))?;
        file.persist(&path).map_err(|e| failed(&e))?;
        Ok(dealing)
    }
}

/// What a publication is of and for: a digest of the model and of the three parties' keys.
fn name(model: &model::Model, cluster: &Cluster) -> Result<String> {
    let mut hash = Sha256::new();
    let keys: Vec<&[String]> = cluster.parties.iter().map(|party| &party.fingerprints[..]).collect();
    hash.update(codec::encode(&(&manifest(model)?, &codec::encode(&model.graph)?, &keys))?);
    for weights in model.encode_weights()? {
        weights.iter().for_each(|word| hash.update(word.to_le_bytes()));
    }
    Ok(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn manifest(model: &model::Model) -> Result<String> {
    toml::to_string(&model.manifest).map_err(|e| Error::Internal(e.to_string()))
}

/// A publication that is in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub publication: Id,
    /// The change that put it there, or a later one.
    pub revision: u64,
    /// Bytes of shares that had to be sent.
    pub bytes_sent: u64,
}

impl Client {
    /// Shares a model's weights to the three parties and puts it into service under its manifest's name. An earlier model of
    /// that name stays in service until all three have stored the new one and compared their shares. Interrupted at any point and
    /// called again with the same dealing, it goes on where it was.
    ///
    /// # Errors
    /// [`Error::Refused`] where a party does not take it, for example because this client may not publish.
    pub async fn publish(&self, model: &model::Model, dealing: &Dealing) -> Result<Published> {
        let (manifest, graph) = (manifest(model)?, codec::encode(&model.graph)?);
        let words: Vec<u64> = model.encode_weights()?.iter().flatten().copied().collect();
        let weights =
            Tensor::from_shape_vec(IxDyn(&[words.len()]), words).map_err(|e| Error::Internal(e.to_string()))?;
        let publication = publication_id(&manifest, &graph, &dealing.fresh);
        let mut dealt = share_from::<Arithmetic, u64>(dealing.seeds.map(Seed), &weights).into_iter();
        let sent = join(self.parties().map(|peer| {
            let dealt = dealt.next().expect("one for each of the three");
            upload(peer, publication, (manifest.clone(), graph.clone()), dealt)
        }))
        .await?;
        let revision = self.change(Action::Activate { publication }).await?;
        Ok(Published { publication, revision, bytes_sent: sent.iter().sum() })
    }
}

/// Sends a party what it has not stored yet of its share; how many bytes that was.
async fn upload(peer: &Peer, publication: Id, (manifest, graph): (String, Vec<u8>), dealt: Dealt<u64>) -> Result<u64> {
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
