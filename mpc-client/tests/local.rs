//! End to end with three real servers: `--local`, and a cluster that somebody else started.

mod program;
mod project;
mod support;

use std::path::Path;

use mpc_client::Identity;
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use program::{client, run};
use project::{models, samples};
use serde_json::{Value, json};
use support::{brightness_model, picture};
use tempfile::tempdir;

#[test]
fn one_batch_with_good_and_bad_inputs() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    brightness_model(&dir.join("models"), "brightness", ["dark", "bright"]);
    picture(dir, "night.png", 10);
    picture(dir, "day.png", 240);
    let png = std::fs::read(dir.join("day.png")).unwrap();
    std::fs::write(dir.join("empty.png"), "").unwrap();
    std::fs::write(dir.join("text.png"), "not a picture\n").unwrap();
    std::fs::write(dir.join("half.png"), &png[..png.len() / 2]).unwrap();
    let inputs = ["night.png", "empty.png", "day.png", "text.png", "half.png", "missing.png"];
    let mut command = client(dir);
    command.args(["--local", "--json", "classify", "--model", "brightness"]);
    let (out, err, code) = run(command.args(inputs.iter().flat_map(|input| ["--input", input])));
    assert_eq!(code, 2, "{err}");
    assert!(err.is_empty(), "with --json everything is in the object: {err}");

    let object: Value = serde_json::from_str(&out).unwrap();
    let mut keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["bytes_sent", "command", "elapsed_ms", "model", "results", "rounds", "security"]);
    assert_eq!((&object["command"], &object["model"]), (&json!("classify"), &json!("brightness")));
    assert_eq!(object["security"], json!("active"), "the default");
    assert!(object["rounds"].as_u64().unwrap() > 0);
    let bytes = object["bytes_sent"].as_array().unwrap();
    assert!(bytes.len() == 3 && bytes.iter().all(|bytes| bytes.as_u64().unwrap() > 0), "{bytes:?}");

    let results = object["results"].as_array().unwrap();
    assert_eq!(results.len(), inputs.len());
    assert_eq!(results[0], json!({"input": "night.png", "label": "dark"}));
    assert_eq!(results[2], json!({"input": "day.png", "label": "bright"}));
    for i in [1, 3, 4, 5] {
        assert_eq!(results[i]["input"], json!(inputs[i]));
        assert!(results[i]["error"].as_str().is_some_and(|error| !error.contains('\n')), "{}", results[i]);
    }
}

#[test]
fn people_read_the_label_and_mistakes_exit_with_2() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    brightness_model(&dir.join("models"), "face", ["dark", "bright"]);
    picture(dir, "day.png", 240);
    // The option may stand on either side of the command.
    let (out, err, code) = run(client(dir).args(["classify", "--local", "--input", "day.png"]));
    assert_eq!((out.as_str(), code), ("bright\n", 0), "{err}");
    assert!(err.contains("rounds") && !err.contains('\u{1b}'), "no colours in a pipe: {err}");

    let (_, err, code) = run(client(dir).args(["--local", "classify", "--input", "day.png", "--model", "nose"]));
    assert!(code == 2 && err.contains("nose") && err.contains("face"), "{err}");
    let (out, err, code) = run(client(dir).args(["--local", "classify", "--input", "nothing.png"]));
    assert!(code == 2 && out.is_empty() && err.contains("nothing.png"), "{err}");
    let (out, _, code) = run(client(dir).args(["--local", "models"]));
    assert!(code == 0 && out.starts_with("face  1  Whether a picture"), "{out}");
}

#[test]
fn the_models_of_the_project_answer_their_samples() {
    let commands = [
        ("emotion", "emotion", None),
        ("face", "classify", Some("--input")),
        ("pneumonia", "classify", Some("--input")),
        ("xray", "classify", Some("--input")),
        ("speaker", "identify-speaker", None),
        ("speaker-words", "identify-speaker", None),
    ];
    for ((model, command, option), security) in commands.into_iter().flat_map(|c| [(c, "passive"), (c, "active")]) {
        let (dir, samples) = (tempdir().unwrap(), samples(model));
        let mut program = client(dir.path());
        program.arg("--local").arg("--models").arg(models()).args(["--json", command]);
        program.args(["--model", model, "--security", security]);
        for sample in &samples {
            program.args(option).arg(&sample.file);
        }
        let (out, err, code) = run(&mut program);
        assert_eq!(code, 0, "{model}: {err}");
        let object: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(object["security"], json!(security));
        let labels: Vec<&str> =
            object["results"].as_array().unwrap().iter().filter_map(|r| r["label"].as_str()).collect();
        assert_eq!(labels, samples.iter().map(|sample| sample.label.as_str()).collect::<Vec<_>>(), "{model}");
    }
}

