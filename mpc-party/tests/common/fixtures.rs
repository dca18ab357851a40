//! Fixtures: samples with their labels, identities, edits of files, and metrics.

use std::path::Path;

use mpc_core::Role;
use mpc_core::network::identity::Identity;
use mpc_core::session::Id;
use mpc_core::wire::message::Reply;

use super::{Client, Parties, TestModel};

/// Samples of [`TestModel::first_three_pixels`].
pub(crate) const SAMPLES: [[f64; 4]; 3] = [[1.5, 0.25, -1.0, 0.0], [-0.5, -0.25, -1.0, 2.0], [0.0, 0.125, 0.25, -2.0]];

/// Their labels.
pub(crate) const LABELS: [u64; 3] = [0, 1, 2];

/// Fresh identities.
pub(crate) fn identities<const N: usize>() -> [Identity; N] {
    std::array::from_fn(|i| Identity::generate(&format!("client {i}")).expect("a plain name"))
}

/// An entry of `[[clients]]`, and further keys of it.
pub(crate) fn entry(identity: &Identity, more: &str) -> String {
    let fingerprint = identity.fingerprint();
    format!("[[clients]]\nname = \"{}\"\nfingerprints = [\"{fingerprint}\"]\n{more}\n", &fingerprint.to_string()[..20])
}

/// The same publications at all three parties.
pub(crate) fn everywhere(publications: &[Id]) -> [Vec<Id>; 3] {
    [(); 3].map(|()| publications.to_vec())
}

/// Changes a file that contains `from`.
pub(crate) fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{from} in {text}");
    std::fs::write(file, text.replace(from, to)).expect("a file");
}

/// The value of a series in a party's metrics, once it is there.
pub(crate) fn metric(parties: &Parties, role: Role, series: &str) -> Option<f64> {
    let (status, text) = parties.http(role, "GET /metrics");
    assert_eq!(status, 200);
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}

/// Waits for a value, while the conversations of the test go on.
pub(crate) async fn until_metric(parties: &Parties, role: Role, series: &str, wished: f64) {
    while metric(parties, role, series) != Some(wished) {
        tokio::task::yield_now().await;
    }
}

/// Asks until there is an answer: a session that starts while a connection is replaced ends at once, with the advice to
/// ask again.
pub(crate) async fn answered(client: &Client, model: &TestModel) {
    loop {
        match client.classify(model, &SAMPLES).await {
            Ok(labels) => return assert_eq!(labels, LABELS),
            Err(Reply::Refused(_) | Reply::Failed { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}
