//! TLS 1.3 with a certificate on both sides; keys are pinned, without a certificate authority.
//!
//! Only TLS 1.3, X25519MLKEM768 offered first, no tickets, no resumption, no early data. The server accepts every valid
//! chain and the application decides whom it serves, so that a stranger gets a reason instead of an alert. The
//! handshake (ALPN) settles the [`Purpose`] of a connection.

use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, PeerIncompatible, ServerConfig, SignatureScheme,
    version::TLS13,
};

use super::certificate::{self, Distrust};
use super::crypto::provider;
use super::fingerprint::Fingerprint;
use super::identity::Identity;
use crate::error::{Error, Result};
use crate::wire::message::Purpose;

/// A server that shows `identity` and asks every caller for a certificate.
pub(super) fn server(identity: &Identity) -> Result<QuicServerConfig> {
    QuicServerConfig::try_from(Arc::new(server_config(identity)?)).map_err(|e| unusable(&e))
}

/// A caller that shows `identity` and accepts a server with one of the `expected` keys. Where it accepts none, the
/// second value holds the reason.
pub(super) fn client(
    identity: &Identity,
    expected: &[Fingerprint],
    purpose: Purpose,
) -> Result<(QuicClientConfig, Arc<OnceLock<Distrust>>)> {
    let (config, distrust) = pinning(identity, expected, purpose)?;
    Ok((QuicClientConfig::try_from(Arc::new(config)).map_err(|e| unusable(&e))?, distrust))
}

/// The TLS configuration of a serving party, for any transport.
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
        .with_single_cert(identity.chain().to_vec(), identity.private_key())
        .map_err(|e| unusable(&e))?;
    config.alpn_protocols = Purpose::ALL.map(Purpose::alpn).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The TLS configuration to call a party, for any transport.
///
/// # Errors
/// [`Error::Invalid`] on an identity that cannot be used.
pub fn client_config(identity: &Identity, expected: &[Fingerprint], purpose: Purpose) -> Result<ClientConfig> {
    pinning(identity, expected, purpose).map(|(config, _)| config)
}

fn pinning(
    identity: &Identity,
    expected: &[Fingerprint],
    purpose: Purpose,
) -> Result<(ClientConfig, Arc<OnceLock<Distrust>>)> {
    let provider = Arc::new(provider());
    let algorithms = provider.signature_verification_algorithms;
    let distrust = Arc::new(OnceLock::new());
    let verifier = Arc::new(PinnedKey { algorithms, expected: expected.to_vec(), distrust: distrust.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| unusable(&e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(identity.chain().to_vec(), identity.private_key())
        .map_err(|e| unusable(&e))?;
    config.alpn_protocols = vec![purpose.alpn()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok((config, distrust))
}

fn unusable(reason: &dyn std::error::Error) -> Error {
    Error::invalid("TLS identity", reason.to_string())
}

type TlsResult<T> = Result<T, rustls::Error>;

/// TLS 1.2 is not offered, so its signatures are never asked for.
fn no_tls12() -> TlsResult<HandshakeSignatureValid> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

/// Accepts every caller that shows a valid chain.
#[derive(Debug)]
struct AnyKey(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> TlsResult<ClientCertVerified> {
        certificate::verify(certificate, rest, now, self.0)?;
        Ok(ClientCertVerified::assertion())
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
    /// The reason for the caller: TLS itself carries only a text.
    distrust: Arc<OnceLock<Distrust>>,
}

impl PinnedKey {
    fn judge(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Distrust> {
        let got = certificate::verify(leaf, rest, now, self.algorithms)?;
        match self.expected.contains(&got) {
            true => Ok(()),
            false => Err(Distrust::WrongKey { expected: self.expected.clone(), got }),
        }
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> TlsResult<ServerCertVerified> {
        self.judge(certificate, rest, now).inspect_err(|distrust| {
            // A handshake has one server certificate, so there is one verdict.
            drop(self.distrust.set(distrust.clone()));
        })?;
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

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, NamedGroup, ProtocolVersion, ServerConnection};

    use super::*;
    use crate::network::certificate::Validity;

    /// Passes the bytes of a handshake back and forth in memory.
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
        let client = client_config(&caller, &[party.fingerprint()], Purpose::Mesh).unwrap();
        let (server, client) = shake_hands(server_config(&party).unwrap(), client);
        assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let group = client.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
        assert_eq!(client.alpn_protocol(), Some(&Purpose::Mesh.alpn()[..]));
        assert_eq!(client.tls13_tickets_received(), 0);
        let shown = server.peer_certificates().unwrap();
        assert_eq!(shown, caller.chain());
    }

    /// The verdict on a chain today; `expected` is the pin.
    fn judge(chain: &[CertificateDer<'static>], expected: Fingerprint) -> Result<(), Distrust> {
        let algorithms = provider().signature_verification_algorithms;
        let verifier = PinnedKey { algorithms, expected: vec![expected], distrust: Arc::default() };
        let judged = verifier.judge(&chain[0], &chain[1..], UnixTime::now());
        let caller = AnyKey(algorithms).verify_client_cert(&chain[0], &chain[1..], UnixTime::now());
        if !matches!(judged, Err(Distrust::WrongKey { .. })) {
            assert_eq!(caller.is_ok(), judged.is_ok(), "both sides judge alike");
        }
        judged
    }

    #[test]
    fn a_chain_is_a_valid_certificate_and_the_pinned_identity_that_signed_it() {
        let key = rcgen::KeyPair::generate().unwrap();
        let now = certificate::now();
        let issue = |from, until| Identity::issue(&key, "party", Validity { from, until }).unwrap();
        let identity = issue(now - 60, now + 60);
        let pin = identity.fingerprint();
        let [leaf, root] = identity.chain().clone();
        assert_eq!(judge(identity.chain(), pin), Ok(()));
        assert_eq!(identity.validity(), Validity { from: now - 60, until: now + 60 });
        assert_eq!(judge(issue(now - 9, now + 9).chain(), pin), Ok(()), "renewed");

        let other = Identity::generate("other").unwrap();
        let wrong = Distrust::WrongKey { expected: vec![pin], got: other.fingerprint() };
        assert_eq!(judge(other.chain(), pin), Err(wrong));
        let ended = judge(issue(now - 60, now - 30).chain(), pin);
        assert!(matches!(ended, Err(Distrust::Ended { until, .. }) if until == now - 30), "{ended:?}");
        let early = judge(issue(now + 30, now + 60).chain(), pin);
        assert!(matches!(early, Err(Distrust::NotYet { from, .. }) if from == now + 30), "{early:?}");
        for (what, chain) in [
            ("signed by another key", vec![other.chain()[0].clone(), root.clone()]),
            ("an identity as the leaf", vec![root.clone(), root.clone()]),
            ("no identity", vec![leaf.clone()]),
            ("three", vec![leaf.clone(), root.clone(), root.clone()]),
            ("not a certificate", vec![CertificateDer::from(vec![0; 9]), root.clone()]),
        ] {
            let judged = judge(&chain, pin);
            assert!(matches!(judged, Err(Distrust::Chain(_))), "{what}: {judged:?}");
        }
    }
}
