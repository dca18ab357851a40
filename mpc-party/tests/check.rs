//! What `mpc-party check` finds, with three real parties.

#[cfg(test)]
mod common;

use std::process::Command;

use common::{Parties, program, run};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::network::identity::Identity;
use serde_json::Value;

/// The lines of `check` for a party, and its exit code.
fn check(parties: &Parties, role: Role) -> (String, i32) {
    let output = Command::new(program()).args(["check", "--config"]).arg(parties.config(role)).output();
    let output = output.expect("the program runs");
    (String::from_utf8(output.stdout).expect("text"), output.status.code().expect("an exit code"))
}

/// The problems that `check` finds.
fn problems(parties: &Parties, role: Role) -> String {
    let (lines, code) = check(parties, role);
    assert_eq!(code, 1, "{lines}");
    let problems: Vec<_> = lines.lines().filter(|line| line.starts_with("PROBLEM")).collect();
    problems.join("\n")
}

#[test]
fn where_all_is_well_it_says_so_and_disturbs_nothing() {
    let parties = Parties::start("");
    run(async {
        parties.connect(&parties.publisher).await;
        for role in Role::ALL {
            let (lines, code) = check(&parties, role);
            assert_eq!(code, 0, "{lines}");
            assert!(lines.lines().all(|line| line.starts_with("ok ")), "{lines}");
            for said in ["Mbit/s", "certificate expires on", "connected to", "agree on what is in service"] {
                assert!(lines.contains(said), "{said}: {lines}");
            }
        }
        let json = Command::new(program()).args(["check", "--json", "--config"]).arg(parties.config(P1)).output();
        let json: Value = serde_json::from_slice(&json.unwrap().stdout).unwrap();
        assert!(json["good"] == true && json["findings"][0]["level"] == "ok", "{json}");
        parties.connect(&parties.publisher).await;
    });
}

#[test]
fn it_names_what_is_wrong_and_where() {
    let mut parties = Parties::start("");
    run(async {
        parties.connect(&parties.client).await;
        // A lost peer, as this party and the other one see it.
        parties.kill(P2);
        let found = problems(&parties, P1);
        assert!(found.contains("P2 (P2)") && found.contains("nothing listens"), "{found}");
        // The party itself is down.
        parties.kill(P1);
        let found = problems(&parties, P1);
        assert!(found.contains("P1 (P1)") && found.contains("nothing listens"), "{found}");

        // The cluster file names another key for a peer, then for this party.
        let file = parties.file("cluster.toml");
        let good = std::fs::read_to_string(&file).unwrap();
        let other = Identity::generate("other").unwrap().fingerprint().to_string();
        for (role, said) in [(P0, "but the cluster file lists"), (P1, "correct `role` or cluster.toml")] {
            let key = Identity::load(&parties.file(&role.to_string())).unwrap().fingerprint().to_string();
            std::fs::write(&file, good.replace(&key, &other)).unwrap();
            let found = problems(&parties, P1);
            assert!(found.contains(said) && found.contains(&key) && found.contains(&other), "{found}");
        }
        std::fs::write(&file, good).unwrap();

        // A key that others can read, and a configuration that cannot be used.
        let key = parties.file("P1").join("tls.key");
        assert!(Command::new("chmod").arg("640").arg(&key).status().unwrap().success());
        let found = problems(&parties, P1);
        assert!(found.contains("chmod 600"), "{found}");
        std::fs::write(parties.config(P1), "role = 7").unwrap();
        assert_eq!(check(&parties, P1).1, 2);
    });
}
