//! What is shown in a handshake: a certificate that ends, signed by the long-lived key whose fingerprint others pin.
//!
//! The chain is exactly two certificates: that of the TLS key, an end entity, then that of the identity key, which is the
//! only trust anchor of the first. Nothing else vouches for anybody.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, OtherError, RootCertStore};

use super::identity::Fingerprint;

/// Seconds by which a certificate's validity begins before its issue, for machines whose clocks are slow.
const CLOCK_SKEW: u64 = 3600;

const DAY: u64 = 86_400;

/// When a certificate is valid, both ends included, in seconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// The last second.
    pub until: u64,
}

impl Validity {
    /// From now on, for so many days.
    pub fn of_days(days: u32) -> Self {
        Self { from: now() - CLOCK_SKEW, until: now() + u64::from(days) * DAY }
    }

    /// Whole days until the end, negative once it is over.
    pub fn days_left(self) -> i64 {
        (self.until as i64 - now() as i64).div_euclid(DAY as i64)
    }

    /// Whether it ends so soon that it should be renewed: within 30 days, or it has ended.
    pub fn ends_soon(self) -> bool {
        self.days_left() < 30
    }

    /// One line for people where the certificate [ends soon](Self::ends_soon); `renew` is the command that makes another.
    pub fn warning(self, renew: &str) -> Option<String> {
        let (day, left) = (date(self.until), self.days_left());
        match left {
            ..0 => Some(format!("this side's certificate ended on {day}, so that nobody accepts it: run `{renew}`")),
            0..30 => Some(format!("this side's certificate ends on {day}, in {left} days: run `{renew}` before")),
            _ => None,
        }
    }
}

/// Why the certificates that somebody shows are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It is over.
    #[error(
        "its certificate ended on {}, and this machine's clock says {}; its operator renews it",
        date(*.until), date(*.now)
    )]
    Ended {
        /// The last second of the certificate.
        until: u64,
        /// This machine's clock.
        now: u64,
    },
    /// It has not begun.
    #[error(
        "its certificate begins on {}, and this machine's clock says {}; set the clock that is wrong",
        date(*.from), date(*.now)
    )]
    NotYet {
        /// The first second of the certificate.
        from: u64,
        /// This machine's clock.
        now: u64,
    },
    /// The key is not one that is expected there.
    #[error(
        "it answers with the key {got}, where the cluster file lists {}; the file is out of date, or somebody else answers there",
        listed(expected)
    )]
    WrongKey {
        /// The keys that were expected.
        expected: Vec<Fingerprint>,
        /// The key that was shown.
        got: Fingerprint,
    },
    /// They are not a certificate and the identity that signed it.
    #[error("what it shows is not a certificate signed by its identity key: {0}")]
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

/// The fingerprint of whoever shows this chain, if it is valid at the time `now`.
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

/// When a chain is valid; whether it is today does not matter.
pub(super) fn validity(
    leaf: &CertificateDer<'_>,
    identity: &CertificateDer<'_>,
    algorithms: WebPkiSupportedAlgorithms,
) -> Result<Validity, Distrust> {
    let at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verify(leaf, std::slice::from_ref(identity), time, algorithms)
    };
    // Before the beginning and after the end of every certificate, the verifier says when they are.
    match (at(0), at(LAST_SECOND)) {
        (Err(Distrust::NotYet { from, .. }), Err(Distrust::Ended { until, .. })) => {
            let valid = Validity { from, until };
            at(valid.from).map(|_| valid)
        }
        (Err(other), _) | (_, Err(other)) => Err(other),
        (Ok(_), Ok(_)) => Err(Distrust::Chain("it never expires".into())),
    }
}

/// Certificates of an identity key and of a TLS key, in this order; the second ends.
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

/// The day of a moment in seconds since 1970, as `2026-01-31` (UTC).
pub fn date(seconds: u64) -> String {
    (rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.min(LAST_SECOND))).date().to_string()
}

/// The end of the year 9999, after which no certificate can name a moment.
const LAST_SECOND: u64 = 253_402_300_799;

/// This machine's clock, in seconds since 1970.
pub fn now() -> u64 {
    UnixTime::now().as_secs()
}
