//! Finding the cluster to ask and the identity to ask with.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use mpc_core::wire::cluster::Cluster;

use mpc_client::{Error, Result};

/// File name of the cluster file.
const FILE: &str = "cluster.toml";

/// The user's configuration folder for this program, where the platform has one.
fn config_dir() -> Option<PathBuf> {
    ProjectDirs::from("", "", "mpc").map(|dirs| dirs.config_dir().to_owned())
}

/// The cluster to talk to and the file that names it: `explicit`, else `$MPC_CLUSTER`, else `./cluster.toml`, else the
/// one in the user's configuration folder.
///
/// # Errors
/// [`Error::NoCluster`] where there is none, [`Error::File`] where the file is invalid.
pub(crate) fn find(explicit: Option<&Path>) -> Result<(PathBuf, Cluster)> {
    let named = explicit.map(Path::to_owned).or_else(|| std::env::var_os("MPC_CLUSTER").map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None => {
            let users = config_dir().map(|dir| dir.join(FILE));
            let mut candidates = vec![PathBuf::from(FILE)];
            candidates.extend(users);
            let found = candidates.iter().find(|path| path.is_file()).cloned();
            found.ok_or(Error::NoCluster { looked: candidates })?
        }
    };
    let cluster = Cluster::load(&path)?;
    Ok((path, cluster))
}

/// The folder of this client's identity: `explicit`, else `client` beside the cluster file, else the user's
/// configuration folder.
///
/// # Errors
/// [`Error::Usage`] where the platform has no configuration folder.
pub(crate) fn identity_dir(explicit: Option<&Path>, cluster: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = explicit {
        return Ok(dir.to_owned());
    }
    let beside = cluster.and_then(Path::parent).map(|dir| dir.join("client")).filter(|dir| dir.is_dir());
    beside
        .or_else(|| config_dir().map(|dir| dir.join("client")))
        .ok_or_else(|| Error::Usage("this platform has no configuration folder; say where the identity is".into()))
}
