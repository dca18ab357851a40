//! Every protocol against plain arithmetic: exhaustively on the 8-bit ring, at random on Z_2^64.

use std::sync::Barrier;

use mpc_core::error::Result;
use mpc_core::inference::head::Output;
use mpc_core::protocol::compare::{self, Width};
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{argmax::argmax, convert, open, pool, product, relu::relu, round::round, truncate::truncate};
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor, Word};
use mpc_core::session::Mode;
use mpc_core::sharing::{Share, reconstruct};
use mpc_core::testing::{computed, deal, parties, run_verified, tensor, three_parties};
use mpc_core::{Error, Party, session::Meter};
use proptest::prelude::*;

/// Runs a protocol on fresh shares of `inputs` and reconstructs; also what each party spent.
fn run<D: Domain, W: Word, E: Domain, V: Word>(
    seed: u8,
    inputs: &[Tensor<W>],
    protocol: impl Fn(&mut Party, &[Share<D, W>]) -> Result<Share<E, V>> + Sync,
) -> (Tensor<V>, [Meter; 3]) {
    let dealt: Vec<[Share<D, W>; 3]> = inputs.iter().map(deal).collect();
    let results = three_parties(seed, |party| {
        let shares: Vec<_> = dealt.iter().map(|d| d[party.role().index()].clone()).collect();
        let share = protocol(party, &shares)?;
        Ok((share, party.meter()))
    });
    let results = results.map(|r| r.expect("an honest run succeeds"));
    let meters = results.each_ref().map(|(_, meter)| *meter);
    (reconstruct(&results.map(|(share, _)| share)).expect("consistent shares"), meters)
}

/// Every value of the 8-bit ring in [-2^(bits-1), 2^(bits-1)), many times over, so that sharings vary.
fn all_bytes(bits: u32, times: usize) -> Vec<u8> {
    let half = 1i32 << (bits - 1);
    (0..times).flat_map(|_| (-half..half).map(|x| x as u8)).collect()
}

#[test]
fn products_on_the_whole_8_bit_ring() {
    let pairs: Vec<(u8, u8)> = (0..=255).flat_map(|a| (0..=255).map(move |b| (a, b))).collect();
    let x = tensor(&[pairs.len()], pairs.iter().map(|p| p.0).collect());
    let y = tensor(&[pairs.len()], pairs.iter().map(|p| p.1).collect());
    let (z, meters) = run::<Arithmetic, u8, Arithmetic, u8>(1, &[x, y], |p, s| product::mul(p, &s[0], &s[1]));
    assert!(z.iter().zip(&pairs).all(|(&z, &(a, b))| z == a.wrapping_mul(b)));
    assert_eq!(meters, [Meter { rounds: 1, bytes_sent: pairs.len() as u64 }; 3]);
}

#[test]
fn sign_on_every_width_of_the_8_bit_ring() {
    for (k, rounds) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 4)] {
        let values = all_bytes(k, 40);
        let x = tensor(&[values.len()], values.clone());
        let (sign, meters) = run::<Arithmetic, u8, Boolean, u64>(k as u8, &[x], |p, s| compare::msb(p, &s[0], k));
        for (i, &v) in values.iter().enumerate() {
            assert_eq!(sign.as_slice().unwrap()[i / 64] >> (i % 64) & 1, u64::from((v as i8) < 0), "k = {k}, x = {v}");
        }
        assert!(meters.iter().all(|m| m.rounds == rounds), "k = {k}: {meters:?}");
    }
}

#[test]
fn truncation_is_never_off_by_more_than_one_and_a_half() {
    for m in 1..=5 {
        // |x| < 3 * 2^4 on the 8-bit ring.
        let limit = 47i32;
        let values: Vec<i32> = (0..200).flat_map(|_| -limit..=limit).collect();
        let x = tensor(&[values.len()], values.iter().map(|&v| v as u8).collect());
        let (y, meters) = run::<Arithmetic, u8, Arithmetic, u8>(m as u8, &[x], |p, s| truncate(p, &s[0], m));
        let mut seen = std::collections::BTreeSet::new();
        for (&v, &y) in values.iter().zip(&y) {
            let error = f64::from(y as i8) - f64::from(v) / f64::from(1 << m);
            assert!(error > -1.5 && error <= 1.5, "m = {m}, x = {v}: {}", y as i8);
            seen.insert(i32::from(y as i8) - (v + (1 << (m - 1)) - 1).div_euclid(1 << m));
        }
        // Three remainders of one bit never add up to two carries.
        let roundings = if m == 1 { vec![0, 1] } else { vec![-1, 0, 1] };
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), roundings, "the rounding depends on the shares, m = {m}");
        assert!(meters.iter().all(|m| m.rounds == 2));
    }
}

