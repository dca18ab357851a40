use super::*;

const EMOTION: &str = r#"
    format = 1
    name = "emotion"
    title = "The emotion in a recording"
    task = "emotion"
    labels = ["calm", "angry"]
    reveal = "label"
    security = "passive"
    licence = "non-commercial"
    [preprocess]
    kind = "audio"
    rate = 16000
    trim_db = 40.0
    frame = 512
    hop = 256
    bands = 40
    low_hz = 50.0
    high_hz = 8000.0
    floor_db = -80.0
    mean = [-30.0]
    std = [20.0]
    [input]
    shape = [40, 128]
    range = 4.0
    [windows]
    hop = 64
    max = 16
    [bounds]
    policy = "calibrated"
    comparison_margin = 8
    ring_margin = 10
"#;

#[test]
fn reads_back_what_it_writes() {
    let manifest = Manifest::parse(EMOTION).unwrap();
    assert_eq!((manifest.input.frac_bits, manifest.security), (16, Mode::Passive));
    let strict = Manifest::parse(&EMOTION.replace("security = \"passive\"", "security = \"active\"")).unwrap();
    assert_eq!(strict.security, Mode::Active);
    assert_eq!(Manifest::parse(&toml::to_string(&manifest).unwrap()).unwrap(), manifest);
}

#[test]
fn errors_name_the_field() {
    for (from, to, field) in [
        ("format = 1", "format = 2", "format"),
        ("name = \"emotion\"", "name = \"../x\"", "name"),
        ("labels = [\"calm\", \"angry\"]", "labels = [\"calm\"]", "labels"),
        ("reveal = \"label\"", "reveal = \"all\"", "reveal"),
        ("reveal = \"label\"", "reveal = \"label\"\nreveal_bits = 8", "reveal_bits"),
        ("reveal = \"label\"", "reveal = \"scores\"\nreveal_bits = 9", "reveal_bits"),
        ("security = \"passive\"", "security = \"none\"", "security"),
        ("rate = 16000", "rate = 1", "preprocess.rate"),
        ("rate = 16000", "rate = 16000\nrat = 1", "rat"),
        ("high_hz = 8000.0", "high_hz = 9000.0", "high_hz"),
        ("std = [20.0]", "std = [0.0]", "preprocess.std"),
        ("mean = [-30.0]", "mean = [nan]", "preprocess.mean"),
        ("mean = [-30.0]", "mean = [1.0, 2.0]", "preprocess.mean"),
        ("shape = [40, 128]", "shape = [41, 128]", "input.shape"),
        ("shape = [40, 128]", "shape = [40, 9223372036854775807]", "input.shape"),
        ("range = 4.0", "range = inf", "input.range"),
        ("hop = 64", "hop = 0", "windows.hop"),
        ("comparison_margin = 8", "comparison_margin = 7", "bounds.comparison_margin"),
        ("ring_margin = 10", "ring_margin = 10\nfoo = 1", "foo"),
    ] {
        assert!(EMOTION.contains(from), "{from}");
        let error = Manifest::parse(&EMOTION.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(field), "{to}: {error}");
    }
}

#[test]
fn what_is_answered_fits_the_task() {
    let unknown = format!("{EMOTION}\n[unknown]\nthreshold = 2.5\n");
    assert_eq!(Manifest::parse(&unknown).unwrap().unknown, Some(Unknown { threshold: 2.5 }));
    let taken = unknown.replace("\"calm\"", "\"unknown\"");
    assert!(Manifest::parse(&taken).unwrap_err().to_string().contains("labels"));

    let voice = EMOTION.replace("task = \"emotion\"", "task = \"verify-speaker\"");
    let verify = voice.replace("[\"calm\", \"angry\"]", "[\"same\", \"different\"]");
    let embedding = "\n[embedding]\nsize = 64\nthreshold = 0.5\n";
    let manifest = Manifest::parse(&format!("{verify}{embedding}")).unwrap();
    assert_eq!((manifest.outputs(), manifest.embedding), (64, Some(Embedding { size: 64, threshold: 0.5 })));
    for (text, field) in [
        (verify.clone(), "embedding"),
        (format!("{EMOTION}{embedding}"), "embedding"),
        (format!("{voice}{embedding}"), "labels"),
        (format!("{verify}{embedding}").replace("0.5", "1.0"), "embedding.threshold"),
        (format!("{verify}{embedding}").replace("64\nthr", "0\nthr"), "embedding.size"),
        (format!("{verify}{embedding}[unknown]\nthreshold = 0.0\n"), "unknown"),
    ] {
        let error = Manifest::parse(&text).unwrap_err().to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
}
