//! What only tests can do does not compile in a production build: without the feature `testing`, which every test of
//! this package has, so that the programs in `sealed/` are compiled as a package of their own.

use std::path::Path;
use std::process::Command;

/// Each program, and the errors of the compiler.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("whole", &[]),
    ("weakened", &["E0432"]),
    ("unchecked", &["E0308"]),
    ("unrecorded", &["E0599"]),
    ("foreign", &["E0599", "E0624"]),
];

#[test]
fn a_production_build_leaves_out_no_check() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = tempfile::tempdir().expect("a folder");
    let mut manifest = format!(
        "[package]\nname = \"sealed\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\nmpc-core = {{ path = {core:?}, default-features = false }}\n"
    );
    for (name, _) in PROGRAMS {
        let path = core.join("tests/sealed").join(name).with_extension("rs");
        manifest += &format!("[[bin]]\nname = {name:?}\npath = {path:?}\n");
    }
    std::fs::write(package.path().join("Cargo.toml"), manifest).expect("a manifest");
    // The versions that this build has, so that none is asked for.
    std::fs::copy(core.join("../Cargo.lock"), package.path().join("Cargo.lock")).expect("the workspace's versions");
    for (name, errors) in PROGRAMS {
        let output = Command::new(env!("CARGO"))
            .args(["check", "--offline", "--color", "never", "--bin", name])
            .current_dir(package.path())
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("sealed"))
            .output()
            .expect("cargo");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), errors.is_empty(), "{name}: {said}");
        assert_eq!(said.matches("error[").count(), errors.len(), "{name}: {said}");
        assert!(errors.iter().all(|error| said.contains(&format!("error[{error}]"))), "{name}: {said}");
    }
}