#[test]
fn truncation_at_the_edges_of_z64() {
    let limit = (3i64 << 60) - 1;
    let values = [0, 1, -1, limit, -limit, 65536, -65536, 12345678912345, -98765432198765].repeat(100);
    let x = tensor(&[values.len()], values.iter().map(|&v| v as u64).collect());
    let (y, _) = run::<Arithmetic, u64, Arithmetic, u64>(9, &[x], |p, s| truncate(p, &s[0], 16));
    for (&v, &y) in values.iter().zip(&y) {
        let error = (i128::from(y as i64) << 16) - i128::from(v);
        assert!(2 * error > -3 << 16 && 2 * error <= 3 << 16, "{v} became {}", y as i64);
    }
}

/// The nearest integer to v / 2^m, and of two that are equally near the lower one.
fn nearest(v: i64, m: u32) -> i64 {
    let v = i128::from(v) + (1 << (m - 1)) - 1;
    v.div_euclid(1 << m) as i64
}

#[test]
fn rounding_is_exact_however_a_number_is_shared() {
    for (m, rounds) in [(1, 3), (2, 4), (3, 5), (4, 5), (5, 6)] {
        let limit = 47i32;
        let values: Vec<i32> = (0..500).flat_map(|_| -limit..=limit).collect();
        let x = tensor(&[values.len()], values.iter().map(|&v| v as u8).collect());
        let (y, meters) = run::<Arithmetic, u8, Arithmetic, u8>(m as u8, &[x], |p, s| round(p, &s[0], m));
        for (&v, &y) in values.iter().zip(&y) {
            assert_eq!(i64::from(y as i8), nearest(v.into(), m), "m = {m}, x = {v}");
        }
        assert!(meters.iter().all(|meter| meter.rounds == rounds), "m = {m}: {meters:?}");
    }
}

#[test]
fn rounding_is_exact_at_the_edges_of_z64() {
    for m in [1, 8, 16, 24, 40, 61] {
        let limit = (3i64 << 60) - 1;
        let half = 1i64 << (m - 1);
        let values = [0, 1, -1, half, -half, half + 1, -half - 1, 3 * half, limit, -limit, limit / 3];
        let values: Vec<i64> = values.into_iter().filter(|v| v.abs() <= limit).collect::<Vec<_>>().repeat(40);
        let x = tensor(&[values.len()], values.iter().map(|&v| v as u64).collect());
        let (y, _) = run::<Arithmetic, u64, Arithmetic, u64>(m as u8, &[x], |p, s| round(p, &s[0], m));
        for (&v, &y) in values.iter().zip(&y) {
            assert_eq!(y as i64, nearest(v, m), "m = {m}, x = {v}");
        }
    }
}

#[test]
fn bits_become_numbers() {
    let bits: Vec<u64> = (0..10).map(|i| 0x9e37_79b9_7f4a_7c15u64.rotate_left(i)).collect();
    let n = 5 * 64 - 3;
    let planes = tensor(&[2, 5], bits.clone());
    let (numbers, meters) =
        run::<Boolean, u64, Arithmetic, u16>(3, &[planes], |p, s| convert::to_arithmetic(p, &s[0], n));
    for (i, &number) in numbers.iter().enumerate() {
        let (plane, e) = (i / n, i % n);
        assert_eq!(u64::from(number), bits[plane * 5 + e / 64] >> (e % 64) & 1);
    }
    let total: u64 = meters.iter().map(|m| m.bytes_sent).sum();
    assert_eq!(total, 3 * 2 * 2 * n as u64, "one and two elements in total for each bit");
}

