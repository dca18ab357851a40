//! `cluster.toml`: who the three parties are and how to recognise them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The three parties in the order of their roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// P0, P1, P2.
    pub parties: Vec<PartyEntry>,
}

/// How to reach one party and which key it must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyEntry {
    /// A name for people, for example the organisation's.
    pub name: String,
    /// `host:port`, UDP. A list, to make room for several workers; today only the first is used.
    pub addresses: Vec<String>,
    /// Fingerprints of the keys this party may present, as `mpc-party init` prints them (`sha256:` and 64 hex digits).
    pub fingerprints: Vec<String>,
}

impl Cluster {
    /// Reads and validates a `cluster.toml`.
    ///
    /// # Errors
    /// [`Error::File`] with what is wrong.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        let cluster: Self = toml::from_str(&text).map_err(|e| Error::file(path, e))?;
        cluster.validate().map_err(|reason| Error::file(path, reason))?;
        Ok(cluster)
    }

    /// Checks that there are three parties, each with an address and a fingerprint of its own.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn validate(&self) -> Result<(), String> {
        if self.parties.len() != 3 {
            return Err(format!("names {} parties; a cluster has exactly three", self.parties.len()));
        }
        for (index, party) in self.parties.iter().enumerate() {
            if party.addresses.is_empty() || party.fingerprints.is_empty() {
                let reason = format!("party {index} ({}) needs at least one address and one fingerprint", party.name);
                return Err(reason);
            }
            let others = self.parties[index + 1..].iter().flat_map(|other| &other.fingerprints);
            if let Some(shared) = others.into_iter().find(|other| party.fingerprints.contains(other)) {
                let reason =
                    format!("lists {shared} for party {index} and for another one; each needs a key of its own");
                return Err(reason);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parties_with_keys_of_their_own() {
        let entry = |key: &str| PartyEntry {
            name: "party".into(),
            addresses: vec!["host:1".into()],
            fingerprints: vec!["old".to_owned() + key, key.into()],
        };
        let cluster = |keys: &[&str]| Cluster { parties: keys.iter().map(|key| entry(key)).collect() };
        assert_eq!(cluster(&["a", "b", "c"]).validate(), Ok(()));
        for (keys, said) in [(&["a", "b"][..], "three"), (&["a", "b", "a"], "own"), (&["a", "b", "b"], "own")] {
            let refused = cluster(keys).validate().unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
