//! TLS 1.3 with a certificate on both sides: keys are pinned, not vouched for.
//!
//! Only TLS 1.3, X25519MLKEM768 offered first, no tickets, no resumption, no early data. The server takes every
//! well-formed certificate and the application decides whom it serves, so that a stranger reads a reason and not an alert.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible,
    RootCertStore, ServerConfig, SignatureScheme, version::TLS13,
};

use super::identity::{Fingerprint, Identity};
use crate::error::{Error, Result};
use crate::wire::message::ALPN;

/// A server that shows `identity` and asks every caller for a certificate.
pub(super) fn server(identity: &Identity) -> Result<QuicServerConfig> {
    let provider = Arc::new(provider());
    let verifier = Arc::new(AnyKey(provider.signature_verification_algorithms));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate().clone()], identity.private_key())
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(Arc::new(config)).map_err(|e| Error::invalid("TLS configuration", e.to_string()))
}

/// A caller that shows `identity` and accepts a server with one of the `expected` keys.
pub(super) fn client(identity: &Identity, expected: &[Fingerprint]) -> Result<QuicClientConfig> {
    let provider = Arc::new(provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(PinnedKey { algorithms, expected: expected.to_vec() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate().clone()], identity.private_key())
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(Arc::new(config)).map_err(|e| Error::invalid("TLS configuration", e.to_string()))
}

fn provider() -> CryptoProvider {
    let kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

fn unusable(error: rustls::Error) -> Error {
    Error::invalid("TLS identity", error.to_string())
}

/// Checks what a self-signed certificate can prove: that it is well formed, valid today and signed by its own key.
fn check(certificate: &CertificateDer<'_>, now: UnixTime, algorithms: WebPkiSupportedAlgorithms) -> TlsResult<()> {
    let mut itself = RootCertStore::empty();
    itself.add(certificate.clone().into_owned())?;
    let parsed = ParsedCertificate::try_from(certificate)?;
    verify_server_cert_signed_by_trust_anchor(&parsed, &itself, &[], now, algorithms.all)
}

type TlsResult<T> = Result<T, rustls::Error>;

/// TLS 1.2 is not offered, so its signatures are never asked for.
fn no_tls12() -> TlsResult<HandshakeSignatureValid> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

/// Accepts every caller that holds the key of a valid certificate.
#[derive(Debug)]
struct AnyKey(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> TlsResult<ClientCertVerified> {
        check(certificate, now, self.0).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Accepts a server that holds one of the expected keys, whatever its name.
#[derive(Debug)]
struct PinnedKey {
    algorithms: WebPkiSupportedAlgorithms,
    expected: Vec<Fingerprint>,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> TlsResult<ServerCertVerified> {
        check(certificate, now, self.algorithms)?;
        let got = Fingerprint::of_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if !self.expected.contains(&got) {
            let wrong = WrongKey { expected: self.expected.clone(), got };
            return Err(CertificateError::Other(OtherError(Arc::new(wrong))).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The server has another key than the cluster file says.
#[derive(Debug, thiserror::Error)]
#[error("its key is {got}, expected {expected:?}; somebody else answers there, or the cluster file is out of date")]
struct WrongKey {
    expected: Vec<Fingerprint>,
    got: Fingerprint,
}