#[test]
fn relu_on_the_8_bit_ring_with_and_without_ceiling() {
    let values = all_bytes(6, 100);
    let x = tensor(&[values.len()], values.clone());
    for ceiling in [None, Some(6u8)] {
        let (y, _) = run::<Arithmetic, u8, Arithmetic, u8>(5, std::slice::from_ref(&x), |p, s| {
            relu(p, &s[0], Width::exact(6), 0, ceiling)
        });
        for (&v, &y) in values.iter().zip(&y) {
            let expected = (v as i8).max(0).min(ceiling.map_or(i8::MAX, |c| c as i8));
            assert_eq!(y as i8, expected, "ceiling {ceiling:?}, x = {}", v as i8);
        }
    }
}

/// Without its lowest `drop` bits a number is off by less than 2^(drop+1) as a sign, and by less than 3 * 2^drop in an
/// order.
#[test]
fn coarse_comparisons_are_off_by_little_and_in_one_direction() {
    let (width, drop) = (Width { bits: 6, drop: 2 }, 2);
    let values = all_bytes(6, 100);
    let x = tensor(&[values.len()], values.clone());
    let (y, _) =
        run::<Arithmetic, u8, Arithmetic, u8>(21, std::slice::from_ref(&x), |p, s| relu(p, &s[0], width, 0, None));
    let mut seen = std::collections::BTreeSet::new();
    for (&v, &y) in values.iter().zip(&y) {
        let (v, y) = (v as i8, y as i8);
        assert!(y == v.max(0) || (y == 0 && v < 1 << (drop + 1)), "{v} became {y}");
        seen.insert(y != v.max(0));
    }
    assert!(seen.contains(&true), "what is compared depends on the sharing");

    let shifted = tensor(&[values.len()], values.iter().map(|&v| (v as i8).wrapping_mul(5) as u8 & 0x1f).collect());
    let (y, _) = run::<Arithmetic, u8, Arithmetic, u8>(22, &[x, shifted.clone()], |p, s| {
        pool::max(p, s, width, &Levels::tournament(2))
    });
    for ((&a, &b), &y) in values.iter().zip(&shifted).zip(&y) {
        let (a, b, y) = (a as i8, b as i8, y as i8);
        assert!(y == a || y == b, "{y} is one of the candidates {a}, {b}");
        assert!(i16::from(a.max(b)) - i16::from(y) < 3 << drop, "{y} is the larger of {a}, {b}");
    }
}

#[test]
fn select_takes_either_side() {
    let (a, b) = (tensor(&[4], vec![1u64, 2, 3, 4]), tensor(&[4], vec![50u64, 60, 70, 80]));
    let (y, _) = run::<Arithmetic, u64, Arithmetic, u64>(6, &[a, b], |p, s| {
        let bit = Share::<Boolean, u64>::public(p.role(), &tensor(&[1, 1], vec![0b0110]));
        mpc_core::testing::protocols::select(p, &bit, &s[0], &s[1])
    });
    assert_eq!(y.as_slice().unwrap(), [50, 2, 3, 80]);
}

#[test]
fn masked_opening_is_the_value_plus_the_mask() {
    let x = tensor(&[100], (0..100u64).map(|i| i * i).collect());
    let (y, meters) = run::<Arithmetic, u64, Arithmetic, u64>(7, std::slice::from_ref(&x), |p, s| {
        let (opened, mask) = mpc_core::testing::protocols::open_masked(p, &s[0])?;
        Ok(Share::public(p.role(), &opened).sub(&mask))
    });
    assert_eq!(y, x);
    assert_eq!(meters, [Meter { rounds: 1, bytes_sent: 800 }; 3]);
}

