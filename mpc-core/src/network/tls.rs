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
    QuicServerConfig::try_from(Arc::new(server_config(identity)?)).map_err(|e| unusable(&e))
}

/// A caller that shows `identity` and accepts a server with one of the `expected` keys.
pub(super) fn client(identity: &Identity, expected: &[Fingerprint]) -> Result<QuicClientConfig> {
    QuicClientConfig::try_from(Arc::new(client_config(identity, expected)?)).map_err(|e| unusable(&e))
}

/// How a party serves TLS, over whatever transport.
///
/// # Errors
/// [`Error::Invalid`] on an identity that cannot be used.
pub fn server_config(identity: &Identity) -> Result<ServerConfig> {
    let provider = Arc::new(provider());
    let verifier = Arc::new(AnyKey(provider.signature_verification_algorithms));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(&e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate().clone()], identity.private_key())
        .map_err(|e| unusable(&e))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// How a party is called, over whatever transport.
///
/// # Errors
/// [`Error::Invalid`] on an identity that cannot be used.
pub fn client_config(identity: &Identity, expected: &[Fingerprint]) -> Result<ClientConfig> {
    let provider = Arc::new(provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(PinnedKey { algorithms, expected: expected.to_vec() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(&e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate().clone()], identity.private_key())
        .map_err(|e| unusable(&e))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

fn provider() -> CryptoProvider {
    let kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

fn unusable(reason: &dyn std::error::Error) -> Error {
    Error::invalid("TLS identity", reason.to_string())
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

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, NamedGroup, ProtocolVersion, ServerConnection};

    use super::*;

    /// Carries the bytes of a handshake to and fro in memory.
    fn shake_hands(server: ServerConfig, client: ClientConfig) -> (ServerConnection, ClientConnection) {
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), "party".try_into().unwrap()).unwrap();
        while server.is_handshaking() || client.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        (server, client)
    }

    #[test]
    fn the_handshake_is_tls13_post_quantum_mutual_and_leaves_no_ticket() {
        let [party, caller] = ["party", "caller"].map(|name| Identity::generate(name).unwrap());
        let client = client_config(&caller, &[party.fingerprint()]).unwrap();
        let (server, client) = shake_hands(server_config(&party).unwrap(), client);
        assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let group = client.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
        assert_eq!(client.alpn_protocol(), Some(ALPN));
        assert_eq!(client.tls13_tickets_received(), 0);
        let shown = server.peer_certificates().unwrap();
        assert_eq!(Fingerprint::of_certificate(&shown[0]).unwrap(), caller.fingerprint());
    }

    #[test]
    fn an_expired_certificate_is_refused() {
        let identity = Identity::generate("old").unwrap();
        let algorithms = provider().signature_verification_algorithms;
        let after_the_end_of_time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1 << 40));
        assert!(check(identity.certificate(), UnixTime::now(), algorithms).is_ok());
        assert!(check(identity.certificate(), after_the_end_of_time, algorithms).is_err());
    }
}