/// Three servers that run, the folder of a client that they know, and the command line of that client.
struct Running {
    parties: LocalCluster,
    dir: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        Self::configured([""; 3])
    }

    /// With further tables in the configurations of the three servers.
    fn configured(tables: [&str; 3]) -> Self {
        let dir = tempdir().expect("a folder");
        let program = Path::new(env!("CARGO_BIN_EXE_mpc-client"));
        let mut parties = LocalCluster::configured(program, tables).expect("three parties");
        wait_for(&mut parties);
        std::fs::write(dir.path().join("cluster.toml"), toml::to_string(parties.cluster()).expect("TOML"))
            .expect("a file can be written");
        parties.identity().save(&dir.path().join("client")).expect("a file can be written");
        brightness_model(dir.path(), "face", ["dark", "bright"]);
        picture(dir.path(), "day.png", 240);
        Self { parties, dir }
    }

    fn client(&self, arguments: &[&str]) -> (String, String, i32) {
        run(client(self.dir.path()).args(arguments))
    }
}

/// Waits until the three parties have found each other.
fn wait_for(parties: &mut LocalCluster) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { parties.connect().await.expect("three connected parties").close().await });
}

#[test]
fn a_cluster_is_published_to_and_asked() {
    let running = Running::start();
    let (out, _, code) = running.client(&["models"]);
    assert!(code == 0 && out.contains("no models yet"), "{out}");
    let (_, err, code) = running.client(&["classify", "--input", "day.png"]);
    assert!(code == 2 && err.contains("no model \"face\"") && err.contains("publish"), "{err}");

    let (out, err, code) = running.client(&["--json", "model", "publish", "face"]);
    assert_eq!(code, 0, "{err}");
    let object: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&object["model"], &object["weights"]), (&json!("face"), &json!(130)));
    let (out, err, code) = running.client(&["classify", "--input", "day.png"]);
    assert_eq!((out.as_str(), code), ("bright\n", 0), "{err}");

    // Published anew with other labels: the name now means the new one.
    brightness_model(running.dir.path(), "face", ["night", "day"]);
    assert_eq!(running.client(&["model", "publish", "face"]).2, 0);
    let (out, err, code) = running.client(&["classify", "--input", "day.png"]);
    assert_eq!((out.as_str(), code), ("day\n", 0), "{err}");

    // Once more, nothing has to be sent; dealt anew, everything has.
    let (out, err, code) = running.client(&["model", "publish", "face"]);
    assert!(code == 0 && out.contains("had its shares already"), "{out}{err}");
    let published = |arguments: &[&str]| {
        let (out, err, code) = running.client(arguments);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let again = published(&["--json", "model", "publish", "face"]);
    assert_eq!((&again["revision"], &again["bytes_sent"]), (&json!(2), &json!(0)));
    let anew = published(&["--json", "model", "publish", "--anew", "face"]);
    assert_eq!(anew["revision"], json!(3));
    assert_ne!(anew["publication"], again["publication"]);
    let shown = published(&["--json", "model", "show", "face"]);
    assert_eq!((&shown["publication"], &shown["weights"]), (&anew["publication"], &json!(130)));
    let (out, _, _) = running.client(&["model", "show", "face"]);
    assert!(out.contains("night, day") && out.contains("passive at least"), "{out}");

    let (out, err, code) = running.client(&["model", "retire", "face"]);
    assert!(code == 0 && out.contains("out of service"), "{out}{err}");
    let (_, err, code) = running.client(&["model", "retire", "face"]);
    assert!(code == 2 && err.contains("no model \"face\""), "{err}");
    let (out, _, code) = running.client(&["model", "list"]);
    assert!(code == 0 && out.contains("no models yet"), "{out}");
}