#[test]
fn a_verified_party_opens_the_value() {
    let x = tensor(&[3], vec![7u64, 8, u64::MAX]);
    let dealt = deal::<Arithmetic, u64>(&x);
    for (mode, elements) in [(Mode::Passive, 3), (Mode::Active, 6)] {
        let share = |p: &mut Party| Ok(computed(p, dealt[p.role().index()].clone()));
        let opened = run_verified(parties(8, mode), share, |verified, x| {
            let before = verified.meter();
            let opened = open::open(verified, x)?;
            let after = verified.meter();
            assert_eq!([after.rounds - before.rounds, after.bytes_sent - before.bytes_sent], [1, 8 * elements]);
            Ok(opened)
        });
        assert!(opened.into_iter().all(|o| o.as_ref() == Ok(&x)));
    }
}

#[test]
fn a_value_of_another_session_is_neither_opened_nor_released() {
    let x = deal::<Arithmetic, u64>(&tensor(&[3], vec![7u64, 8, 9]));
    let sessions = || parties(8, Mode::Active);
    let refused = |result: Result<()>| {
        let refused = matches!(&result, Err(Error::Invalid { reason, .. }) if reason.contains("another session"));
        assert!(refused, "{result:?}");
    };
    let nothing = |_: &mut Party| Ok(());
    // A refusal ends the session, so nobody asks for one while another party still verifies.
    let all_verified = Barrier::new(3);
    let ends = run_verified(sessions(), nothing, |verified, ()| {
        all_verified.wait();
        let (mine, [other, _, _]) = (x[verified.role().index()].clone(), sessions());
        refused(verified.release(computed(&other, Output::Scores(vec![mine.clone()]))).map(drop));
        refused(open::open(verified, computed(&other, mine)).map(drop));
        Ok(())
    });
    assert_eq!(ends, [Ok(()), Ok(()), Ok(())]);
}

/// Not even where somebody takes it out of the closure that it was lent to.
#[test]
fn a_branch_does_not_verify() {
    let ends = parties(8, Mode::Active).map(|mut party| {
        let [mut other, _, _] = parties(8, Mode::Active);
        let swap = move |branch: &mut Party| {
            std::mem::swap(branch, &mut other);
            Ok(other)
        };
        party.join(|_| Ok(()), swap).map(|((), branch)| branch.verify().map(drop))
    });
    for end in ends {
        assert!(matches!(&end, Ok(Err(Error::Invalid { reason, .. })) if reason.contains("a branch")), "{end:?}");
    }
}

