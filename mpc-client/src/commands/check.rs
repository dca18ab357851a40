//! `check`: this client's files, the three servers, and the lines to them.

use mpc_client::Result;
use mpc_core::Role;
use mpc_core::network::certificate::date;
use mpc_core::network::check::{Finding, Level, Report};
use mpc_core::network::endpoint;
use serde::Serialize;

use super::identity;
use crate::cli::Global;
use crate::cluster;
use crate::output::{print_json, print_line};

#[derive(Serialize)]
struct Printed {
    command: &'static str,
    good: bool,
    findings: Vec<Finding>,
}

/// Checks the client's files and the three parties; returns whether there is no problem.
pub(crate) async fn run(global: &Global) -> Result<bool> {
    let (path, cluster) = cluster::find(global.cluster.as_deref())?;
    let identity = identity(&cluster::identity_dir(global.identity.as_deref(), Some(&path))?)?;
    let mut report = Report::default();
    let (fingerprint, ends) = (identity.fingerprint(), date(identity.validity().until));
    report.add("files", Level::Ok, format!("this client's key is {fingerprint}, its certificate expires on {ends}"));
    let endpoint = endpoint::caller()?;
    let mut statuses = Vec::new();
    for role in Role::ALL {
        statuses.extend(report.visit(&endpoint, &identity, role, &cluster.parties[role.index()]).await);
    }
    report.compare(&statuses);
    let good = report.is_good();
    if global.json {
        print_json(&Printed { command: "check", good, findings: report.findings })?;
    } else {
        print_line(report.to_string().trim_end())?;
    }
    Ok(good)
}
