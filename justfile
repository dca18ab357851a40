# The commands of this project; `just` lists them.

default:
    @just --list

# Ask three servers on this machine
demo:
    cargo run --release --bin mpc-client -- --local emotion models/emotion/samples/angry.wav
    cargo run --release --bin mpc-client -- --local classify --input models/face/samples/face.png

test:
    cargo test --workspace

# Everything that must be clean before a change goes in
check: test
    cargo fmt --check
    .ci/links
    .ci/floors
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo deny check bans licenses sources

# Known vulnerabilities of dependencies; needs the network
audit:
    cargo deny check advisories

# Fuzz one target (onnx, manifest, wire) on the stable compiler
fuzz target seconds="60":
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- -max_total_time={{seconds}}

# The examples in the documentation
docs:
    docs/run-examples.sh README.md docs/*.md

# Three parties in containers
up:
    deploy/compose/setup.sh
    docker compose -f deploy/compose/docker-compose.yml up -d

bench *arguments:
    cargo run --release -p benches -- {{arguments}}
