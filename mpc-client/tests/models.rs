//! The models of `models/`: fixed point against the ONNX runtime's recorded answers, and, with `$MPC_DATA`, against an
//! independent ONNX evaluator on every file of the test split.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mpc_client::preprocess::{Options, Prepared, prepare};
use mpc_client::{Dealing, Mode};
use mpc_client_local::LocalCluster;
use mpc_core::inference::clear;
use mpc_core::model::Model;
use mpc_core::model::manifest::UNKNOWN;
use ndarray::{Array1, ArrayD, ArrayView1, Axis, IxDyn};

/// Name, data set, and the column of its manifest with the split.
const MODELS: [(&str, &str, &str); 5] = [
    ("emotion", "emotion_ravdess", "split"),
    ("face", "faces_orl40", "split_id"),
    ("speaker", "emotion_ravdess", "split_id"),
    ("speaker-words", "speaker_asc30", "split_id"),
    ("xray", "xray_covid3", "split"),
];
/// Models whose data set keeps many pictures in one file, so that only their samples are evaluated.
const PACKED: [&str; 1] = ["pneumonia"];
/// Networks that compare, and the data sets with their pairs.
const EMBEDDING: [(&str, &[&str]); 2] =
    [("face-match", &["faces_orl40"]), ("speaker-verify", &["speaker_asc30", "speaker_hyke83"])];
/// Largest difference between a logit in fixed point and in floating point, per window.
const TOLERANCE: f64 = 0.02;
/// Files in one question.
const BATCH: usize = 16;
/// Generous, because a busy machine is not a failure.
const TIMEOUT: Duration = Duration::from_secs(600);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

/// The folder of the data sets, where there is one.
fn data_sets() -> Option<PathBuf> {
    let data = std::env::var_os("MPC_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("skipped: $MPC_DATA is not set");
    }
    data
}

fn argmax(logits: ArrayView1<f64>) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("has logits")
}

fn cosine(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
    a.dot(b) / (a.dot(a) * b.dot(b)).sqrt()
}

fn prepared(model: &Model, files: &[PathBuf]) -> Vec<Prepared> {
    files.iter().map(|file| prepare(&model.manifest, file, Options::default()).expect("is readable")).collect()
}

/// Outputs in fixed point, one row per file.
fn fixed_point(model: &Model, inputs: &[Prepared]) -> ArrayD<f64> {
    let views: Vec<_> = inputs.iter().map(|input| input.features.view()).collect();
    let batch = ndarray::concatenate(Axis(0), &views).expect("same shapes").mapv(f64::from);
    let windows: Vec<u32> = inputs.iter().map(|input| input.windows as u32).collect();
    clear::evaluate_fixed(&model.graph, &model.weights, &[batch], &windows).expect("evaluates").swap_remove(0)
}

/// The samples of a model, each with its record.
fn recorded(name: &str) -> Vec<(PathBuf, serde_json::Value)> {
    let text = std::fs::read(folder(name).join("expected.json")).expect("has expected.json");
    let expected: serde_json::Value = serde_json::from_slice(&text).expect("is JSON");
    let samples = expected["samples"].as_array().expect("has samples").iter();
    samples.map(|sample| (folder(name).join(sample["file"].as_str().expect("has a file")), sample.clone())).collect()
}

#[test]
fn samples_get_the_recorded_answers() {
    for name in MODELS.map(|(name, _, _)| name).into_iter().chain(PACKED) {
        let model = Model::load(&folder(name)).unwrap();
        for (file, sample) in recorded(name) {
            let input = prepare(&model.manifest, &file, Options::default()).unwrap();
            let windows = input.windows as f64;
            let tolerance = TOLERANCE * windows;
            let logits = fixed_point(&model, &[input]);
            for (got, want) in logits.iter().zip(sample["logits"].as_array().unwrap()) {
                assert!((got - want.as_f64().unwrap()).abs() < tolerance, "{}: {got}, not {want}", file.display());
            }
            let logits = logits.index_axis(Axis(0), 0).into_dimensionality().unwrap();
            let best = argmax(logits);
            let known = model.manifest.unknown.as_ref().is_none_or(|least| logits[best] >= windows * least.threshold);
            let label = if known { &model.manifest.labels[best] } else { UNKNOWN };
            assert_eq!(label, sample["label"].as_str().unwrap(), "{}", file.display());
        }
    }
}

