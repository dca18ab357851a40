//! The key that a store is sealed with.

use std::fmt;
use std::io::Write;
use std::path::Path;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::{Result, StoreError};

/// File name of the key in the identity's folder: 64 hexadecimal digits, readable by its owner alone.
pub const KEY_FILE: &str = "store.key";

/// The key of a store.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct StoreKey(pub(super) Zeroizing<[u8; 32]>);

impl StoreKey {
    /// A fresh key from the operating system.
    ///
    /// # Errors
    /// [`StoreError::Core`] where the system gives no random numbers.
    pub fn fresh() -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        mpc_core::random::fill(&mut *key)?;
        Ok(Self(key))
    }

    /// Writes the key to a new file that only its owner can read.
    ///
    /// # Errors
    /// [`StoreError::File`], also where the file exists.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let hex: Zeroizing<String> = Zeroizing::new(HEXLOWER.encode(&*self.0));
        let written = options.open(path).and_then(|mut file| {
            file.write_all(hex.as_bytes())?;
            file.sync_all()
        });
        written.map_err(StoreError::file(format!("cannot write the store key {}", path.display())))
    }

    /// The key in the service manager's folder of `credentials` (systemd: `LoadCredential=store.key:...`), else the one
    /// in the identity's folder.
    ///
    /// # Errors
    /// As [`StoreKey::load`].
    pub fn find(credentials: Option<&Path>, identity: &Path) -> Result<Self> {
        match credentials.map(|folder| folder.join(KEY_FILE)) {
            // The manager guards its folder, so the file's mode may be wider.
            Some(path) if path.exists() => Self::read(&path),
            _ => Self::load(&identity.join(KEY_FILE)),
        }
    }

    /// Reads what [`StoreKey::save`] wrote.
    ///
    /// # Errors
    /// [`StoreError::File`]; [`StoreError::Refused`] where others can read the file.
    pub fn load(path: &Path) -> Result<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let file = path.display();
            let known = std::fs::metadata(path).map_err(StoreError::file(format!("store key {file}")))?;
            if known.mode() & 0o077 != 0 {
                let reason = format!("store key {file}: others can read it; run `chmod 600 {file}`");
                return Err(StoreError::Refused(reason));
            }
        }
        Self::read(path)
    }

    fn read(path: &Path) -> Result<Self> {
        let what = format!("store key {}", path.display());
        let text = std::fs::read_to_string(path).map_err(StoreError::file(&*what))?;
        Self::try_from(text).map_err(StoreError::file(what))
    }
}

impl TryFrom<String> for StoreKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = Zeroizing::new(text);
        let digits = text.trim().as_bytes();
        let mut key = Zeroizing::new([0; 32]);
        if digits.len() != 64 || HEXLOWER_PERMISSIVE.decode_mut(digits, &mut *key).is_err() {
            return Err("a store key is 64 hexadecimal digits");
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(KEY_FILE);
        let key = StoreKey::fresh().unwrap();
        key.save(&path).unwrap();
        assert_eq!(*StoreKey::load(&path).unwrap().0, *key.0);
        assert!(key.save(&path).is_err(), "never overwritten");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(StoreKey::load(&path).unwrap_err().to_string().contains("chmod 600"));
        let identity = tempfile::tempdir().unwrap();
        assert!(StoreKey::find(None, identity.path()).is_err());
        assert_eq!(*StoreKey::find(Some(dir.path()), identity.path()).unwrap().0, *key.0, "the manager's folder first");
        StoreKey::fresh().unwrap().save(&identity.path().join(KEY_FILE)).unwrap();
        let own = StoreKey::find(Some(&identity.path().join("empty")), identity.path()).unwrap();
        assert_ne!(*own.0, *key.0);
        assert!(StoreKey::try_from("zz".repeat(32)).is_err());
    }
}
