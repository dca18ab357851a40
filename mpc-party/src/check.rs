//! `check`: examines, from the party's own machine, everything that can keep it from serving, whether or not it runs.

use mpc_core::Role;
use mpc_core::network::certificate::date;
use mpc_core::network::check::{Level, Report};
use mpc_core::network::endpoint::{self, Io};
use mpc_core::network::identity::Identity;
use mpc_core::wire::cluster::{Cluster, PartyEntry};

use crate::config::Config;
use crate::error::Result;
use crate::operator::reachable;

const FILES: &str = "files";

/// Examines the files of this party, the party itself, and its peers.
///
/// # Errors
/// The operating system gives no socket or thread.
pub(crate) fn check(config: &Config) -> Result<Report> {
    let mut report = Report::default();
    let cluster = report.expect(FILES, config.cluster(), "the cluster has three parties");
    let identity = report.expect(FILES, Identity::load(&config.identity), "key and certificate fit together");
    report.expect(FILES, config.store_key(), "the store key can be read");
    let (Some(cluster), Some(identity)) = (cluster, identity) else { return Ok(report) };
    check_identity(&mut report, config.role(), &cluster, &identity);

    let io = Io::start()?;
    io.handle().block_on(async {
        let endpoint = endpoint::caller()?;
        let mut statuses = Vec::new();
        for role in [config.role(), config.role().next(), config.role().prev()] {
            let entry = &cluster.parties[role.index()];
            let here = PartyEntry { addresses: vec![reachable(config.listen).to_string()], ..entry.clone() };
            let entry = if role == config.role() { &here } else { entry };
            statuses.extend(report.visit(&endpoint, &identity, role, entry).await);
        }
        report.compare(&statuses);
        Ok(report)
    })
}

fn check_identity(report: &mut Report, role: Role, cluster: &Cluster, identity: &Identity) {
    let (own, listed) = (identity.fingerprint(), &cluster.parties[role.index()].fingerprints);
    match listed.contains(&own.to_string()) {
        true => report.add(FILES, Level::Ok, format!("the cluster lists this party's key as {role}: {own}")),
        false => report.add(
            FILES,
            Level::Problem,
            format!(
                "the cluster lists {listed:?} for {role}, but this party's key is {own}; correct `role` or cluster.toml"
            ),
        ),
    }
    match identity.validity().warning("mpc-party init --renew") {
        Some(warning) if identity.validity().days_left() < 0 => report.add(FILES, Level::Problem, warning),
        Some(warning) => report.add(FILES, Level::Warning, warning),
        None => {
            report.add(FILES, Level::Ok, format!("the certificate expires on {}", date(identity.validity().until)));
        }
    }
}
