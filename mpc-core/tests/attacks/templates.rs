//! A template that a cheater has chosen in a session whose products nobody checks, in the gallery of a session that
//! checks all of its own.

use std::slice::from_ref;

use crate::*;

const ONE: u64 = 1 << 16;

/// Ann is (1, 0) and is enrolled. Eve is (-1, 0).
fn enrol<T: Send>(
    cheater: Role,
    security: fn() -> Box<dyn Security>,
    keep: impl Fn(&VerifiedParty, Computed<Output>) -> Result<T> + Sync,
) -> [Result<T>; 3] {
    let (ann, one) = (deal::<Arithmetic, u64>(&vector(&[ONE, 0])), deal::<Arithmetic, u64>(&vector(&[1, 1])));
    let program = |party: &mut Party| {
        let mine = party.role().index();
        let error = if party.role() == cheater { (2 * ONE).wrapping_neg() } else { 0 };
        let template = wrong_product(party, &ann[mine], &one[mine], error)?;
        Ok(computed(party, Output::Template(template)))
    };
    run_verified(cheater, &Script::new(), security, program, |verified, template| keep(verified, template)).ends
}

/// Whom a strict session takes Eve for: 0 for who is enrolled, 1 for nobody.
fn who_is_eve(enrolled: [ArithmeticShare; 3]) -> u64 {
    let eve = testing::tensor(&[1, 2], vec![ONE.wrapping_neg(), 0]);
    let graph = identity(2, 1);
    let eve = deal_ranged(&eve, graph.input_range());
    let find = |party: &mut Party| {
        let mine = party.role().index();
        let templates = Templates::new(2, std::slice::from_ref(&enrolled[mine]));
        let head = Head::Match { templates: &templates, place: None, told: Told::Largest(0.5) };
        evaluate(party, &graph, &Weights::new(Vec::new()), from_ref(&eve[mine]), &[1], &head, Conditions::LAN)
    };
    let found = testing::run_verified(parties(2, Mode::Strict), find, |verified, output| verified.release(output));
    let found = found.map(|found| match found.expect("nobody cheats in this session") {
        Released::ToClient(answers) => Share::<Boolean, u64>::new(answers[0][0].clone(), answers[0][1].clone()),
        Released::Kept(_) => panic!("an answer was asked for"),
    });
    reconstruct(&found).expect("equal copies")[[0]]
}

fn template(output: Output) -> ArithmeticShare {
    match output {
        Output::Template(template) => template,
        other => panic!("a template was computed, not {other:?}"),
    }
}

#[test]
fn of_a_passive_session_lets_a_cheater_be_somebody_in_a_strict_one() {
    let honest = deal::<Arithmetic, u64>(&vector(&[ONE, 0]));
    assert_eq!(who_is_eve(honest), 1, "she is not Ann");
    for cheater in Role::ALL {
        let kept = enrol(cheater, passive, |_, output| Ok(template(output.unverified())));
        assert_eq!(who_is_eve(kept.map(Result::unwrap)), 0, "kept without a check, it is hers");
    }
}

#[test]
fn is_not_kept_by_the_product() {
    let release = |verified: &VerifiedParty, output| verified.release(output).map(drop);
    for cheater in Role::ALL {
        for end in enrol(cheater, passive, release) {
            assert!(matches!(&end, Err(Error::Invalid { what, .. }) if what == "template"), "{end:?}");
        }
        let found = Err(Error::Cheating { step: Step::Products });
        assert_eq!(enrol(cheater, active::<Standard>, release), [found.clone(), found.clone(), found]);
    }
}
