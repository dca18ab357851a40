//! Every job from the command line, with three real servers: enrolled persons, compared pairs, tables, folders, and the
//! same answers in the clear.

mod program;
mod project;
mod support;

use std::path::Path;

use program::{client, run};
use project::{models, samples};
use serde_json::{Value, json};
use support::{brightness_model, comparing_model, picture};
use tempfile::tempdir;

/// Two kinds of pictures, which the model below tells apart by the direction of its embedding.
fn pictures(dir: &Path) {
    for (name, brightness) in [("night.png", 10), ("evening.png", 60), ("noon.png", 250), ("day.png", 200)] {
        picture(dir, name, brightness);
    }
    std::fs::write(dir.join("text.png"), "not a picture\n").expect("a file");
}

#[test]
fn enrolled_persons_are_there_the_next_time() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    pictures(dir);
    comparing_model(&dir.join("models"), "face-match", "label");
    let face = |arguments: &[&str]| {
        let mut command = client(dir);
        run(command.args(["--local", "--state", "state", "face"]).args(arguments))
    };

    let (out, err, code) = face(&["list"]);
    assert!(code == 0 && out.contains("nobody is enrolled yet"), "{out}{err}");
    let (out, err, code) = face(&["match", "night.png"]);
    assert_eq!((out.as_str(), code), ("nobody\n", 0), "an empty gallery: {err}");
    let (out, err, code) = face(&["enrol", "--id", "moon", "night.png", "evening.png"]);
    assert_eq!((out.as_str(), code), ("moon is enrolled with 2 pictures\n", 0), "{err}");

    let (out, err, code) = face(&["match", "evening.png", "noon.png", "text.png"]);
    assert_eq!((out.as_str(), code), ("evening.png: moon\nnoon.png: nobody\n", 2), "{err}");
    assert!(err.contains("text.png") && err.contains("active security"), "{err}");
    let (_, err, code) = face(&["enrol", "--id", "moon", "noon.png"]);
    assert!(code == 2 && err.contains("enrolled already"), "{err}");
    let (_, err, code) = face(&["enrol", "--id", "sun", "noon.png", "text.png"]);
    assert!(code == 2 && err.contains("text.png"), "one bad picture, and nobody is enrolled: {err}");
    let (out, err, code) = face(&["enrol", "--id", "sun", "--security", "passive", "--json", "noon.png"]);
    assert_eq!(code, 0, "{err}");
    let enrolled: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(enrolled["security"], "active", "what the servers keep is checked");

    let (out, err, code) = face(&["list", "--json"]);
    assert_eq!(code, 0, "{err}");
    let list: Value = serde_json::from_str(&out).unwrap();
    let everybody = json!({"command": "face list", "model": "face-match", "persons": ["moon", "sun"], "lost": []});
    assert_eq!(list, everybody);
    for (id, label) in [("sun", "same"), ("moon", "different")] {
        let (out, err, code) = face(&["verify", "--id", id, "day.png"]);
        assert_eq!((out.trim(), code), (label, 0), "{err}");
    }
    let (_, err, code) = face(&["verify", "--id", "mars", "day.png"]);
    assert!(code == 2 && err.contains("face list"), "{err}");

    let (_, err, code) = face(&["remove", "--id", "sun"]);
    assert_eq!(code, 0, "{err}");
    let (out, err, code) = face(&["match", "day.png"]);
    assert_eq!((out.as_str(), code), ("nobody\n", 0), "{err}");
    let (_, err, code) = face(&["remove", "--id", "sun"]);
    assert!(code == 2 && err.contains("nobody is enrolled as"), "{err}");
    let (_, err, code) = run(client(dir).args(["--state", "state", "models"]));
    assert!(code == 2 && err.contains("--local"), "{err}");
}

#[test]
fn two_inputs_are_compared_and_the_cosine_is_shown_where_it_may_be() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    pictures(dir);
    comparing_model(&dir.join("models"), "quiet", "label");
    comparing_model(&dir.join("models"), "open", "scores");
    let verify = |how: &str, model: &str, pair: [&str; 2]| {
        let (out, err, code) = run(client(dir).args([how, "--json", "verify-speaker", "--model", model]).args(pair));
        assert_eq!(code, 0, "{err}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        answer["results"].as_array().unwrap().clone()
    };
    for how in ["--local", "--clear"] {
        let result = verify(how, "open", ["night.png", "day.png"]);
        assert_eq!(
            (result.len(), &result[0]["label"], &result[0]["with"]),
            (1, &json!("different"), &json!("day.png"))
        );
        // Equal in all eight fractional bits, at the servers as here.
        assert_eq!(result[0]["cosine"], json!(-1.0), "{result:?}");
        assert_eq!(verify(how, "quiet", ["day.png", "noon.png"])[0]["label"], json!("same"));
    }
    assert_eq!(verify("--local", "quiet", ["day.png", "noon.png"])[0]["cosine"], Value::Null);
    let (_, err, code) =
        run(client(dir).args(["--local", "verify-speaker", "--model", "quiet", "day.png", "text.png"]));
    assert!(code == 2 && err.contains("text.png"), "{err}");
    let (_, err, code) = run(client(dir).args(["--local", "classify", "--model", "quiet", "--input", "day.png"]));
    assert!(code == 2 && err.contains("compares inputs"), "{err}");
    let (_, err, code) = run(client(dir).args(["--clear", "face", "match", "--model", "quiet", "day.png"]));
    assert!(code == 2 && err.contains("knows nobody"), "{err}");
}

#[test]
fn folders_patterns_and_standard_input_become_a_table() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("in")).unwrap();
    pictures(&dir.join("in"));
    brightness_model(&dir.join("models"), "face", ["dark", "bright"]);
    for how in ["--local", "--clear"] {
        let mut command = client(dir);
        command.args([how, "--csv", "classify", "--input", "in", "--input", "in/n*.png", "--input", "-"]);
        let (out, err, code) = run(command.write_stdin(std::fs::read(dir.join("in/day.png")).unwrap()));
        assert_eq!(code, 2, "the text among them: {err}");
        let table = "input,with,label,cosine,error\nin/day.png,,bright,,\nin/evening.png,,dark,,\nin/night.png,,dark,,\nin/noon.png,,bright,,\n";
        let (rows, rest) = out.split_at(table.len());
        assert_eq!(rows, table);
        let rest: Vec<&str> = rest.lines().collect();
        assert!(rest[0].starts_with("in/text.png,,,,"), "{rest:?}");
        assert_eq!(rest[1..], ["in/night.png,,dark,,", "in/noon.png,,bright,,", "-,,bright,,"]);
    }
    let (_, err, code) = run(client(dir).args(["--local", "classify", "--input", "in/*.jpg"]));
    assert!(code == 2 && err.contains("no file matches"), "{err}");
}

#[test]
fn the_clear_answers_are_those_of_the_servers() {
    for (model, command, option) in [("emotion", "emotion", None), ("face", "classify", Some("--input"))] {
        let dir = tempdir().unwrap();
        let mut program = client(dir.path());
        program.arg("--models").arg(models()).args(["--clear", "--json", command]);
        let samples = samples(model);
        for sample in &samples {
            program.args(option).arg(&sample.file);
        }
        let (out, err, code) = run(&mut program);
        assert_eq!(code, 0, "{model}: {err}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&answer["security"], &answer["rounds"]), (&Value::Null, &json!(0)));
        for (result, sample) in answer["results"].as_array().unwrap().iter().zip(&samples) {
            assert_eq!(result["label"], json!(sample.label), "{model}");
        }
    }
}
