//! A check of products masked by a random triple that nobody has verified. And none at all.

use crate::*;

without!(NotChecked: products);
// Then the previous party, which holds the cheater's errors, judges alone.
without!(JudgedAlone: openings, transcript);

/// Whether the parties accept that z = x y, when the cheater makes these errors in z and in the triple.
fn masked_by_a_triple(cheater: Role, errors: [u64; 2]) -> bool {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&[3])), deal::<Arithmetic, u64>(&vector(&[5])));
    let program = |party: &mut Party| {
        let errors = if party.role() == cheater { errors } else { [0, 0] };
        let [x, y] = [&x, &y].map(|dealt| &dealt[party.role().index()]);
        let z = wrong_product(party, x, y, errors[0])?;
        // x y + a b = z + c as one inner product of length two: its fold at t is opened, with a and b for masks.
        let (a, b) = (random(party, &[1]), random(party, &[1]));
        let c = wrong_product(party, &a, &b, errors[1])?;
        let at_0 = wrong_product(party, x, y, 0)?;
        let (dx, dy) = (a.sub(x), b.sub(y));
        let at_infinity = wrong_product(party, &dx, &dy, 0)?;
        let at_1 = z.add(&c).sub(&at_0);
        let t = coin::toss(party.link())?.next_u64();
        let (x, y) = (x.add(&dx.scale(t)), y.add(&dy.scale(t)));
        let curve = at_infinity.scale(t.wrapping_mul(t.wrapping_sub(1)));
        let claimed = at_0.add(&at_1.sub(&at_0).scale(t)).add(&curve);
        Ok([x, y, claimed].map(|share| computed(party, share)))
    };
    let judge = |verified: &mut VerifiedParty, shares: [Computed<ArithmeticShare>; 3]| {
        let [x, y, claimed] = shares.map(|share| open(verified, share));
        Ok(x?[[0]].wrapping_mul(y?[[0]]) == claimed?[[0]])
    };
    let [a, b, c] =
        run_verified(cheater, &Script::new(), || Box::new(Passive), program, judge).ends.map(Result::unwrap);
    assert!(a == b && b == c);
    a
}

#[test]
fn an_unverified_triple_takes_the_opposite_error() {
    for cheater in Role::ALL {
        assert!(masked_by_a_triple(cheater, [0, 0]));
        assert!(!masked_by_a_triple(cheater, [1, 0]), "the check does check something");
        assert!(masked_by_a_triple(cheater, [1, u64::MAX]));
    }
}

/// The opposite error anywhere in what the cheater reshares later.
#[test]
fn the_product_has_no_place_for_the_opposite_error() {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&[3])), deal::<Arithmetic, u64>(&vector(&[5])));
    for cheater in Role::ALL {
        let program = |party: &mut Party| {
            let mine = party.role().index();
            wrong_product(party, &x[mine], &y[mine], u64::from(party.role() == cheater)).map(drop)
        };
        let nothing = |_: &mut VerifiedParty, ()| Ok(());
        let plain = run_verified(cheater, &Script::new(), active::<JudgedAlone>, program, nothing);
        let later = plain.sent.iter().filter(|sent| sent.place.to == cheater.prev() && sent.place.position > 0);
        for sent in later {
            for word in 0..sent.bytes.len() / 8 {
                let mut words = words(&sent.bytes);
                words[word] = words[word].wrapping_sub(1);
                let script = [(sent.place, Tampering::Replace(bytes(&words)))].into();
                let run = run_verified(cheater, &script, active::<JudgedAlone>, program, nothing);
                let judge = &run.ends[cheater.prev().index()];
                assert!(matches!(judge, Err(Error::Cheating { .. })), "{cheater}, {:?}, word {word}", sent.place);
            }
        }
    }
}

#[test]
fn that_nobody_checks_end_in_a_wrong_value() {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&[3])), deal::<Arithmetic, u64>(&vector(&[5])));
    for cheater in Role::ALL {
        let program = |party: &mut Party| {
            let mine = party.role().index();
            let z = wrong_product(party, &x[mine], &y[mine], u64::from(party.role() == cheater))?;
            Ok(computed(party, z))
        };
        let opened = |verified: &mut VerifiedParty, z: Computed<ArithmeticShare>| Ok(open(verified, z)?[[0]]);
        let ends = |security| run_verified(cheater, &Script::new(), security, program, opened).ends;
        assert_eq!(ends(active::<NotChecked>), [Ok(16), Ok(16), Ok(16)]);
        assert_eq!(ends(active::<Standard>), [(); 3].map(|()| Err(Error::Cheating { step: Step::Products })));
    }
}