#[test]
fn samples_get_the_recorded_embeddings() {
    for (name, _) in EMBEDDING {
        let model = Model::load(&folder(name)).unwrap();
        for (file, sample) in recorded(name) {
            let got = fixed_point(&model, &[prepare(&model.manifest, &file, Options::default()).unwrap()]);
            let want: Vec<f64> = sample["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(got.len(), want.len());
            let cosine = cosine(&got.flatten().into_owned(), &want.into());
            eprintln!("{}: cosine with the recorded embedding 1 - {:.1e}", file.display(), 1.0 - cosine);
            assert!(cosine > 0.999, "{}: {cosine}", file.display());
        }
    }
}

#[test]
fn the_test_split_agrees_with_another_evaluator() {
    let Some(data) = data_sets() else { return };
    for (name, set, column) in MODELS {
        let model = Model::load(&folder(name)).unwrap();
        let inputs = prepared(&model, &test_split(&data.join(set), column));
        let got = fixed_point(&model, &inputs);
        let reference = rten::Model::load_file(folder(name).join("model.onnx")).unwrap();
        let (mut agree, mut largest) = (0, 0.0f64);
        for (input, got) in inputs.iter().zip(got.outer_iter()) {
            let want = floating_point(&reference, &input.features);
            agree += usize::from(argmax(got.view().into_dimensionality().unwrap()) == argmax(want.view()));
            largest = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(largest, f64::max);
        }
        eprintln!("{name}: {agree} of {} labels agree, largest logit error {largest:.6}", inputs.len());
        assert!(agree as f64 >= 0.995 * inputs.len() as f64);
    }
}

#[test]
fn trials_get_the_verdicts_of_another_evaluator() {
    let Some(data) = data_sets() else { return };
    for (name, sets) in EMBEDDING {
        let model = Model::load(&folder(name)).unwrap();
        let threshold = model.manifest.embedding.as_ref().expect("compares").threshold;
        let reference = rten::Model::load_file(folder(name).join("model.onnx")).unwrap();
        for set in sets {
            let files = test_split(&data.join(set), "split");
            let inputs = prepared(&model, &files);
            let fixed: Vec<_> =
                fixed_point(&model, &inputs).outer_iter().map(|row| row.flatten().into_owned()).collect();
            let floating: Vec<_> = inputs.iter().map(|input| floating_point(&reference, &input.features)).collect();
            let (trials, mut agree, mut largest) = (trials(&data.join(set)), 0, 0.0f64);
            for pair in &trials {
                let place = |file| files.iter().position(|other| other == file).expect("is in the test split");
                let [a, b] = pair.each_ref().map(place);
                let [got, want] = [&fixed, &floating].map(|embeddings| cosine(&embeddings[a], &embeddings[b]));
                agree += usize::from((got >= threshold) == (want >= threshold));
                largest = largest.max((got - want).abs());
            }
            eprintln!(
                "{name}: {agree} of {} verdicts on {set} agree, largest error of a cosine {largest:.6}",
                trials.len()
            );
            assert!(agree as f64 >= 0.995 * trials.len() as f64);
        }
    }
}

/// Takes minutes, so it runs only by name:
/// `MPC_DATA=... cargo test --release -p mpc-client --test models -- --ignored --nocapture`.
#[test]
#[ignore = "evaluates the whole test split on three servers, twice"]
fn both_security_modes_answer_the_test_split_alike() {
    let data = PathBuf::from(std::env::var_os("MPC_DATA").expect("$MPC_DATA names the folder of the data sets"));
    // Everything is prepared before the client connects: a client that computes for seconds keeps no connection alive.
    let sets = MODELS.map(|(name, set, column)| {
        let model = Model::load(&folder(name)).unwrap();
        let prepare = |file: &PathBuf| prepare(&model.manifest, file, Options::default()).unwrap().features;
        let inputs: Vec<_> = test_split(&data.join(set), column).iter().map(prepare).collect();
        (name, model, inputs)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).unwrap();
        let client = parties.connect().await.unwrap();
        for (name, model, inputs) in sets {
            client.publish(&model, &Dealing::fresh().unwrap(), false).await.unwrap();
            let model = client.model(name).await.unwrap();
            for batch in inputs.chunks(BATCH) {
                let batch: Vec<_> = batch.iter().map(|features| model.encode(features).unwrap()).collect();
                let passive = client.classify(&model, &batch, Mode::Passive, TIMEOUT).await.unwrap();
                let active = client.classify(&model, &batch, Mode::Active, TIMEOUT).await.unwrap();
                assert_eq!(active.predictions, passive.predictions, "{name}");
            }
            eprintln!("{name}: {0} of {0} labels are the same in both modes", inputs.len());
        }
    });
}

/// The files of a data set's test split.
fn test_split(folder: &Path, column: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(folder.join("manifest.csv")).expect("has manifest.csv");
    let mut lines = text.lines();
    let column =
        lines.next().expect("has a header").split(',').position(|name| name == column).expect("has the column");
    // The columns up to the split hold no quotes.
    let fields = lines.map(|line| line.split(',').collect::<Vec<_>>());
    fields.filter(|fields| fields[column] == "test").map(|fields| folder.join(fields[0])).collect()
}

/// The pairs of a data set's test trials.
fn trials(folder: &Path) -> Vec<[PathBuf; 2]> {
    let mut reader = csv::Reader::from_path(folder.join("trials_test.csv")).expect("has trials_test.csv");
    let rows = reader.records().map(|row| row.expect("has as many fields as the header"));
    rows.map(|row| [0, 1].map(|i| folder.join(&row[i]))).collect()
}

/// The sum over the windows of the outputs that rten computes.
fn floating_point(model: &rten::Model, features: &ArrayD<f32>) -> Array1<f64> {
    let input =
        rten::Value::from_shape(features.shape(), features.iter().copied().collect::<Vec<_>>()).expect("same size");
    let rten::Value::FloatTensor(logits) = model.run_one(input.into(), None).expect("runs") else {
        panic!("the network's output is not of floats")
    };
    let windows = features.len_of(Axis(0));
    let logits: Vec<f64> = logits.into_data().into_iter().map(f64::from).collect();
    let logits = ArrayD::from_shape_vec(IxDyn(&[windows, logits.len() / windows]), logits).expect("same size");
    logits.sum_axis(Axis(0)).into_dimensionality().expect("one row")
}
