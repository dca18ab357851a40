//! What `mpc-client check` finds, with three real servers.

#[cfg(test)]
mod program;

use std::path::Path;

use mpc_client::Identity;
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use program::{client, run};
use serde_json::Value;

#[test]
fn it_says_whether_this_client_may_ask_and_who_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { parties.connect().await.unwrap().close().await });
    std::fs::write(dir.path().join("cluster.toml"), toml::to_string(parties.cluster()).unwrap()).unwrap();
    parties.identity().save(&dir.path().join("client")).unwrap();
    let (out, err, code) = run(client(dir.path()).arg("check"));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.lines().all(|line| line.starts_with("ok ")), "{out}");

    let stranger = Identity::generate("stranger").unwrap();
    stranger.save(&dir.path().join("stranger")).unwrap();
    let (out, _, code) = run(client(dir.path()).args(["--identity", "stranger", "check"]));
    assert_eq!(code, 3, "{out}");
    assert!(out.contains(&stranger.fingerprint().to_string()) && out.contains("[[clients]]"), "{out}");

    parties.kill(Role::P2);
    let (out, _, code) = run(client(dir.path()).args(["--json", "check"]));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 3 && report["good"] == false, "{out}");
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["level"] == "problem");
    assert!(out.contains("nothing listens") && found.is_some(), "{out}");

    let (out, err, code) = run(client(dir.path()).args(["init", "--renew"]));
    assert!(code == 0 && out.contains("sha256:") && out.contains("valid until"), "{out}{err}");
}
