//! Plays every row of the incident table of `docs/operating.md`: the symptom, the remedy, and that it helps.
//!
//! | what is seen | test |
//! |---|---|
//! | a peer is down | [`a_peer_that_is_down_is_named_and_its_return_is_enough`] |
//! | a party deviated from the protocol | [`a_deviation_is_logged_with_its_session_and_check`]; the client: `mpc-client/tests/cheating.rs` |
//! | a private key may be known to somebody | [`a_key_that_somebody_knows_is_replaced_and_no_longer_accepted`]; sessions that run: `reload.rs` |
//! | a machine is lost | [`a_lost_machine_comes_back_with_its_backup`], [`a_lost_machine_without_a_backup_begins_anew`] |
//! | the store is damaged or was set back | [`a_damaged_model_degrades_a_party_and_publishing_again_repairs_it`]; set back: `lifecycle.rs`, `gallery.rs` |
//! | the disk is full | [`a_full_disk_refuses_uploads_and_answers_questions`]; the audit log: `operations.rs` |
//! | a client floods | [`a_flood_is_counted_not_logged_and_ends_when_the_client_is_limited_or_removed`] |
//! | questions are slow | [`steps_tell_what_a_slow_question_waits_for`] |

#[cfg(test)]
mod common;

use std::process::Command;

use common::{LABELS, Parties, SAMPLES, TestModel, answered, edit, finish, metric, program, run, send_input};
use data_encoding::HEXLOWER;
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::error::Step;
use mpc_core::network::identity::Identity;
use mpc_core::session::Id;
use mpc_core::wire::message::{Code, Reply, Request};

#[test]
fn every_row_of_the_table_has_a_test() {
    let document = include_str!("../../docs/operating.md");
    let table = document.split("### Incidents").nth(1).and_then(|rest| rest.split("###").next()).unwrap();
    let rows: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| ")).skip(1).collect();
    assert!(rows.len() >= 8, "{rows:?}");
    let head: String = include_str!("incidents.rs").lines().take_while(|line| line.starts_with("//!")).collect();
    for row in rows {
        let seen = row.split(" |").next().unwrap().split(" (").next().unwrap().replace('`', "");
        assert!(head.contains(&format!("| {seen} |")), "no test plays {seen:?}");
    }
}

#[test]
fn a_peer_that_is_down_is_named_and_its_return_is_enough() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        assert_eq!(parties.command(P1, &["health"]).await.1, 0);
        parties.kill(P2);
        while metric(&parties, P1, "mpc_party_peer_up{peer=\"P2\"}") != Some(0.0) {}
        let (said, code) = parties.command(P1, &["health"]).await;
        assert!(code == 1 && said.contains("not connected to P2"), "{said}");
        let (said, code) = parties.command(P1, &["check"]).await;
        assert!(code == 1 && said.contains("P2 (P2)") && said.contains("nothing listens"), "{said}");
        parties.restart(P2);
        let client = parties.connect(&parties.client).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()), "nothing else was needed");
        assert_eq!(parties.command(P1, &["health"]).await.1, 0);
    });
}

#[test]
fn a_deviation_is_logged_with_its_session_and_check() {
    let mut parties = Parties::start("[audit]\nfile = \"audit.log\"");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        Role::ALL.into_iter().for_each(|role| parties.kill(role));
        // P1 serves other weights than those that it was given.
        let dishonest = parties.open_store(P1);
        let (_, mut share) = dishonest.read(&model.publication).unwrap();
        *share.last_mut().unwrap() ^= 1;
        dishonest.append(&model.publication, 0, &share).unwrap();
        drop(dishonest);
        let logs = Role::ALL.map(|role| parties.restart_with_log(role));

        let client = parties.connect(&parties.client).await;
        let mut session = Id::default();
        let mut conversations = client.ask_all(&Request::Evaluate(model.classify(SAMPLES.len()))).await;
        for conversation in &mut conversations {
            let reply = conversation.reply().await;
            let Reply::Accepted { session: name } = reply else { panic!("{reply:?}") };
            session = name;
        }
        send_input(&mut conversations, &SAMPLES, &Role::ALL).await;
        for conversation in &mut conversations {
            assert_eq!(conversation.reply().await, Reply::Cheating { step: Step::Model });
        }
        for (role, log) in Role::ALL.into_iter().zip(&logs) {
            let line = parties.until_logged(log, "a party deviated from the protocol").await;
            assert!(
                line.contains(&HEXLOWER.encode(&session)[..12]) && line.contains(&Step::Model.to_string()),
                "{role}: {line}"
            );
            let audit = parties.until_logged(&parties.folder(role).join("audit.log"), "cheating").await;
            assert!(
                audit.contains(&HEXLOWER.encode(&session)),
                "the three audit logs are compared by the session: {audit}"
            );
        }
    });
}

