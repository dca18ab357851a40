//! The folder of an identity: creating, renewing and replacing it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rcgen::KeyPair;
use zeroize::Zeroizing;

use super::certificate::Validity;
use super::identity::{CERTIFICATE_FILE, Identity, KEY_FILE, TLS_CERTIFICATE_FILE, TLS_KEY_FILE};
use super::identity::{at, new_key, refuse_readable_by_others, replace};
use crate::error::Result;

/// The subfolder with the identity that will replace this one.
pub const NEXT: &str = "next";

/// The subfolder with the identity that this one replaced.
pub const PREVIOUS: &str = "previous";

/// What [`init`] found or made.
#[derive(Debug)]
pub struct Made {
    /// What the folder holds now.
    pub identity: Identity,
    /// Whether its long-lived key is new.
    pub key: bool,
    /// Whether its certificate is new.
    pub certificate: bool,
}

/// Creates what a folder lacks of an identity: the long-lived key, and a certificate for `days` days where there is
/// none, where it expires within 30 days, or where `renew` asks for it. Never replaces a key. `name` appears in the
/// certificate for people.
///
/// # Errors
/// [`Error::File`](crate::Error::File) where a file cannot be read or written, or where a renewal lacks the long-lived
/// key.
pub fn init(dir: &Path, name: &str, days: u32, renew: bool) -> Result<Made> {
    let (key_file, certificate_file) = (dir.join(KEY_FILE), dir.join(TLS_CERTIFICATE_FILE));
    let new = !key_file.exists() && !certificate_file.exists();
    if !renew && certificate_file.exists() {
        let identity = Identity::load(dir)?;
        if !identity.validity().ends_soon() || !key_file.exists() {
            return Ok(Made { identity, key: false, certificate: false });
        }
    }
    let key = if new { make_key(dir)? } else { load_key(dir)? };
    let identity = Identity::issue(&key, name, Validity::of_days(days))?;
    identity.save(dir)?;
    Ok(Made { identity, key: new, certificate: true })
}

/// Creates a complete new identity in [`NEXT`], or finds the one there.
///
/// # Errors
/// As [`init`], and where the folder has no identity to replace.
pub fn rotate(dir: &Path, name: &str, days: u32) -> Result<Made> {
    Identity::load(dir)?;
    init(&dir.join(NEXT), name, days, false)
}

/// Moves the current identity into [`PREVIOUS`] and the one in [`NEXT`] into its place.
///
/// # Errors
/// [`Error::File`](crate::Error::File) where there is no next identity, where there is a previous one already, or where
/// a file cannot be moved.
pub fn finish_rotation(dir: &Path) -> Result<Identity> {
    let (next, previous) = (dir.join(NEXT), dir.join(PREVIOUS));
    Identity::load(&next)?;
    fs::create_dir(&previous).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => at(&previous, &"is there already; move it away or delete it, then run this again"),
        _ => at(&previous, &e),
    })?;
    // The certificates last: a party that is told to reload in between keeps the old identity, because they do not fit
    // the key.
    for file in [KEY_FILE, TLS_KEY_FILE, CERTIFICATE_FILE, TLS_CERTIFICATE_FILE] {
        let here = dir.join(file);
        for (from, to) in [(&here, previous.join(file)), (&next.join(file), here.clone())] {
            match fs::rename(from, to) {
                // A long-lived key may be kept elsewhere.
                Err(e) if e.kind() == ErrorKind::NotFound && file == KEY_FILE => {}
                moved => moved.map_err(|e| at(from, &e))?,
            }
        }
    }
    // The folder stays where somebody has put other files into it.
    drop(fs::remove_dir(&next));
    Identity::load(dir)
}

fn make_key(dir: &Path) -> Result<KeyPair> {
    fs::create_dir_all(dir).map_err(|e| at(dir, &e))?;
    let file = dir.join(KEY_FILE);
    let key = new_key()?;
    replace(&file, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
    Ok(key)
}

fn load_key(dir: &Path) -> Result<KeyPair> {
    let file = dir.join(KEY_FILE);
    if !file.exists() {
        let reason = "a new certificate needs the identity's key: put the file back for as long as this takes";
        return Err(at(&file, &reason));
    }
    refuse_readable_by_others(&file)?;
    let pem = Zeroizing::new(fs::read_to_string(&file).map_err(|e| at(&file, &e))?);
    KeyPair::from_pem(&pem).map_err(|e| at(&file, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_and_its_certificate_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("party");
        let init = |days, renew| init(&dir, "party", days, renew);
        let first = init(40, false).unwrap();
        assert!(first.key && first.certificate);
        assert_eq!(Identity::load(&dir).unwrap().chain(), first.identity.chain());
        let again = init(40, false).unwrap();
        assert!(!again.key && !again.certificate);
        assert_eq!(again.identity.chain(), first.identity.chain());

        let renewed = init(20, true).unwrap();
        assert!(!renewed.key && renewed.certificate);
        assert_eq!(renewed.identity.fingerprint(), first.identity.fingerprint());
        assert_ne!(renewed.identity.chain(), first.identity.chain());
        let warning = renewed.identity.validity().warning("renew").unwrap();
        assert!(warning.contains("in 20 days") || warning.contains("in 19 days"), "{warning}");
        let soon = init(365, false).unwrap();
        assert!(soon.certificate && soon.identity.validity().warning("renew").is_none(), "it ends within 30 days");

        // The long-lived key is kept elsewhere.
        let (key, away) = (dir.join(KEY_FILE), folder.path().join("away"));
        fs::rename(&key, &away).unwrap();
        assert!(!init(40, false).unwrap().certificate);
        let refused = init(40, true).unwrap_err().to_string();
        assert!(refused.contains("identity.key") && refused.contains("back"), "{refused}");
        fs::rename(&away, &key).unwrap();
        assert!(init(40, true).is_ok());
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        for dir in [&one, &other] {
            init(dir, "party", 40, false).unwrap();
        }
        for file in [TLS_KEY_FILE, TLS_CERTIFICATE_FILE, CERTIFICATE_FILE] {
            let kept = fs::read(one.join(file)).unwrap();
            fs::copy(other.join(file), one.join(file)).unwrap();
            let refused = Identity::load(&one).unwrap_err().to_string();
            assert!(refused.contains("renew"), "{file}: {refused}");
            fs::write(one.join(file), kept).unwrap();
        }
        Identity::load(&one).unwrap();
    }

    #[test]
    fn a_rotation_makes_another_identity_and_keeps_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert!(rotate(dir, "party", 40).is_err(), "there is nothing to follow");
        let old = init(dir, "party", 40, false).unwrap().identity;
        assert!(finish_rotation(dir).is_err(), "there is no next one");
        let next = rotate(dir, "party", 40).unwrap();
        assert!(next.key && next.identity.fingerprint() != old.fingerprint());
        assert!(!rotate(dir, "party", 40).unwrap().key, "it is there already");
        assert_eq!(Identity::load(dir).unwrap().fingerprint(), old.fingerprint());

        assert_eq!(finish_rotation(dir).unwrap().fingerprint(), next.identity.fingerprint());
        assert_eq!(Identity::load(&dir.join(PREVIOUS)).unwrap().fingerprint(), old.fingerprint());
        assert!(!dir.join(NEXT).exists() && !init(dir, "party", 40, false).unwrap().key);
        rotate(dir, "party", 40).unwrap();
        let refused = finish_rotation(dir).unwrap_err().to_string();
        assert!(refused.contains("previous"), "{refused}");
    }
}
