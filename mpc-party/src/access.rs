//! Recognises callers and holds them to their rights and limits.
//!
//! Every party judges each request by its own configuration, so that no party alone can admit anybody. An unlisted
//! caller has no principal; tenants do not see each other's models.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use mpc_core::Role;
use mpc_core::network::endpoint::{self, close};
use mpc_core::network::identity::Fingerprint;
use mpc_core::network::mesh::{self, Mesh};
use mpc_core::session::Id;
use mpc_core::wire::message::{Code, Refusal, Stamp};
use parking_lot::Mutex;
use quinn::{RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::{Client, ClientLimits, Config, Right};

/// A connection whose caller has proved to hold a key: today by the certificate of the TLS handshake.
pub(crate) trait Caller: Send + Sync {
    /// The key.
    fn key(&self) -> Fingerprint;

    /// The address that the caller calls from.
    fn address(&self) -> SocketAddr;

    /// The stream of the caller's next request, or nothing once the caller has closed the connection.
    fn next(&self) -> impl Future<Output = Option<(SendStream, RecvStream)>> + Send;

    /// Closes the connection because the key is not listed.
    fn refuse(&self, reason: &str);
}

impl Caller for mesh::Caller {
    fn key(&self) -> Fingerprint {
        self.fingerprint
    }

    fn address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    async fn next(&self) -> Option<(SendStream, RecvStream)> {
        self.connection.accept_bi().await.ok()
    }

    fn refuse(&self, reason: &str) {
        endpoint::refuse(&self.connection, close::NOT_TRUSTED, reason);
    }
}

/// A caller as the configuration knows it.
pub(crate) struct Who {
    /// The caller's key.
    pub(crate) key: Fingerprint,
    /// The holder of the key.
    pub(crate) standing: Standing,
}

/// The holder of a caller's key.
pub(crate) enum Standing {
    /// A listed client, or any client where the configuration allows it.
    Client(Arc<Principal>),
    /// This party's own operator.
    Operator,
    /// Another party, which asks for this one's status.
    Peer(Role),
}

impl Who {
    /// The caller's name, for people and logs.
    pub(crate) fn name(&self) -> String {
        match &self.standing {
            Standing::Client(principal) => principal.name.clone(),
            Standing::Operator => "operator".into(),
            Standing::Peer(role) => role.to_string(),
        }
    }

    /// The tenant whose models the caller sees.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match &self.standing {
            Standing::Client(principal) => Some(&principal.tenant),
            Standing::Operator | Standing::Peer(_) => None,
        }
    }
}

/// A client whose key is known, with its rights and what is left of its limits.
pub(crate) struct Principal {
    /// Its name, for people and logs.
    pub(crate) name: String,
    /// The tenant whose models the client sees.
    pub(crate) tenant: String,
    /// Rights beyond asking for the status.
    rights: Vec<Right>,
    /// Largest input, in words of a component.
    pub(crate) input_words: usize,
    rate: DefaultDirectRateLimiter,
    running: Arc<Semaphore>,
    limits: ClientLimits,
}

impl Principal {
    fn new(name: &str, tenant: &str, rights: &[Right], limits: ClientLimits) -> Self {
        let per_minute = NonZeroU32::new(limits.requests_per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            name: name.into(),
            tenant: tenant.into(),
            rights: rights.to_vec(),
            input_words: limits.input_words(),
            rate: RateLimiter::direct(Quota::per_minute(per_minute)),
            running: Arc::new(Semaphore::new(limits.concurrent)),
            limits,
        }
    }

    /// Whether the client may do this.
    ///
    /// # Errors
    /// The client lacks the right; the reason names the line of the configuration that would grant it.
    pub(crate) fn check(&self, right: Right) -> Result<(), Refusal> {
        if self.rights.contains(&right) {
            return Ok(());
        }
        let name = &self.name;
        Err(Code::NoRight.because(format!(
            "{name:?} may not {right} here; the operator can add \"{right}\" to `may` of that entry of [[clients]]"
        )))
    }

    /// Counts a request.
    ///
    /// # Errors
    /// There were too many; the reason says how long to wait.
    pub(crate) fn count_request(&self) -> Result<(), Refusal> {
        self.rate.check().map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now()).as_secs_f64().max(0.001);
            let most = self.limits.requests_per_minute;
            let reason = format!("more than {most} requests a minute (requests_per_minute); try again in {wait:.3} s");
            Code::Busy.because(reason)
        })
    }

    /// A place among this client's waiting and running requests, held until dropped.
    ///
    /// # Errors
    /// All places are taken.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.running.clone().try_acquire_owned().map_err(|_| {
            let most = self.limits.concurrent;
            let reason =
                format!("{most} requests of this client wait or run already (concurrent); try again when one is done");
            Code::Busy.because(reason)
        })
    }
}

/// The callers that the configuration in force admits.
pub(crate) struct Access {
    mesh: Mesh,
    listed: watch::Sender<Listed>,
    stamps: Stamps,
}

impl Access {
    /// The clients of the configuration, and the parties of the mesh.
    pub(crate) fn new(mesh: Mesh, config: &Config) -> Self {
        Self { mesh, listed: watch::Sender::new(Listed::new(config)), stamps: Stamps::default() }
    }

    /// The holder of this key, if the caller may come in now.
    pub(crate) fn recognise(&self, key: Fingerprint) -> Option<Who> {
        let own = || (key == self.mesh.identity().fingerprint()).then_some(Standing::Operator);
        let peer = || self.mesh.role_of(key).map(Standing::Peer);
        let client = || self.listed.borrow().recognise(&key).map(Standing::Client);
        let standing = own().or_else(peer).or_else(client)?;
        Some(Who { key, standing })
    }

