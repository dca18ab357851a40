//! Who somebody is: a key of their own, a self-signed certificate that carries it, and the fingerprint others pin.
//!
//! There is no certificate authority. A fingerprint is the SHA-256 of the public key (SubjectPublicKeyInfo), so that a
//! certificate can be issued anew for the same key without touching anybody's configuration.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use hkdf::Hkdf;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ParsedCertificate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// File name of the private key in an identity's folder: PKCS #8, PEM, readable by its owner alone.
pub const KEY_FILE: &str = "identity.key";

/// File name of the certificate in an identity's folder: PEM, public.
pub const CERTIFICATE_FILE: &str = "identity.pem";

/// SHA-256 of a public key (SubjectPublicKeyInfo, DER), written `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of the key in a certificate.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the bytes are no X.509 certificate.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self> {
        let parsed = ParsedCertificate::try_from(certificate)
            .map_err(|e| Error::invalid("certificate", format!("cannot be read: {e}")))?;
        Ok(Self(Sha256::digest(parsed.subject_public_key_info()).into()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("fingerprint {text:?}"), "expected `sha256:` and 64 hex digits");
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64).ok_or_else(wrong)?;
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digit = |i: usize| char::from(digits[i]).to_digit(16).ok_or_else(wrong);
            *byte = (digit(0)? * 16 + digit(1)?) as u8;
        }
        Ok(Self(bytes))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// A private key (ECDSA P-256) and its self-signed certificate. The key is wiped from memory on drop.
pub struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: Zeroizing<Vec<u8>>,
    key_pem: Zeroizing<String>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// A new key. `name` is for people who look at the certificate; nothing trusts it.
    ///
    /// # Errors
    /// [`Error::Invalid`] on a name that no certificate can hold.
    pub fn generate(name: &str) -> Result<Self> {
        let failed = |e: rcgen::Error| Error::invalid(format!("identity {name:?}"), e.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self {
            fingerprint: Fingerprint::of_certificate(certificate.der())?,
            certificate_pem: certificate.pem(),
            certificate: certificate.into(),
            key_pem: Zeroizing::new(key.serialize_pem()),
            key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// What others pin to recognise this identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A copy of the private key for a TLS configuration.
    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.to_vec().into())
    }

    /// A secret of this identity for another purpose than TLS.
    pub(super) fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        let expanded = Hkdf::<Sha256>::new(None, &self.key).expand(purpose, &mut *secret);
        expanded.expect("32 bytes are a valid HKDF length");
        secret
    }

    /// Writes [`KEY_FILE`] (mode 0600) and [`CERTIFICATE_FILE`] into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a file exists already (a key is never overwritten) or cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|e| at(dir, &e))?;
        write_new(&dir.join(KEY_FILE), self.key_pem.as_bytes(), 0o600)?;
        write_new(&dir.join(CERTIFICATE_FILE), self.certificate_pem.as_bytes(), 0o644)
    }

    /// Reads what [`Identity::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a file is missing or damaged, or where others than its owner can read the key.
    pub fn load(dir: &Path) -> Result<Self> {
        let (key_file, certificate_file) = (dir.join(KEY_FILE), dir.join(CERTIFICATE_FILE));
        refuse_readable_by_others(&key_file)?;
        let key_pem = Zeroizing::new(fs::read_to_string(&key_file).map_err(|e| at(&key_file, &e))?);
        let certificate_pem = fs::read_to_string(&certificate_file).map_err(|e| at(&certificate_file, &e))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|e| at(&key_file, &e))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
        let certificate = certificate.map_err(|e| at(&certificate_file, &e))?;
        let fingerprint = Fingerprint::of_certificate(&certificate).map_err(|e| at(&certificate_file, &e))?;
        let key = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        Ok(Self { certificate, certificate_pem, key, key_pem, fingerprint })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn at(path: &Path, reason: &dyn fmt::Display) -> Error {
    Error::invalid(path.display().to_string(), reason.to_string())
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let written = options.open(path).and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|e| at(path, &e))
}

#[cfg(unix)]
fn refuse_readable_by_others(key: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let mode = fs::metadata(key).map_err(|e| at(key, &e))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let remedy = format!("chmod 600 {}", key.display());
        return Err(at(key, &format_args!("a private key that others can read (mode {mode:o}); run `{remedy}`")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_key: &Path) -> Result<()> {
    Ok(())
}