#[test]
fn a_key_that_somebody_knows_is_replaced_and_no_longer_accepted() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    let keys = |parties: &Parties, arguments: &[&str]| {
        let done = Command::new(program()).args(arguments).arg("--dir").arg(parties.folder(P1)).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let stolen = Identity::load(&parties.folder(P1)).unwrap();
        keys(&parties, &["rotate"]);
        let next = Identity::load(&parties.folder(P1).join("next")).unwrap();
        let (old, new) = (stolen.fingerprint().to_string(), next.fingerprint().to_string());
        // At once: everybody lists both, the party switches, everybody removes the old one.
        let file = parties.file("cluster.toml");
        let cluster = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, cluster.replace(&format!("\"{old}\""), &format!("\"{old}\", \"{new}\""))).unwrap();
        Role::ALL.into_iter().for_each(|role| parties.hang_up(role));
        keys(&parties, &["rotate", "--finish"]);
        parties.hang_up(P1);
        std::fs::write(&file, cluster.replace(&old, &new)).unwrap();
        Role::ALL.into_iter().for_each(|role| parties.hang_up(role));

        answered(&parties.connect_by(&file, &parties.client).await, &model).await;
        // Whoever has the old key is nobody now.
        let thief = parties.call_by(&file, &stolen).await;
        for role in [P0, P2] {
            let closed = thief.connections[role.index()].closed().await.to_string();
            assert!(closed.contains("does not know the key") && closed.contains(&old), "{closed}");
        }
        assert!(parties.terminate(P1), "in order");
    });
}

#[test]
fn a_lost_machine_comes_back_with_its_backup() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let backup = parties.file("backup");
        parties.store(P2, &["backup", "--to"], &backup);
        parties.kill(P2);
        std::fs::remove_dir_all(parties.folder(P2).join("data")).unwrap();
        // The folder with the keys is back from its own backup.
        parties.store(P2, &["restore", "--from"], &backup);
        parties.restart(P2);
        let client = parties.connect(&parties.client).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
        assert_eq!(parties.command(P2, &["health"]).await.1, 0);
    });
}

#[test]
fn a_lost_machine_without_a_backup_begins_anew() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        parties.kill(P2);
        let folder = parties.folder(P2);
        let (config, old) = (parties.config(P2), Identity::load(&folder).unwrap().fingerprint().to_string());
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let made = Command::new(program()).args(["init", "--dir"]).arg(&folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        std::fs::write(&config, text).unwrap();
        let new = Identity::load(&folder).unwrap().fingerprint().to_string();
        let file = parties.file("cluster.toml");
        let cluster = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, cluster.replace(&old, &new)).unwrap();
        [P0, P1].into_iter().for_each(|role| parties.hang_up(role));
        parties.restart(P2);

        let publisher = parties.connect_by(&file, &parties.publisher).await;
        let said = loop {
            let (said, code) = parties.command(P2, &["health"]).await;
            if code == 3 {
                break said;
            }
        };
        assert!(said.contains("pixels"), "it says what it lacks: {said}");
        publisher.publish(&model).await;
        answered(&parties.connect_by(&file, &parties.client).await, &model).await;
        assert_eq!(parties.command(P2, &["health"]).await.1, 0);
    });
}

#[test]
fn a_damaged_model_degrades_a_party_and_publishing_again_repairs_it() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    let other = TestModel {
        publication: [2; 32],
        manifest: model.manifest.replace("\"pixels\"", "\"other\""),
        ..TestModel::first_three_pixels(1)
    };
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        publisher.publish(&model).await;
        publisher.publish(&other).await;
        parties.kill(P1);
        let damaged = parties.open_store(P1);
        let (_, share) = damaged.read(&model.publication).unwrap();
        damaged.append(&model.publication, 0, &share[..share.len() - 1]).unwrap();
        drop(damaged);
        let (said, code) = parties.command(P1, &["store", "verify"]).await;
        assert!(code == 1 && said.contains("pixels") && !said.contains("other:"), "{said}");

        parties.restart(P1);
        let publisher = parties.connect(&parties.publisher).await;
        assert_eq!(publisher.classify(&other, &SAMPLES).await, Ok(LABELS.to_vec()), "the rest is served");
        assert!(publisher.classify(&model, &SAMPLES).await.is_err());
        let (said, code) = parties.command(P1, &["health"]).await;
        assert!(code == 3 && said.contains("degraded") && said.contains("pixels"), "{said}");
        assert_eq!(parties.command(P1, &["health", "--ready"]).await.1, 0, "for whoever restarts what is unhealthy");
        let (json, _) = parties.command(P1, &["health", "--json"]).await;
        assert!(json.contains("\"health\":\"degraded\""), "{json}");
        let (status, said) = parties.http(P1, "GET /readyz");
        assert!(status == 200 && said.starts_with("degraded\n") && said.contains("pixels"), "{said}");
        assert_eq!(parties.http(P1, "GET /healthz").0, 200);
        assert_eq!(metric(&parties, P1, "mpc_party_problems"), Some(1.0));
        assert_eq!(metric(&parties, P1, "mpc_party_ready"), Some(1.0));
        let (said, code) = parties.command(P0, &["check"]).await;
        assert!(code == 1 && said.contains("PROBLEM") && said.contains("pixels"), "{said}");

        publisher.publish(&model).await;
        assert_eq!(publisher.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
        assert_eq!(parties.command(P1, &["health"]).await.1, 0);
        assert_eq!(parties.http(P1, "GET /readyz"), (200, "ready\n".into()));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_refuses_uploads_and_answers_questions() {
    use std::process::Stdio;
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        // P1 goes on with its store on a disk of its own, of which nothing is left but what a question needs.
        parties.kill(P1);
        let data = parties.folder(P1).join("data");
        let script = "mkdir kept && mv data/* kept/ && mount -t tmpfs -o size=12m none data && mv kept/* data/ && rmdir kept && \
                      exec \"$0\" serve --config party.toml";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(program());
        command.current_dir(parties.folder(P1)).stdin(Stdio::null()).stdout(Stdio::null());
        if !Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "true"])
            .status()
            .is_ok_and(|s| s.success())
        {
            return eprintln!("skipped: no disk of its own can be had for {}", data.display());
        }
        parties.adopt(P1, command.spawn().unwrap());

        let publisher = parties.connect(&parties.publisher).await;
        assert_eq!(publisher.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()), "questions go on");
        let other = TestModel::first_three_pixels(2);
        let reason = publisher.ask(P1, &Request::Upload(other.upload(P1))).await.refused(Code::Full).await;
        assert!(reason.contains("MiB are needed") && reason.contains("data"), "{reason}");
        assert_eq!(publisher.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
}