    /// Lets a request with this stamp pass once.
    ///
    /// # Errors
    /// The request was made before, or too long ago, or by a clock that is wrong.
    pub(crate) fn check_new(&self, client: Fingerprint, stamp: &Stamp) -> Result<(), Refusal> {
        self.stamps.check(client, stamp, SystemTime::now())
    }

    /// Signals that callers must be recognised again.
    pub(crate) fn changes(&self) -> watch::Receiver<Listed> {
        self.listed.subscribe()
    }

    /// Lists the clients of another configuration.
    pub(crate) fn replace_clients(&self, config: &Config) {
        self.listed.send_replace(Listed::new(config));
    }

    /// Has callers recognised again, since a party's key may have been added or removed.
    pub(crate) fn replace_parties(&self) {
        self.listed.send_modify(|_| {});
    }
}

/// The clients that may come in.
pub(crate) struct Listed {
    known: HashMap<Fingerprint, Arc<Principal>>,
    anybody: Option<Arc<Principal>>,
}

impl Listed {
    fn new(config: &Config) -> Self {
        let mut known = HashMap::new();
        for client in &config.clients {
            let Client { name, tenant, may, fingerprints, .. } = client;
            let principal = Arc::new(Principal::new(name, tenant, may, client.limits(&config.limits.client)));
            known.extend(fingerprints.iter().map(|fingerprint| (*fingerprint, principal.clone())));
        }
        let anybody = || {
            let rights = [Right::Classify];
            Arc::new(Principal::new("anybody", Client::DEFAULT_TENANT, &rights, config.limits.client))
        };
        Self { known, anybody: config.open_to_any_client.then(anybody) }
    }

    /// The client with this key. All strangers are one principal, and share its limits.
    fn recognise(&self, fingerprint: &Fingerprint) -> Option<Arc<Principal>> {
        self.known.get(fingerprint).or(self.anybody.as_ref()).cloned()
    }
}

/// The stamps of the requests of the last minutes.
#[derive(Default)]
struct Stamps {
    seen: Mutex<HashMap<(Fingerprint, Id), SystemTime>>,
}

impl Stamps {
    /// Lets a request pass once. The number of requests that clients may send while a stamp is valid bounds the memory.
    ///
    /// # Errors
    /// The request was made before, or too long ago, or by a clock that is wrong.
    fn check(&self, client: Fingerprint, stamp: &Stamp, now: SystemTime) -> Result<(), Refusal> {
        let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(stamp.issued_s.min(u64::from(u32::MAX)));
        let (apart, side) = match now.duration_since(issued) {
            Ok(age) => (age, "behind"),
            Err(ahead) => (ahead.duration(), "ahead of"),
        };
        if apart > Stamp::VALID {
            let apart = apart.as_secs();
            return Err(Code::Clock.because(format!(
                "the request is stamped {apart} s {side} this party's clock; set the clock of the machine that is wrong"
            )));
        }
        let mut seen = self.seen.lock();
        if seen.len() >= seen.capacity() {
            seen.retain(|_, expires| *expires > now);
        }
        match seen.insert((client, stamp.request), issued + 2 * Stamp::VALID) {
            None => Ok(()),
            Some(_) => {
                Err(Code::Replayed.because("this request was made before; make a new one instead of repeating it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests_per_minute: u32, concurrent: usize) -> ClientLimits {
        let mut limits = ClientLimits::default();
        (limits.requests_per_minute, limits.concurrent) = (requests_per_minute, concurrent);
        limits
    }

    #[test]
    fn rights_rates_and_places() {
        let principal = Principal::new("alice", "clinic", &[Right::Classify], limits(3, 2));
        assert!(principal.check(Right::Classify).is_ok());
        let refused = principal.check(Right::Publish).unwrap_err();
        assert!(refused.code == Code::NoRight && refused.reason.contains("\"publish\""), "{refused:?}");
        assert!((0..3).all(|_| principal.count_request().is_ok()));
        let refused = principal.count_request().unwrap_err();
        assert!(refused.code == Code::Busy && refused.reason.contains("3 requests a minute"), "{refused:?}");
        let (first, second) = (principal.enter().unwrap(), principal.enter().unwrap());
        assert_eq!(principal.enter().unwrap_err().code, Code::Busy);
        drop((first, second));
        assert!(principal.enter().is_ok());
    }

    #[test]
    fn a_stamp_passes_once_and_in_its_time() {
        let (stamps, now) = (Stamps::default(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let [alice, bob] = [[1; 32], [2; 32]].map(Fingerprint);
        let stamp = |request: u8, issued_s| Stamp { request: [request; 32], issued_s };
        assert_eq!(stamps.check(alice, &stamp(1, 1_000_000), now), Ok(()));
        assert_eq!(stamps.check(alice, &stamp(1, 1_000_001), now).unwrap_err().code, Code::Replayed);
        assert_eq!(stamps.check(bob, &stamp(1, 1_000_000), now), Ok(()), "another client's number");
        for (issued_s, said) in [(999_000, "1000 s behind"), (1_001_000, "1000 s ahead")] {
            let refused = stamps.check(alice, &stamp(2, issued_s), now).unwrap_err();
            assert!(refused.code == Code::Clock && refused.reason.contains(said), "{refused:?}");
        }
        assert!(stamps.check(alice, &stamp(2, u64::MAX), now).is_err());
        // A stamp is forgotten only when its age alone refuses it: one from a clock that is ahead is valid for longer.
        let later = now + 2 * Stamp::VALID;
        for request in 3..200 {
            assert_eq!(stamps.check(alice, &stamp(request, 1_000_600), later), Ok(()));
        }
        assert!(stamps.check(alice, &stamp(1, 1_000_000), later).is_err());
        assert!(stamps.seen.lock().len() <= 198, "old ones are forgotten");
    }
}
