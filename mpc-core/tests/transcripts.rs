//! What a single party sees does not depend on the secrets.
//!
//! The party under test knows two components of each secret and two of the three keys, all fixed here. For every secret
//! of a small ring, what it receives must be uniform, and so must the differences between what it receives and
//! everything else it received or sent (which betray a mask used twice). Everything is seeded: a failure is a failure
//! every time.

use std::sync::{Arc, Mutex};

use mpc_core::error::Result;
use mpc_core::kernel::ConvGeometry;
use mpc_core::link::round;
use mpc_core::network::Network;
use mpc_core::protocol::compare::Width;
use mpc_core::protocol::thresholds::reached;
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{
    argmax::argmax, compare, convert, lift::lift, pool, product, relu::relu, round::round, truncate::truncate,
};
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor, Word};
use mpc_core::security::Passive;
use mpc_core::sharing::{InputRange, RangedShare, Share};
use mpc_core::testing::{Hook, Tap, geometry, mesh, party, run_parties};
use mpc_core::{Party, Role};
use ndarray::IxDyn;

/// Elements in one run, hence samples of the view.
const SAMPLES: usize = 1 << 14;

/// A message of the party under test: received or sent.
struct Seen {
    received: bool,
    bytes: Vec<u8>,
}

/// What `observer` receives and sends while the parties run `protocol` on `SAMPLES` copies of each secret.
fn view<D: Domain, W: Word>(
    observer: Role,
    secrets: &[W],
    shape: &[usize],
    protocol: &(impl Fn(&mut Party, &[Share<D, W>]) -> Result<()> + Sync),
) -> Vec<Seen> {
    let (known, seen) = ([W::from_u64(0x35b1), W::from_u64(0xc1d6)], Arc::new(Mutex::new(Vec::new())));
    let shares = |role: Role| -> Vec<Share<D, W>> {
        let component = |secret: W, slot: Role| {
            // The observer holds the components `observer` and `observer.next()`; the third hides the secret.
            let value = match (slot.index() + 3 - observer.index()) % 3 {
                2 => D::sub(D::sub(secret, known[0]), known[1]),
                held => known[held],
            };
            Tensor::from_elem(IxDyn(shape), value)
        };
        secrets.iter().map(|&s| Share::new(component(s, role), component(s, role.next()))).collect()
    };
    let parties = mesh().map(|network| {
        if network.role() != observer {
            return party(network, 11, Box::new(Passive));
        }
        let seen = seen.clone();
        let hook: Hook = Arc::new(move |message| {
            let entry = Seen { received: message.to == observer, bytes: message.bytes.to_vec() };
            seen.lock().expect("no panic while locked").push(entry);
        });
        party(Tap::new(network, hook), 11, Box::new(Passive))
    });
    let results = run_parties(parties, |party| {
        let shares = shares(party.role());
        protocol(party, &shares)
    });
    results.into_iter().for_each(|r| r.expect("an honest run succeeds"));
    Arc::into_inner(seen).expect("all taps are gone").into_inner().expect("no panic while locked")
}

/// Chi-square of bytes against the uniform distribution: 255 degrees of freedom, standard deviation 22.6.
fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
    let (mut counts, mut n) = ([0u32; 256], 0.0);
    bytes.for_each(|b| {
        counts[b as usize] += 1;
        n += 1.0;
    });
    let expected = n / 256.0;
    counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum()
}

/// The first thing in the view that is not uniform, or else.
fn flaw(view: &[Seen]) -> Option<String> {
    let uniform = |bytes: &mut dyn Iterator<Item = u8>| chi_square(bytes) < 255.0 + 7.0 * 22.6;
    for (i, a) in view.iter().enumerate().filter(|(_, m)| m.received) {
        assert!(a.bytes.len() >= 1024, "enough samples to judge");
        if !uniform(&mut a.bytes.iter().copied()) {
            return Some(format!("message {i} is not uniform"));
        }
        for (j, b) in view.iter().enumerate().filter(|(j, b)| *j != i && b.bytes.len() == a.bytes.len()) {
            let pairs = || a.bytes.iter().zip(&b.bytes);
            if !uniform(&mut pairs().map(|(&a, &b)| a ^ b)) || !uniform(&mut pairs().map(|(&a, &b)| a.wrapping_sub(b)))
            {
                return Some(format!("messages {i} and {j} are related"));
            }
        }
    }
    None
}

/// Every observer, every secret (or pair of secrets) of `secrets`.
fn assert_private<D: Domain, W: Word>(
    name: &str,
    secrets: &[Vec<W>],
    shape: &[usize],
    protocol: impl Fn(&mut Party, &[Share<D, W>]) -> Result<()> + Sync,
) {
    for observer in Role::ALL {
        for secrets in secrets {
            let view = view(observer, secrets, shape, &protocol);
            if let Some(flaw) = flaw(&view) {
                panic!("{name}: {observer} with secrets {secrets:x?}: {flaw}");
            }
        }
    }
}

/// All 4-bit numbers, signed, on the 8-bit ring.
fn nibbles() -> Vec<Vec<u8>> {
    (-8i8..8).map(|x| vec![x as u8]).collect()
}

fn some_pairs() -> Vec<Vec<u8>> {
    [(0, 0), (1, 0), (-8, 7), (7, -8), (-1, -1), (3, 5)].map(|(a, b): (i8, i8)| vec![a as u8, b as u8]).to_vec()
}

