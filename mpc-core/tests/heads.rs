//! What is made of a network's outputs, against float64: cosines, verdicts, matches, labels with a threshold,
//! templates.

use std::slice::from_ref;

use mpc_core::Party;
use mpc_core::inference::head::{Head, Output, Templates, Told};
use mpc_core::inference::secure::{Weights, evaluate};
use mpc_core::model::Manifest;
use mpc_core::model::manifest::Reveal;
use mpc_core::protocol::unit::{max_bits, unit};
use mpc_core::ring::{Arithmetic, Boolean, Tensor, fixed};
use mpc_core::session::{Conditions, Mode};
use mpc_core::sharing::{ArithmeticShare, Share, reconstruct};
use mpc_core::testing::{deal, deal_ranged, identity, parties, revealed, run_verified, three_parties};
use mpc_core::wire::message::Question;
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

const MODES: [Mode; 2] = [Mode::Passive, Mode::Active];

struct Random(ChaCha12Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    fn uniform(&mut self, range: f64) -> f64 {
        (f64::from(self.0.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) * range
    }

    fn rows(&mut self, n: usize, size: usize, range: f64) -> Vec<Vec<f64>> {
        (0..n).map(|_| (0..size).map(|_| self.uniform(range)).collect()).collect()
    }
}

fn encode(rows: &[Vec<f64>], shape: &[usize]) -> Tensor<u64> {
    let words = rows.iter().flatten().map(|&x| fixed::encode(x, 16).expect("a number in range")).collect();
    Tensor::from_shape_vec(shape, words).expect("as many as the shape says")
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (length(a) * length(b))
}

/// Evaluates a head on rows of numbers; each of `templates` is dealt as it is.
fn run(
    mode: Mode,
    rows: &[Vec<f64>],
    windows: &[u32],
    templates: &[Vec<f64>],
    head: impl for<'a> Fn(&'a Templates) -> Head<'a> + Sync,
) -> [Output; 3] {
    let (size, most) = (rows[0].len(), windows.iter().copied().max().unwrap_or(1));
    let graph = identity(size, most);
    let input = deal_ranged(&encode(rows, &[rows.len(), size]), graph.input_range());
    let dealt: Vec<[ArithmeticShare; 3]> =
        templates.iter().map(|row| deal(&encode(std::slice::from_ref(row), &[size]))).collect();
    let evaluate = |party: &mut Party| {
        let mine = party.role().index();
        let rows: Vec<ArithmeticShare> = dealt.iter().map(|shares| shares[mine].clone()).collect();
        let templates = Templates::new(size, &rows);
        let weights = Weights::new(Vec::new());
        let head = head(&templates);
        evaluate(party, &graph, &weights, from_ref(&input[mine]), windows, &head, Conditions::LAN)
    };
    let outputs = run_verified(parties(1, mode), evaluate, |_, output| Ok(output.unverified()));
    outputs.map(|output| output.expect("an output"))
}

fn positions(outputs: [Output; 3]) -> Vec<u64> {
    let labels = outputs.map(|output| match output {
        Output::Labels(labels) => labels,
        other => panic!("positions were asked for, not {other:?}"),
    });
    reconstruct::<Boolean, u64>(&labels).expect("equal copies").into_iter().collect()
}

fn numbers(outputs: [Output; 3], frac_bits: u32) -> Vec<f64> {
    let shares = outputs.map(|output| match output {
        Output::Scores(mut shares) => shares.swap_remove(0),
        Output::Template(share) => share,
        other => panic!("numbers were asked for, not {other:?}"),
    });
    reconstruct(&shares).expect("equal copies").iter().map(|&word| fixed::decode(word, frac_bits)).collect()
}

