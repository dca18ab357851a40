//! Three processes with identities of their own, and the network between them.

use std::io::Read;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mpc_core::Role;
use mpc_core::network::identity::Identity;
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use tempfile::TempDir;

use crate::job::{self, Job, Outcome, Work};
use crate::relay::{self, EmulatedLink};

/// A place to run jobs in.
pub(crate) struct Testbed {
    folder: TempDir,
    /// The cluster as each party sees it.
    clusters: [Cluster; 3],
}

impl Testbed {
    /// Throw-away identities on free ports, with the link between them.
    pub(crate) fn new(link: &EmulatedLink) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // All sockets stay open until the last is chosen, so that the ports differ.
        let sockets =
            [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
        let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?, sockets[2].local_addr()?];
        let mut fingerprints = Vec::new();
        for role in Role::ALL {
            let identity = Identity::generate(&role.to_string())?;
            identity.save(&job::identity(folder.path(), role))?;
            fingerprints.push(identity.fingerprint().to_string());
        }
        let clusters = relay::connect(link, addresses)?.map(|addresses| {
            let parties = Role::ALL.iter().zip(addresses).zip(&fingerprints).map(|((role, address), fingerprint)| {
                let (addresses, fingerprints) = (vec![address.to_string()], vec![fingerprint.clone()]);
                PartyEntry { name: role.to_string(), addresses, fingerprints }
            });
            Cluster { parties: parties.collect() }
        });
        Ok(Self { folder, clusters })
    }

    /// The folder with the shares and outputs of a job.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the three processes; none may end before all are done, or its last messages could be lost.
    pub(crate) fn run(&self, runs: u32, work: &Work) -> Result<[Outcome; 3]> {
        let job = Job { clusters: self.clusters.clone(), runs, work: work.clone() };
        job::write(&job::job(self.folder()), &job)?;
        let program = std::env::current_exe()?;
        let mut parties = Vec::new();
        for index in 0..3 {
            let mut command = Command::new(&program);
            command.args(["party", &index.to_string()]).arg(self.folder());
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            parties.push(command.spawn().context("cannot start a party")?);
        }
        for party in &mut parties {
            let done = party.stdout.as_mut().context("no pipe to a party")?;
            done.read_exact(&mut [0]).context("a party failed")?;
        }
        for (role, party) in Role::ALL.into_iter().zip(&mut parties) {
            drop(party.stdin.take());
            let status = party.wait()?;
            ensure!(status.success(), "{role} failed: {status}");
        }
        let outcomes = Role::ALL.iter().map(|role| job::read(&job::outcome(self.folder(), *role)));
        outcomes.collect::<Result<Vec<_>>>()?.try_into().ok().context("three parties")
    }
}