#[test]
fn a_flood_is_counted_not_logged_and_ends_when_the_client_is_limited_or_removed() {
    const STREAMS: usize = 400;
    let mut parties = Parties::start("[audit]\nfile = \"audit.log\"");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        parties.kill(P0);
        let log = parties.restart_with_log(P0);
        let flooding = parties.connect(&parties.client).await;
        for _ in 0..STREAMS {
            let mut conversation = flooding.open(P0).await;
            conversation.send.write_all(&[4, 0, 0, 0, 0xff, 0xff, 77, 77]).await.unwrap();
            conversation.refused(Code::OtherVersion).await;
        }
        let counted = "mpc_party_refusals_total{code=\"other-version\"}";
        while metric(&parties, P0, counted) != Some(STREAMS as f64) {}
        let lines = |text: &str, word: &str| text.lines().filter(|line| line.contains(word)).count();
        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!(lines(&said, "other-version"), 10, "{said}");
        let audit = parties.folder(P0).join("audit.log");
        parties.until_logged(&audit, "other-version").await;
        let audit = std::fs::read_to_string(audit).unwrap();
        assert!(lines(&audit, "other-version") <= 10, "{audit}");

        // Limited: what cannot be read counts too.
        let client = parties.client.fingerprint().to_string();
        let listed = format!("fingerprints = [\"{client}\"]");
        edit(&parties.config(P0), &listed, &format!("{listed}\nrequests_per_minute = 5"));
        parties.hang_up(P0);
        loop {
            let mut conversation = flooding.open(P0).await;
            conversation.send.write_all(&[4, 0, 0, 0, 0xff, 0xff, 77, 77]).await.unwrap();
            if conversation.refusal().await.code == Code::Busy {
                break;
            }
        }
        // Removed.
        let nobody = Identity::generate("nobody").unwrap().fingerprint().to_string();
        edit(&parties.config(P0), &client, &nobody);
        parties.hang_up(P0);
        let closed = flooding.connections[0].closed().await.to_string();
        assert!(closed.contains("does not know the key"), "{closed}");
        // Whoever else asks did not notice.
        let other = parties.connect(&parties.publisher).await;
        assert_eq!(other.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
}

#[test]
fn steps_tell_what_a_slow_question_waits_for() {
    let parties = Parties::start("sessions = 1");
    let model = TestModel::first_three_pixels(1);
    let count = |parties: &Parties, step: &str| {
        metric(parties, P0, &format!("mpc_party_step_seconds_count{{model=\"pixels\",step=\"{step}\"}}")).unwrap_or(0.0)
    };
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        let mut first = client.begin(&model, SAMPLES.len()).await.unwrap_or_else(|reply| panic!("{reply:?}"));
        let second = client.ask_all(&Request::Evaluate(model.classify(SAMPLES.len()))).await;
        while metric(&parties, P0, "mpc_party_sessions_waiting") != Some(1.0) {
            tokio::task::yield_now().await;
        }
        // The first waits for its client, the second for a place.
        assert_eq!((count(&parties, "queue"), count(&parties, "input"), count(&parties, "compute")), (1.0, 0.0, 0.0));
        send_input(&mut first, &SAMPLES, &Role::ALL).await;
        assert_eq!(finish(first, SAMPLES.len()).await, Ok(LABELS.to_vec()));
        assert_eq!((count(&parties, "input"), count(&parties, "compute")), (1.0, 1.0));
        drop(second);
    });
}