fn unit_row(row: &[f64]) -> Vec<f64> {
    row.iter().map(|x| x / length(row)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_of_any_scale_get_the_length_one(seed: u64, size in 1usize..130, scale in 0u32..26) {
        let bits = scale.min(max_bits(size)).max(3);
        let mut random = Random::new(seed);
        let rows = random.rows(3, size, f64::from(bits).exp2() - 1.0);
        let integers: Vec<u64> = rows.iter().flatten().map(|&x| x as i64 as u64).collect();
        let x = deal::<Arithmetic, u64>(&Tensor::from_shape_vec(&[3, size][..], integers.clone()).unwrap());
        let got = three_parties(seed as u8, |party| unit(party, &x[party.role().index()], bits));
        let got = revealed(got);
        for (row, got) in integers.chunks_exact(size).zip(got.as_slice().unwrap().chunks_exact(size)) {
            let row: Vec<f64> = row.iter().map(|&x| x as i64 as f64).collect();
            for (x, &got) in row.iter().zip(got) {
                let (expected, got) = (if length(&row) > 0.0 { x / length(&row) } else { 0.0 }, fixed::decode(got, 16));
                prop_assert!((got - expected).abs() < 1.0 / 16384.0, "{} for {}, seed {}", got, expected, seed);
            }
        }
    }

    #[test]
    fn pairs_and_matches_are_those_of_float64(seed: u64, size in 2usize..65, count in 1usize..40, threshold in -0.5f64..0.9) {
        let mut random = Random::new(seed);
        let templates: Vec<Vec<f64>> = random.rows(count, size, 1.0).iter().map(|row| unit_row(row)).collect();
        let mut rows = random.rows(4, size, 8.0);
        // The first input is close to a template, the second is the first one at another scale.
        rows[0] = templates[count / 2].iter().map(|x| 5.0 * x + 0.01).collect();
        rows[1] = rows[0].iter().map(|x| 0.5 * x).collect();
        let cosines = |a: usize, b: usize| cosine(&rows[a], &rows[b]);
        let mode = MODES[(seed % 2) as usize];

        let bits = (seed % 9) as u32;
        let revealed = numbers(run(mode, &rows, &[1; 4], &[], |_| Head::Pairs(Told::Cosines(bits))), bits);
        for (got, expected) in revealed.iter().zip([cosines(0, 1), cosines(2, 3)]) {
            let most = 1e-3 + 0.5 / f64::from(bits).exp2();
            prop_assert!((got - expected).abs() < most, "{} for {} with {} bits, seed {}", got, expected, bits, seed);
        }
        let verdicts = positions(run(mode, &rows, &[1; 4], &[], |_| Head::Pairs(Told::Largest(threshold))));
        for (verdict, cosine) in verdicts.iter().zip([cosines(0, 1), cosines(2, 3)]) {
            prop_assert!((cosine - threshold).abs() < 1e-3 || (*verdict == 0) == (cosine >= threshold), "seed {}", seed);
        }

        let matches = positions(run(mode, &rows, &[1; 4], &templates, |templates| {
            Head::Match { templates, place: None, told: Told::Largest(threshold) }
        }));
        for (row, place) in rows.iter().zip(matches) {
            let cosines: Vec<f64> = templates.iter().map(|template| cosine(row, template)).collect();
            let best = cosines.iter().copied().fold(threshold, f64::max);
            let found = cosines.get(place as usize).copied().unwrap_or(threshold);
            prop_assert!(place <= count as u64 && best - found < 1e-3, "{} of {}, seed {}", found, best, seed);
        }
        let one = positions(run(mode, &rows, &[1; 4], &templates, |templates| {
            Head::Match { templates, place: Some(count / 2), told: Told::Largest(threshold) }
        }));
        for (row, verdict) in rows.iter().zip(one) {
            let cosine = cosine(row, &templates[count / 2]);
            prop_assert!((cosine - threshold).abs() < 1e-3 || (verdict == 0) == (cosine >= threshold), "seed {}", seed);
        }
    }

    #[test]
    fn a_template_is_the_mean_of_directions(seed: u64, size in 1usize..65, count in 1usize..6) {
        let rows = Random::new(seed).rows(count, size, 20.0);
        let mean: Vec<f64> = (0..size).map(|i| rows.iter().map(|row| row[i] / length(row)).sum()).collect();
        // Directions that cancel have no mean.
        prop_assume!(length(&mean) > 0.1);
        let windows = vec![1; count];
        let template = numbers(run(MODES[(seed % 2) as usize], &rows, &windows, &[], |_| Head::Template), 16);
        for (got, expected) in template.iter().zip(unit_row(&mean)) {
            prop_assert!((got - expected).abs() < 1e-2, "{} for {}, seed {}", got, expected, seed);
        }
    }

    /// The sums are exact here, so that nothing but the rounding differs from float64; and it does not.
    #[test]
    fn scores_are_rounded_exactly(seed: u64, classes in 1usize..40, frac_bits in 0u32..20) {
        let windows = [1u32, 3, 2];
        let rows = Random::new(seed).rows(6, classes, 15.0);
        let exact = |x: f64| fixed::decode(fixed::encode(x, 16).expect("a number in range"), 16);
        let mut parts = rows.as_slice();
        let expected: Vec<f64> = windows.iter().flat_map(|&n| {
            let part = parts.split_off(..n as usize).expect("as many rows as windows");
            (0..classes).map(|i| part.iter().map(|row| exact(row[i])).sum())
        }).map(|sum: f64| fixed::round(sum, frac_bits.min(16))).collect();
        for mode in MODES {
            let scores = numbers(run(mode, &rows, &windows, &[], |_| Head::Scores { frac_bits }), frac_bits.min(16));
            prop_assert_eq!(&scores, &expected, "{} bits, seed {}", frac_bits, seed);
        }
        let outputs = numbers(run(Mode::Passive, &rows, &windows, &[], |_| Head::Outputs), 16);
        let rounded: Vec<f64> = outputs.iter().map(|&x| fixed::round(x, frac_bits.min(16))).collect();
        prop_assert_eq!(&rounded, &expected);
    }

    #[test]
    fn unknown_wins_where_no_score_exceeds_its_threshold(seed: u64, classes in 2usize..40, threshold in -20.0f64..20.0) {
        let (mut random, windows) = (Random::new(seed), [1u32, 3, 2]);
        let rows = random.rows(6, classes, 20.0);
        let mut first = 0;
        let sums: Vec<Vec<f64>> = windows.iter().map(|&n| {
            let part = &rows[first..][..n as usize];
            first += n as usize;
            (0..classes).map(|i| part.iter().map(|row| row[i]).sum()).collect()
        }).collect();
        let labels = positions(run(MODES[(seed % 2) as usize], &rows, &windows, &[], |_| Head::Label { unknown: Some(threshold) }));
        for ((sums, n), label) in sums.iter().zip(windows).zip(labels) {
            let least = threshold * f64::from(n);
            let best = sums.iter().copied().fold(least, f64::max);
            let found = sums.get(label as usize).copied().unwrap_or(least);
            prop_assert!(label <= classes as u64 && best - found < 1e-2, "{} of {}, seed {}", found, best, seed);
        }
    }
}

#[test]
fn a_row_of_zeros_is_like_nothing() {
    let rows = vec![vec![0.0; 8], vec![1.0; 8]];
    let cosine = numbers(run(Mode::Active, &rows, &[1, 1], &[], |_| Head::Pairs(Told::Cosines(8))), 8);
    assert_eq!(cosine, [0.0]);
}

#[test]
fn questions_that_do_not_suit_the_model_are_refused() {
    let text = |task: &str, labels: &str, rest: &str| {
        format!(
            "format = 1\nname = \"m\"\ntitle = \"m\"\ntask = \"{task}\"\nlabels = {labels}\nreveal = \"label\"\nsecurity = \"passive\"\n\
             licence = \"open\"\n[preprocess]\nkind = \"image\"\nchannels = \"grey\"\nmean = [0.0]\nstd = [1.0]\n\
             [input]\nshape = [1, 2, 2]\nrange = 2.0\n[bounds]\npolicy = \"proved\"\n{rest}"
        )
    };
    let labels = Manifest::parse(&text("classify", "[\"a\", \"b\"]", "[unknown]\nthreshold = 1.0")).unwrap();
    let face =
        Manifest::parse(&text("face", "[\"same\", \"different\"]", "[embedding]\nsize = 2\nthreshold = 0.5")).unwrap();
    let one = Templates::rehearsed(2, 1);
    let (gallery, some) = ([0; 32], Some(&one));
    let graph = identity(2, 1);
    let head =
        |question: Question, manifest, inputs, templates| Head::new(&question, manifest, &graph, inputs, templates);
    assert!(matches!(head(Question::Label, &labels, 1, None).unwrap(), Head::Label { unknown: Some(_) }));
    for question in [Question::Same, Question::Enrol, Question::Who { gallery }, Question::Is { gallery, place: 0 }] {
        let error = head(question.clone(), &labels, 2, some).unwrap_err().to_string();
        assert!(error.contains("compares nothing"), "{error}");
        assert!(head(question, &face, 2, some).is_ok());
    }
    for (question, inputs, templates, reason) in [
        (Question::Label, 1, None, "no labels"),
        (Question::Same, 3, None, "left over"),
        (Question::Who { gallery }, 1, None, "no such gallery"),
        (Question::Is { gallery, place: 1 }, 1, some, "place 1"),
    ] {
        let error = head(question, &face, inputs, templates).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let revealing = |manifest: &Manifest, bits| {
        let manifest = Manifest { reveal: Reveal::Scores, reveal_bits: bits, ..manifest.clone() };
        manifest.validate().expect("a valid manifest");
        manifest
    };
    for (bits, left) in [(None, 8), (Some(0), 0), (Some(3), 3)] {
        let (labels, face) = (revealing(&labels, bits), revealing(&face, bits));
        let scores = Head::new(&Question::Label, &labels, &graph, 1, None).unwrap();
        assert!(matches!(scores, Head::Scores { frac_bits } if frac_bits == left), "{scores:?}");
        let same = Head::new(&Question::Same, &face, &graph, 2, None).unwrap();
        assert!(matches!(same, Head::Pairs(Told::Cosines(bits)) if bits == left), "{same:?}");
        let is = Head::new(&Question::Is { gallery, place: 0 }, &face, &graph, 1, some).unwrap();
        assert!(matches!(is, Head::Match { told: Told::Cosines(bits), .. } if bits == left), "{is:?}");
        let who = Head::new(&Question::Who { gallery }, &face, &graph, 1, some).unwrap();
        assert!(matches!(who, Head::Match { told: Told::Largest(_), .. }), "no cosines of a whole gallery: {who:?}");
    }
    let share = Share::<Arithmetic, u64>::zeros(&[2]);
    assert_eq!(Templates::new(2, &[share.clone(), share]).len(), 2);
}