#[test]
fn products() {
    assert_private("mul", &some_pairs(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        product::mul(p, &s[0], &s[1]).map(drop)
    });
    let bits = [0u64, 1, u64::MAX].map(|x| vec![x, u64::MAX]);
    assert_private("and", &bits, &[1, SAMPLES / 64 * 8], |p, s: &[Share<Boolean, u64>]| {
        product::mul(p, &s[0], &s[1]).map(drop)
    });
    assert_private("dot", &bits, &[3, SAMPLES / 64 * 8], |p, s: &[Share<Boolean, u64>]| {
        p.round(|round| product::send_dot(round, &s[0], &s[1])).map(drop)
    });
    let words = [(0u64, 0u64), (1, u64::MAX)].map(|(x, y)| vec![x, y]);
    assert_private("matmul", &words, &[32, 32], |p, s: &[Share<Arithmetic, u64>]| {
        product::matmul(p, &s[0], &s[1]).map(drop)
    });
    let geometry = ConvGeometry { pad_begin: [4, 4], pad_end: [3, 3], ..geometry([8, 8], [8, 8], [8, 8]) };
    assert_private("conv", &words, &[8, 8, 8, 8], |p, s: &[Share<Arithmetic, u64>]| {
        product::conv(p, &geometry, &s[0], &s[1]).map(drop)
    });
}

#[test]
fn comparison() {
    assert_private("msb", &nibbles(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| compare::msb(p, &s[0], 6).map(drop));
}

#[test]
fn truncation() {
    assert_private("truncate", &nibbles(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        truncate(p, &s[0], 2).map(drop)
    });
}

#[test]
fn rounding() {
    assert_private("round", &nibbles(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| round(p, &s[0], 3).map(drop));
}

#[test]
fn conversions() {
    let bits = [0u64, u64::MAX, 0xaaaa_aaaa_aaaa_aaaa].map(|x| vec![x]);
    assert_private("to_arithmetic", &bits, &[1, SAMPLES / 64], |p, s: &[Share<Boolean, u64>]| {
        convert::to_arithmetic::<u8>(p, &s[0], SAMPLES).map(drop)
    });
    // Secrets of the whole word, of which the lift takes the lowest four bits of each component.
    let range = InputRange::holding(4.0, 0);
    let components: Vec<Vec<u64>> = (0..1 << range.component_bits()).map(|x| vec![x]).collect();
    assert_private("lift", &components, &[SAMPLES], |p, s: &[Share<Arithmetic, u64>]| {
        lift(p, &RangedShare::new(s[0].own(), s[0].next(), range)).map(drop)
    });
    assert_private("inject", &nibbles(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        for bit in [0, u64::MAX] {
            let bit = Share::public(p.role(), &Tensor::from_elem(IxDyn(&[1, SAMPLES / 64]), bit));
            convert::inject(p, &bit, &s[0])?;
            convert::Injection::of(p, s[0].clone())?.by(p, &bit)?;
            convert::Injection::<u8>::of_ones(p, SAMPLES)?.by(p, &bit)?;
        }
        Ok(())
    });
}

#[test]
fn layers() {
    assert_private("relu", &nibbles(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        relu(p, &s[0], Width::exact(5), 2, None).map(drop)
    });
    assert_private("max", &some_pairs(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        pool::max(p, s, Width::exact(5), &Levels::tournament(2)).map(drop)
    });
    assert_private("max and relu", &some_pairs(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        pool::max_relu(p, s, Width { bits: 5, drop: 1 }, 2, &Levels::all_pairs(2)).map(drop)
    });
    assert_private("argmax", &nibbles(), &[SAMPLES / 4, 4], |p, s: &[Share<Arithmetic, u8>]| {
        argmax(p, &s[0], Width::exact(5), &Levels::all_pairs(4)).map(drop)
    });
    assert_private("argmax in two levels", &nibbles(), &[SAMPLES / 2, 4], |p, s: &[Share<Arithmetic, u8>]| {
        argmax(p, &s[0], Width::exact(5), &Levels::tournament(4)).map(drop)
    });
}

#[test]
fn thresholds() {
    let words = [0u64, 5, 5u64.wrapping_neg()].map(|x| vec![x]);
    assert_private("reached", &words, &[SAMPLES], |p, s: &[Share<Arithmetic, u64>]| {
        reached(p, &s[0], &[-2, 3], Width::exact(5)).map(drop)
    });
}

#[test]
fn masked_opening() {
    assert_private("open_masked", &nibbles(), &[SAMPLES], |p, s: &[Share<Arithmetic, u8>]| {
        mpc_core::testing::protocols::open_masked(p, &s[0]).map(drop)
    });
}

/// The judge itself must see what a careless protocol reveals.
#[test]
fn careless_protocols_are_found() {
    let tell = |p: &mut Party, to: Role, words: &[u8]| {
        let from = Role::ALL.into_iter().find(|&role| role != to && role != p.role()).expect("three parties");
        p.link().round(|round| round.send(to, words).map(|()| round::words::<u8>(from, SAMPLES))).map(drop)
    };
    let bare = |p: &mut Party, s: &[Share<Arithmetic, u8>]| {
        let (role, x) = (p.role(), s[0].own().as_slice().expect("standard layout"));
        tell(p, role.prev(), x)
    };
    let mask_used_twice = |p: &mut Party, s: &[Share<Arithmetic, u8>]| {
        let role = p.role();
        let mask = mpc_core::testing::protocols::random::<Arithmetic, u8>(p, &[SAMPLES]);
        for share in [&s[0], &s[0].scale(3)] {
            let masked = share.add(&mask);
            tell(p, role.next(), masked.own().as_slice().expect("standard layout"))?;
        }
        Ok(())
    };
    for observer in Role::ALL {
        assert!(flaw(&view(observer, &[5], &[SAMPLES], &bare)).is_some());
        assert!(flaw(&view(observer, &[5], &[SAMPLES], &mask_used_twice)).is_some());
    }
}
