//! Times the local kernels, one thread: `cargo run --release -p benches --bin kernels [-- --json]`.
//!
//! A line of JSON has `kernel`, `operation`, `rate` and its `unit`.

use std::hint::black_box;
use std::io::{StdoutLock, Write, stdout};
use std::time::{Duration, Instant};

use clap::Parser;
use mpc_core::kernel::extension::{Extension, Field, Galois};
use mpc_core::kernel::{ConvGeometry, Kernel};
use mpc_core::prss::{Key, Prss};
use mpc_core::ring::{Arithmetic, Boolean, Word};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Times the local kernels, one thread.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Print one JSON object for each operation instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let json = Args::parse().json;
    for kernel in Kernel::available() {
        let mut out = Output { out: stdout().lock(), json, kernel };
        out.heading()?;
        for shape in [[512, 512, 512], [1, 1024, 1024], [8, 1024, 1024], [1024, 1024, 1], [128, 640, 8]] {
            let [m, k, n] = shape;
            let (a, b, mut c) = (random(m * k), random(k * n), vec![0; m * n]);
            let rate = rate(m * k * n, || kernel.gemm(shape, &a, &b, black_box(&mut c)));
            out.rate(&format!("gemm {m} x {k} x {n}"), rate, "G mul-add/s")?;
        }
        for (name, geometry) in convolutions() {
            let [height, width] = geometry.output();
            let per_group = geometry.in_channels / geometry.groups;
            let taps = geometry.out_channels * per_group * geometry.kernel[0] * geometry.kernel[1];
            let x = random(geometry.in_channels * geometry.input[0] * geometry.input[1]);
            let (w, mut y) = (random(taps), vec![0; geometry.out_channels * height * width]);
            let rate = rate(taps * height * width, || kernel.conv(&geometry, 1, &x, &w, black_box(&mut y)));
            out.rate(&format!("conv {name}"), rate, "G mul-add/s")?;
        }
        let [x, y, z, t] = [(); 4].map(|()| random(1 << 12));
        let planes = kernel.to_planes(&x, 0..64);
        let bits = &planes[..x.len() / 64];
        let mut prss = Prss::new(Key::default(), Key::default());
        let mut masked = x.clone();
        let rates = [
            ("to_planes, 64", rate(x.len(), || drop(black_box(kernel.to_planes(&x, 0..64))))),
            ("from_planes, 64", rate(x.len(), || drop(black_box(kernel.from_planes::<u64>(&planes, x.len()))))),
            ("from_planes, 1", rate(x.len(), || drop(black_box(kernel.from_planes::<u64>(bits, x.len()))))),
            ("copy", rate(x.len(), || black_box(&mut masked).copy_from_slice(black_box(&x)))),
            ("mask", rate(x.len(), || prss.next_op().mask::<Arithmetic, u64>([true; 2], black_box(&mut masked)))),
            ("mul", rate(x.len(), || drop(black_box(kernel.cross_product::<Arithmetic, u64>([&x, &y], [&z, &t]))))),
            ("and", rate(x.len(), || drop(black_box(kernel.cross_product::<Boolean, u64>([&x, &y], [&z, &t]))))),
        ];
        for (name, rate) in rates {
            out.rate(name, rate, "G words/s")?;
        }
        extension::<Field>(&mut out, kernel, "GF(2^64)")?;
        extension::<Galois<u16, 48>>(&mut out, kernel, "Z_2^16[X], 48")?;
        extension::<Galois<u32, 48>>(&mut out, kernel, "Z_2^32[X], 48")?;
        extension::<Galois<u64, 48>>(&mut out, kernel, "Z_2^64[X], 48")?;
    }
    Ok(())
}

struct Output {
    out: StdoutLock<'static>,
    json: bool,
    kernel: Kernel,
}

impl Output {
    fn heading(&mut self) -> anyhow::Result<()> {
        if !self.json {
            writeln!(self.out, "{}", self.kernel)?;
        }
        Ok(())
    }

    fn rate(&mut self, operation: &str, rate: f64, unit: &str) -> anyhow::Result<()> {
        if self.json {
            let kernel = self.kernel.to_string();
            let line = serde_json::json!({ "kernel": kernel, "operation": operation, "rate": rate, "unit": unit });
            writeln!(self.out, "{line}")?;
        } else {
            writeln!(self.out, "  {operation:29} {rate:7.2} {unit}")?;
        }
        Ok(())
    }
}

/// The operations that dominate the checks of active security.
fn extension<E: Extension>(out: &mut Output, kernel: Kernel, name: &str) -> anyhow::Result<()> {
    const ROWS: usize = 64;
    const COLUMNS: usize = 256;
    let words = |n: usize| random(n).into_iter().map(E::Word::from_u64).collect::<Vec<_>>();
    let (values, weights) = (words(ROWS * COLUMNS), E::challenges(&random(COLUMNS)));
    let (factors, mut sums) = (words(ROWS * E::WORDS), words(ROWS * E::WORDS));
    let mut lifted = E::lift(kernel, &values, &factors);
    let (elements, mut sum) = (lifted.len() / E::WORDS, words(E::WORDS));
    let eight = &factors[..8 * E::WORDS];
    let other = lifted.clone();
    let (base, unit) = (values.len() * E::LANES, "base values");
    let rates = [
        ("weighted sums", unit, rate(base, || E::add_weighted_sums(kernel, &values, &weights, black_box(&mut sums)))),
        ("lift", unit, rate(base, || drop(black_box(E::lift(kernel, &values, &factors))))),
        ("weigh", "elements", rate(elements, || E::weigh(kernel, black_box(&mut lifted), &weights))),
        ("inner", "elements", rate(elements, || E::add_inner(kernel, &other, &other, black_box(&mut sum)))),
        ("fold by 8", "elements", rate(elements, || drop(black_box(E::fold(kernel, &other, eight))))),
    ];
    for (operation, unit, rate) in rates {
        out.rate(&format!("{name} {operation}"), rate * 1e3, &format!("M {unit}/s"))?;
    }
    Ok(())
}

/// Layers of the models in this project.
fn convolutions() -> [(&'static str, ConvGeometry); 4] {
    let square = |channels, groups, size, stride| ConvGeometry {
        in_channels: channels,
        out_channels: channels,
        groups,
        input: [size, size],
        kernel: [3, 3],
        stride: [stride, stride],
        dilation: [1, 1],
        pad_begin: [1, 1],
        pad_end: [1, 1],
    };
    let line =
        ConvGeometry { input: [1, 27], kernel: [1, 5], pad_begin: [0, 2], pad_end: [0, 2], ..square(128, 1, 0, 1) };
    [
        ("128, 5 on 27", line),
        ("64, 3x3 on 32x32", square(64, 1, 32, 1)),
        ("64, 3x3 on 28x28 by 2", square(64, 1, 28, 2)),
        ("depthwise 64, 3x3, 32x32", square(64, 64, 32, 1)),
    ]
}

fn random(len: usize) -> Vec<u64> {
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    (0..len).map(|_| rng.next_u64()).collect()
}

/// Billions of units per second, in the fastest run within half a second.
fn rate(units: usize, mut run: impl FnMut()) -> f64 {
    let (start, mut fastest) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed());
    }
    units as f64 / fastest.as_nanos() as f64
}
