//! Help, errors and exit codes: everything that needs no servers.

mod program;
mod support;

use std::path::Path;

use mpc_client::{Identity, preprocess};
use mpc_core::model::Manifest;
use program::{client, run};
use support::{brightness_model, picture};
use tempfile::tempdir;

/// A cluster file that names three parties at `address`, with keys that nobody has.
fn cluster(dir: &Path, address: &str) -> std::path::PathBuf {
    let party = |i| {
        let key = Identity::generate("nobody").expect("a key").fingerprint();
        format!("[[parties]]\nname = \"org{i}\"\naddresses = [\"{address}\"]\nfingerprints = [\"{key}\"]\n")
    };
    let path = dir.join("cluster.toml");
    std::fs::write(&path, [0, 1, 2].map(party).concat()).expect("a file can be written");
    path
}

#[test]
fn help_teaches_by_example() {
    let dir = tempdir().unwrap();
    let (out, _, code) = run(client(dir.path()).arg("--help"));
    assert_eq!(code, 0);
    for example in ["--local emotion speech.wav", "--local classify --input face.png", "model publish", "Exit codes"] {
        assert!(out.contains(example), "{example}: {out}");
    }
    assert!(!out.contains("local-party"), "what is not for people is hidden");
    let (out, _, code) = run(client(dir.path()).args(["classify", "--help"]));
    assert!(code == 0 && out.contains("Example: ") && out.contains("--box"), "{out}");
    for line in ["--security", "[default: active]", "- passive: ", "- active: "] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

#[test]
fn mistakes_on_the_command_line_exit_with_2_and_say_what_to_do() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    cluster(dir, "127.0.0.1:1");
    let cases: [(&[&str], &str); 10] = [
        (&[], "Usage"),
        (&["emotion"], "<FILE>"),
        (&["classify", "face.png"], "--input"),
        (&["--timeout", "0", "models"], "more than 0"),
        (&["classify", "--input", "a.png", "--box", "1,2,3"], "LEFT,TOP,WIDTH,HEIGHT"),
        (&["classify", "--input", "a.png", "--security", "none"], "passive, active"),
        (&["--cluster", "missing.toml", "models"], "missing.toml"),
        (&["--cluster", "cluster.toml", "--local", "models"], "--local and --cluster"),
        (&["models"], "mpc-client init"),
        (&["--local", "--models", "nowhere", "models"], "nowhere"),
    ];
    for (arguments, expected) in cases {
        let (out, err, code) = run(client(dir).args(arguments));
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
        assert!(out.is_empty(), "{arguments:?}: {out}");
    }
}

#[test]
fn without_a_cluster_the_error_shows_how_to_get_one() {
    let dir = tempdir().unwrap();
    let (_, err, code) = run(client(dir.path()).args(["emotion", "a.wav"]));
    assert_eq!(code, 2);
    for word in ["$MPC_CLUSTER", "cluster.toml", "operators", "--cluster FILE", "--local"] {
        assert!(err.contains(word), "{err}");
    }
    assert_eq!(err.trim_end().lines().count(), 1, "one line: {err}");

    let (out, _, code) = run(client(dir.path()).args(["emotion", "a.wav", "--json"]));
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &object["command"], &object["kind"]), (2, &"emotion".into(), &"usage".into()));
    assert!(object["error"].as_str().unwrap().contains("--local"));
}

#[test]
fn a_cluster_has_three_parties_with_readable_fingerprints() {
    let dir = tempdir().unwrap();
    let path = cluster(dir.path(), "127.0.0.1:1");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(run(client(dir.path()).arg("init")).2, 0);
    let two = text[..text.rfind("[[parties]]").unwrap()].to_owned();
    for (broken, expected) in
        [(two, "three"), (text.replace("sha256:", "sha:"), "sha256:"), (text.replace("name", "nam"), "nam")]
    {
        std::fs::write(&path, broken).unwrap();
        let (_, err, code) = run(client(dir.path()).arg("models"));
        assert!(code == 2 && err.contains(expected), "{expected}: {code} {err}");
    }
}

#[test]
fn init_makes_one_key_and_keeps_it() {
    let dir = tempdir().unwrap();
    let init = || run(client(dir.path()).args(["init", "--json"]));
    let (first, second) = (init(), init());
    assert_eq!((first.2, second.2), (0, 0));
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (first, second) = (parse(&first.0), parse(&second.0));
    assert_eq!((&first["created"], &second["created"]), (&true.into(), &false.into()));
    assert_eq!(first["fingerprint"], second["fingerprint"]);
    assert!(dir.path().join("config").is_dir(), "in the configuration folder");

    let (out, _, _) = run(client(dir.path()).arg("init"));
    assert!(out.contains(first["fingerprint"].as_str().unwrap()) && out.contains("[[clients]]"), "{out}");
}

#[test]
fn a_cluster_that_does_not_answer_exits_with_3_and_names_the_party() {
    let dir = tempdir().unwrap();
    // Bound, so that nobody else answers there, and silent.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    cluster(dir.path(), &address);
    assert_eq!(run(client(dir.path()).arg("init")).2, 0);
    let (out, err, code) = run(client(dir.path()).args(["--json", "models"]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("org") && err.contains(&address), "{err}");
    assert!(out.contains("\"error\""), "{out}");
}

#[test]
fn preprocess_writes_what_the_library_computes() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let model = brightness_model(dir, "brightness", ["dark", "bright"]);
    let (a, b) = (picture(dir, "a.png", 10), picture(dir, "b.png", 200));
    std::fs::write(dir.join("list.txt"), "a.png\n\n").unwrap();
    let arguments = ["preprocess", "--model", "brightness", "--list", "list.txt", "b.png", "-o", "x.npy", "--json"];
    let (out, err, code) = run(client(dir).args(arguments));
    assert_eq!(code, 0, "{err}");
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(object["shape"], serde_json::json!([2, 1, 8, 8]));
    assert_eq!(object["results"][1], serde_json::json!({"input": "b.png", "windows": 1}));

    let npy = std::fs::read(dir.join("x.npy")).unwrap();
    let (header, data) = npy.split_at(128);
    let header = String::from_utf8_lossy(&header[10..]);
    assert!(header.contains("'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 8, 8,)"), "{header}");
    let manifest = Manifest::read(&model).unwrap();
    let prepare = |path| preprocess::prepare(&manifest, path, preprocess::Options::default()).unwrap().features;
    let expected: Vec<u8> = [&a, &b].iter().flat_map(|path| prepare(path)).flat_map(f32::to_le_bytes).collect();
    assert_eq!(data, expected);

    let (_, err, code) =
        run(client(dir).args(["preprocess", "--model", "brightness", "a.png", "list.txt", "-o", "y.npy"]));
    assert!(code == 2 && err.contains("list.txt") && !dir.join("y.npy").exists(), "{err}");
}
