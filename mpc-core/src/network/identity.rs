//! An identity: a long-lived key whose fingerprint others pin, and a certificate that it signs for a year.
//!
//! There is no certificate authority. A fingerprint is the SHA-256 of the long-lived public key (SubjectPublicKeyInfo),
//! so a certificate can be renewed without touching anybody's configuration.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use hkdf::Hkdf;
use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::certificate::{self, Validity};
pub use super::fingerprint::Fingerprint;
use crate::error::{Error, Result};

/// File name of the long-lived private key in an identity's folder: PKCS #8, PEM, readable by its owner alone. Only
/// renewal needs it.
pub const KEY_FILE: &str = "identity.key";

/// File name of the long-lived key's certificate: PEM, public.
pub const CERTIFICATE_FILE: &str = "identity.pem";

/// File name of the private key for handshakes: PKCS #8, PEM, readable by its owner alone.
pub const TLS_KEY_FILE: &str = "tls.key";

/// File name of the TLS key's certificate, which expires: PEM, public.
pub const TLS_CERTIFICATE_FILE: &str = "tls.pem";

/// Days for which a certificate is issued by default.
pub const DAYS: u32 = 365;

/// What one side shows in a handshake: a key, its certificate, which expires, and the identity that signed it. Drop
/// wipes the key from memory. The long-lived key is not included, see [`keys`](super::keys).
pub struct Identity {
    /// The certificate of the TLS key, then that of the identity.
    chain: [CertificateDer<'static>; 2],
    chain_pem: [String; 2],
    key: Zeroizing<Vec<u8>>,
    key_pem: Zeroizing<String>,
    fingerprint: Fingerprint,
    validity: Validity,
}

impl Identity {
    /// A new identity for a year, whose long-lived key is discarded: for tests, and for servers that live as long as
    /// their process. `name` appears in the certificate for people; nothing relies on it.
    ///
    /// # Errors
    /// [`Error::Invalid`] on a name that no certificate can hold, [`Error::System`] without random numbers.
    pub fn generate(name: &str) -> Result<Self> {
        let key = new_key()?;
        Self::issue(&key, name, Validity::of_days(DAYS))
    }

    /// A new TLS key, and a certificate for it that the identity's key signs.
    pub(super) fn issue(identity: &KeyPair, name: &str, valid: Validity) -> Result<Self> {
        let failed = |e: rcgen::Error| Error::invalid(format!("identity {name:?}"), e.to_string());
        let key = new_key()?;
        let [root, leaf] = certificate::issue(identity, &key, name, valid).map_err(failed)?;
        Self::from_pem(&[leaf.pem(), root.pem()], &key.serialize_pem())
    }

    /// The fingerprint of the long-lived key, by which others recognise this identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The validity of the TLS key's certificate.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The certificate of the TLS key, then that of the identity, DER.
    pub fn chain(&self) -> &[CertificateDer<'static>; 2] {
        &self.chain
    }

    /// A copy of the TLS key for a TLS configuration.
    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.to_vec().into())
    }

    /// A secret derived from this identity for a purpose other than TLS. A renewal changes it.
    pub(super) fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        let expanded = Hkdf::<Sha256>::new(None, &self.key).expand(purpose, &mut *secret);
        expanded.expect("32 bytes are a valid HKDF length");
        secret
    }

    /// Writes [`TLS_KEY_FILE`] (mode 0600), [`TLS_CERTIFICATE_FILE`] and [`CERTIFICATE_FILE`] into a folder, which is
    /// created if needed. Each file is replaced as a whole.
    ///
    /// # Errors
    /// [`Error::File`] where a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|e| at(dir, &e))?;
        replace(&dir.join(CERTIFICATE_FILE), self.chain_pem[1].as_bytes(), 0o644)?;
        replace(&dir.join(TLS_KEY_FILE), self.key_pem.as_bytes(), 0o600)?;
        replace(&dir.join(TLS_CERTIFICATE_FILE), self.chain_pem[0].as_bytes(), 0o644)
    }

    /// Reads what [`Identity::save`] wrote. An expired certificate is read too, see [`Identity::validity`].
    ///
    /// # Errors
    /// [`Error::File`] where a file is missing, damaged or belongs to another key, or where others than its owner can
    /// read a key.
    pub fn load(dir: &Path) -> Result<Self> {
        let read = |file: &str| {
            let path = dir.join(file);
            fs::read_to_string(&path).map(Zeroizing::new).map_err(|e| at(&path, &e))
        };
        refuse_readable_by_others(&dir.join(TLS_KEY_FILE))?;
        if dir.join(KEY_FILE).exists() {
            refuse_readable_by_others(&dir.join(KEY_FILE))?;
        }
        let chain = [read(TLS_CERTIFICATE_FILE)?.to_string(), read(CERTIFICATE_FILE)?.to_string()];
        Self::from_pem(&chain, &read(TLS_KEY_FILE)?).map_err(|e| at(dir, &e))
    }

    fn from_pem(chain_pem: &[String; 2], key_pem: &str) -> Result<Self> {
        let certificate = |file: &str, pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| Error::invalid(file, e.to_string()))
        };
        let chain = [certificate(TLS_CERTIFICATE_FILE, &chain_pem[0])?, certificate(CERTIFICATE_FILE, &chain_pem[1])?];
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes());
        let key = key.map_err(|e| Error::invalid(TLS_KEY_FILE, e.to_string()))?;
        let key = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        Ok(Self {
            fingerprint: Fingerprint::of_certificate(&chain[1])?,
            validity: certificate::check_own(&chain, &key)?,
            chain,
            chain_pem: chain_pem.clone(),
            key,
            key_pem: Zeroizing::new(key_pem.to_owned()),
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

pub(super) fn at(path: &Path, reason: &dyn fmt::Display) -> Error {
    Error::file(path, reason)
}

/// A fresh ECDSA key; only the operating system's randomness can fail.
pub(super) fn new_key() -> Result<KeyPair> {
    KeyPair::generate().map_err(|e| Error::system("key", e))
}

/// Writes a file whole or not at all.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let new = path.with_added_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    // An earlier attempt may have left the file; nobody reads it.
    drop(fs::remove_file(&new));
    let written = options.open(&new).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&new, path)).map_err(|e| at(path, &e))
}

#[cfg(unix)]
pub(super) fn refuse_readable_by_others(key: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let mode = fs::metadata(key).map_err(|e| at(key, &e))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let remedy = format!("chmod 600 {}", key.display());
        return Err(at(key, &format_args!("a private key that others can read (mode {mode:o}); run `{remedy}`")));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn refuse_readable_by_others(_key: &Path) -> Result<()> {
    Ok(())
}
