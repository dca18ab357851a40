//! The certificates of a handshake: one that expires, signed by the long-lived key whose fingerprint others pin.
//!
//! The chain is exactly two certificates: the TLS key's, an end entity, then the identity key's, which is the
//! only trust anchor of the first. No other authority exists.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, OtherError, RootCertStore};

use super::crypto::provider;
use super::fingerprint::Fingerprint;
use crate::error::{Error, Result};

/// Seconds by which a certificate's validity begins before its issue, for machines whose clocks are slow.
const CLOCK_SKEW: u64 = 3600;

const DAY: u64 = 86_400;

/// The period in which a certificate is valid, both ends included, in seconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// The last second.
    pub until: u64,
}

impl Validity {
    /// The `days` days from now.
    pub fn of_days(days: u32) -> Self {
        Self { from: now() - CLOCK_SKEW, until: now() + u64::from(days) * DAY }
    }

    /// Whole days until the end, negative after it.
    pub fn days_left(self) -> i64 {
        (self.until as i64 - now() as i64).div_euclid(DAY as i64)
    }

    /// Whether a renewal is due: the period ends within 30 days, or has ended.
    pub fn ends_soon(self) -> bool {
        self.days_left() < 30
    }

    /// A warning in one line where the certificate [ends soon](Self::ends_soon); `renew` is the command that renews it.
    pub fn warning(self, renew: &str) -> Option<String> {
        let (day, left) = (date(self.until), self.days_left());
        match left {
            ..0 => Some(format!("this side's certificate expired on {day}, so nobody accepts it: run `{renew}`")),
            0..30 => Some(format!("this side's certificate expires on {day}, in {left} days: run `{renew}` by then")),
            _ => None,
        }
    }
}

/// Why a chain of certificates is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The certificate has expired.
    #[error(
        "its certificate expired on {}, and this machine's clock says {}; its operator must renew it",
        date(*.until), date(*.now)
    )]
    Ended {
        /// The last second of the certificate.
        until: u64,
        /// This machine's clock.
        now: u64,
    },
    /// The certificate is not valid yet.
    #[error(
        "its certificate is valid from {}, and this machine's clock says {}; set the clock that is wrong",
        date(*.from), date(*.now)
    )]
    NotYet {
        /// The first second of the certificate.
        from: u64,
        /// This machine's clock.
        now: u64,
    },
    /// The key is none of those expected there.
    #[error(
        "it answers with the key {got}, but the cluster file lists {}; the file is out of date, or another answers there",
        listed(expected)
    )]
    WrongKey {
        /// The keys that were expected.
        expected: Vec<Fingerprint>,
        /// The key that was shown.
        got: Fingerprint,
    },
    /// The chain is not a certificate and the identity that signed it.
    #[error("its certificate is not one signed by its identity key: {0}")]
    Chain(String),
}

fn listed(keys: &[Fingerprint]) -> String {
    keys.iter().map(Fingerprint::to_string).collect::<Vec<_>>().join(" or ")
}

impl From<Distrust> for rustls::Error {
    fn from(distrust: Distrust) -> Self {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let error = match distrust {
            Distrust::Ended { until, now } => CertificateError::ExpiredContext { time: at(now), not_after: at(until) },
            Distrust::NotYet { from, now } => {
                CertificateError::NotValidYetContext { time: at(now), not_before: at(from) }
            }
            other => CertificateError::Other(OtherError(std::sync::Arc::new(other))),
        };
        error.into()
    }
}

/// The fingerprint of the chain's owner, if the chain is valid at the time `now`.
pub(super) fn verify(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    now: UnixTime,
    algorithms: WebPkiSupportedAlgorithms,
) -> Result<Fingerprint, Distrust> {
    let [identity] = rest else {
        return Err(Distrust::Chain(format!("{} certificates instead of two", rest.len() + 1)));
    };
    let broken = |e: rustls::Error| match e {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            Distrust::Ended { until: not_after.as_secs(), now: time.as_secs() }
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            Distrust::NotYet { from: not_before.as_secs(), now: time.as_secs() }
        }
        other => Distrust::Chain(other.to_string()),
    };
    let mut anchor = RootCertStore::empty();
    anchor.add(identity.clone().into_owned()).map_err(broken)?;
    let parsed = ParsedCertificate::try_from(leaf).map_err(broken)?;
    verify_server_cert_signed_by_trust_anchor(&parsed, &anchor, &[], now, algorithms.all).map_err(broken)?;
    Fingerprint::of_certificate(identity).map_err(|e| Distrust::Chain(e.to_string()))
}

/// The validity of this side's own chain, if its certificates fit together and belong to the key (PKCS #8, DER).
pub(super) fn check_own(chain: &[CertificateDer<'static>; 2], key: &[u8]) -> Result<Validity> {
    const REMEDY: &str = "renew the certificate";
    let wrong = |reason: String| Error::invalid("TLS certificate", format!("{reason}; {REMEDY}"));
    let key = PrivateKeyDer::Pkcs8(key.to_vec().into());
    CertifiedKey::from_der(chain.to_vec(), key, &provider()).map_err(|e| wrong(e.to_string()))?;
    validity(&chain[0], &chain[1]).map_err(|e| wrong(e.to_string()))
}

/// The period in which a chain is valid, which may lie in the past or the future.
pub(super) fn validity(leaf: &CertificateDer<'_>, identity: &CertificateDer<'_>) -> Result<Validity, Distrust> {
    let algorithms = provider().signature_verification_algorithms;
    let at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verify(leaf, std::slice::from_ref(identity), time, algorithms)
    };
    // Asked for a time before or after the validity of any certificate, the verifier's error states the bounds.
    match (at(0), at(LAST_SECOND)) {
        (Err(Distrust::NotYet { from, .. }), Err(Distrust::Ended { until, .. })) => {
            let valid = Validity { from, until };
            at(valid.from).map(|_| valid)
        }
        (Err(other), _) | (_, Err(other)) => Err(other),
        (Ok(_), Ok(_)) => Err(Distrust::Chain("it never expires".into())),
    }
}

/// Certificates of an identity key and of a TLS key, in this order; the second expires.
pub(super) fn issue(
    identity: &KeyPair,
    tls: &KeyPair,
    name: &str,
    valid: Validity,
) -> Result<[rcgen::Certificate; 2], rcgen::Error> {
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, format!("{name}, identity"));
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, name);
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let moment = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    (leaf.not_before, leaf.not_after) = (moment(valid.from), moment(valid.until));
    let signed = leaf.signed_by(tls, &Issuer::from_params(&root, identity))?;
    Ok([root.self_signed(identity)?, signed])
}

/// The date of a time in seconds since 1970, as `2026-01-31` (UTC).
pub fn date(seconds: u64) -> String {
    (rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.min(LAST_SECOND))).date().to_string()
}

/// The end of the year 9999, the latest time a certificate can state.
const LAST_SECOND: u64 = 253_402_300_799;

/// This machine's clock, in seconds since 1970.
pub fn now() -> u64 {
    UnixTime::now().as_secs()
}