#[test]
fn the_strictest_security_wins() {
    let asked = |running: &Running, model: &str, security: &str| {
        let arguments = ["--json", "classify", "--model", model, "--security", security, "--input", "day.png"];
        let (out, err, code) = running.client(&arguments);
        assert_eq!(code, 0, "{err}");
        let object: Value = serde_json::from_str(&out).expect("one JSON object");
        assert_eq!(object["results"][0]["label"], json!("bright"));
        object["security"].as_str().expect("a word").to_owned()
    };
    let lenient = Running::start();
    let manifest = brightness_model(lenient.dir.path(), "strict", ["dark", "bright"]).join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("security = \"passive\"", "security = \"active\"");
    std::fs::write(&manifest, text).unwrap();
    for model in ["face", "strict"] {
        assert_eq!(lenient.client(&["model", "publish", model]).2, 0);
    }
    assert_eq!(asked(&lenient, "face", "passive"), "passive");
    assert_eq!(asked(&lenient, "face", "active"), "active");
    assert_eq!(asked(&lenient, "strict", "passive"), "active", "the model's owner demands it");

    let strict = Running::configured(["", "[security]\nminimum = \"active\"\n", ""]);
    assert_eq!(strict.client(&["model", "publish", "face"]).2, 0);
    assert_eq!(asked(&strict, "face", "passive"), "active", "one of the servers demands it");
    let (_, err, _) = strict.client(&["classify", "--security", "passive", "--input", "day.png"]);
    assert!(err.contains("active security (the model or a server demands it)"), "{err}");
    let (out, _, _) = strict.client(&["--json", "models"]);
    assert!(out.contains("\"security\":\"active\""), "{out}");
}

#[test]
fn strangers_and_impostors_exit_with_3_and_both_fingerprints() {
    let running = Running::start();
    let stranger = Identity::generate("stranger").unwrap();
    stranger.save(&running.dir.path().join("stranger")).unwrap();
    let (_, err, code) = running.client(&["--identity", "stranger", "models"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains(&stranger.fingerprint().to_string()) && err.contains("operator"), "{err}");

    let mut cluster = running.parties.cluster().clone();
    let theirs = std::mem::replace(&mut cluster.parties[1].fingerprints[0], stranger.fingerprint().to_string());
    std::fs::write(running.dir.path().join("wrong.toml"), toml::to_string(&cluster).unwrap()).unwrap();
    let (_, err, code) = running.client(&["--cluster", "wrong.toml", "models"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("P1") && err.contains(&theirs) && err.contains(&stranger.fingerprint().to_string()), "{err}");
}

#[test]
fn a_dead_party_is_named_and_its_restart_is_enough() {
    let mut running = Running::start();
    assert_eq!(running.client(&["model", "publish", "face"]).2, 0);
    running.parties.kill(Role::P1);
    let (out, err, code) = running.client(&["classify", "--input", "day.png"]);
    assert_eq!(code, 3, "{err}");
    assert!(out.is_empty() && err.contains("P1") && err.contains("127.0.0.1"), "{err}");

    running.parties.restart(Role::P1).unwrap();
    wait_for(&mut running.parties);
    let (out, err, code) = running.client(&["classify", "--input", "day.png"]);
    assert_eq!((out.as_str(), code), ("bright\n", 0), "{err}");
}

#[test]
fn a_plan_says_what_a_question_costs_and_follows_the_line() {
    let plan = |rtt: &str, security: &str| {
        let dir = tempdir().unwrap();
        let mut program = client(dir.path());
        program.arg("--local").arg("--models").arg(models()).args(["--json", "plan", "--model", "face"]);
        let (out, err, code) = run(program.args(["--rtt", rtt, "--rate", "1Gbit", "--security", security]));
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    // The check has rounds of its own, which depend on how much there is to check.
    let (near, far) = (plan("100us", "passive"), plan("200ms", "passive"));
    let number = |value: &Value| value.as_f64().unwrap();
    for object in [&near, &far, &plan("200ms", "active")] {
        let layers = object["layers"].as_array().unwrap();
        for key in ["rounds", "bytes_sent"] {
            let sum: f64 = layers.iter().map(|layer| number(&layer[key])).sum();
            assert_eq!(sum, number(&object["total"][key]), "{key}");
        }
        assert!(number(&object["total"]["memory_bytes"]) > 0.0);
        let lift = layers.iter().find(|layer| layer["operation"] == "Input").expect("the lift of the input");
        assert_eq!([number(&lift["rounds"]), number(&lift["bytes_sent"])], [2.0, 16.0 * 56.0 * 46.0]);
    }
    assert!(number(&near["total"]["rounds"]) > number(&far["total"]["rounds"]));
    assert!(number(&near["total"]["bytes_sent"]) < number(&far["total"]["bytes_sent"]));
    let time = number(&far["total"]["time_ms"]);
    assert!(time > 100.0 * number(&far["total"]["rounds"]), "every round takes half of the round trip: {time}");
}