#[test]
fn matmul_equals_the_clear_product() {
    let x = tensor(&[3, 4], (0..12u64).map(|i| i.wrapping_mul(0x1234_5678_9abc_def1)).collect());
    let y = tensor(&[4, 5], (0..20u64).map(|i| i.wrapping_sub(7)).collect());
    let (z, meters) =
        run::<Arithmetic, u64, Arithmetic, u64>(10, &[x.clone(), y.clone()], |p, s| product::matmul(p, &s[0], &s[1]));
    for i in 0..3 {
        for j in 0..5 {
            let dot = (0..4).fold(0u64, |sum, l| sum.wrapping_add(x[[i, l]].wrapping_mul(y[[l, j]])));
            assert_eq!(z[[i, j]], dot);
        }
    }
    assert_eq!(meters, [Meter { rounds: 1, bytes_sent: 15 * 8 }; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn relu_and_truncation_on_z64(seed: u8, values in prop::collection::vec(-(1i64 << 39)..1 << 39, 1..300)) {
        let x = tensor(&[values.len()], values.iter().map(|&v| v as u64).collect());
        let (y, _) = run::<Arithmetic, u64, Arithmetic, u64>(seed, &[x], |p, s| relu(p, &s[0], Width::exact(40), 16, None));
        for (&v, &y) in values.iter().zip(&y) {
            let expected = v.max(0) as f64 / 65536.0;
            prop_assert!((y as i64 as f64 - expected).abs() <= 1.5, "{} became {}", v, y as i64);
        }
    }

    #[test]
    fn argmax_is_the_first_largest_in_one_level_and_a_largest_in_several(
        seed: u8,
        rows in 1usize..9,
        classes in 1usize..20,
        levels in 1usize..6,
        values in prop::collection::vec(-20i64..20, 8 * 19),
    ) {
        let data = &values[..rows * classes];
        let x = tensor(&[rows, classes], data.iter().map(|&v| v as u64).collect());
        let (labels, _) = run::<Arithmetic, u64, Boolean, u64>(seed, &[x], |p, s| {
            argmax(p, &s[0], Width::exact(6), &Levels::new(classes, levels))
        });
        for (row, &label) in data.chunks(classes).zip(&labels) {
            let largest = row.iter().max().unwrap();
            prop_assert_eq!(row[label as usize], *largest);
            prop_assert!(levels > 1 || label as usize == row.iter().position(|v| v == largest).unwrap());
        }
    }

    #[test]
    fn maximum_of_any_number_of_candidates(
        seed: u8,
        count in 1usize..10,
        levels in 1usize..5,
        rescale in prop::option::of(0u32..6),
        values in prop::collection::vec(-1000i64..1000, 70),
    ) {
        let levels = Levels::new(count, levels);
        let candidates: Vec<_> = (0..count)
            .map(|i| tensor(&[7], values[7 * i..7 * i + 7].iter().map(|&v| v as u64).collect()))
            .collect();
        let (y, _) = run::<Arithmetic, u64, Arithmetic, u64>(seed, &candidates, |p, s| match rescale {
            None => pool::max(p, s, Width::exact(11), &levels),
            Some(rescale) => pool::max_relu(p, s, Width::exact(11), rescale, &levels),
        });
        for (j, &y) in y.iter().enumerate() {
            let expected = (0..count).map(|i| values[7 * i + j]).max().unwrap();
            match rescale {
                None | Some(0) => prop_assert_eq!(y as i64, rescale.map_or(expected, |_| expected.max(0))),
                Some(m) => prop_assert!((y as i64 as f64 - expected.max(0) as f64 / f64::from(1 << m)).abs() <= 1.5),
            }
        }
    }
}

#[test]
fn truncation_runs_in_the_shadow_of_the_comparison() {
    let n = 640;
    let x = tensor(&[n], (0..n as u64).map(|i| i << 20).collect());
    let (_, meters) =
        run::<Arithmetic, u64, Arithmetic, u64>(11, &[x], |p, s| relu(p, &s[0], Width::exact(40), 16, None));
    let total: u64 = meters.iter().map(|m| m.bytes_sent).sum();
    // Sign 109 bits; injection 2 words of 8 bytes, and 1 bit that is opened; truncation, of all parties, 5 bits and 4
    // words of 2 bytes.
    assert_eq!(total, 3 * (n as u64 * (109 + 1) / 8 + n as u64 * 16) + n as u64 * 5 / 8 + n as u64 * 4 * 2);
    assert!(meters.iter().all(|m| m.rounds == 7 + 1), "{meters:?}");
}

#[test]
fn joins_nest_and_keep_their_order() {
    let x = tensor(&[5], vec![1u64, 2, 3, 4, 5]);
    let (y, meters) = run::<Arithmetic, u64, Arithmetic, u64>(12, &[x], |p, s| {
        let s = &s[0];
        let mut sum = s.clone();
        for _ in 0..3 {
            let (outer, inner) = (s.clone(), s.clone());
            let square = move |p: &mut Party| product::mul(p, &outer, &outer);
            let cube = move |p: &mut Party| {
                let square = product::mul(p, &inner, &inner)?;
                product::mul(p, &square, &inner)
            };
            let (left, (middle, right)) = p.join(|p| product::mul(p, s, s), |p| p.join(square, cube))?;
            sum = sum.add(&left).add(&middle).add(&right);
        }
        Ok(sum)
    });
    let expected: Vec<u64> = (1..=5).map(|x| x + 3 * (2 * x * x + x * x * x)).collect();
    assert_eq!(y.as_slice().unwrap(), expected);
    assert!(meters.iter().all(|m| m.rounds == 3 * 2), "{meters:?}");
}

#[test]
fn an_error_in_one_branch_ends_the_join() {
    let outcomes = three_parties(13, |p| {
        p.join(|_| Ok(()), |_| Err::<(), _>(mpc_core::Error::Aborted("on purpose".into()))).map(drop)
    });
    assert!(outcomes.iter().all(|o| *o == Err(mpc_core::Error::Aborted("on purpose".into()))));
}
