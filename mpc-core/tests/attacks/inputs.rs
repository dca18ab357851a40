//! A colluding client that gives the two holders of a component different ones.

use crate::*;

without!(NotAgreed: agreement);

/// Fractional bits that are dropped.
const BITS: u32 = 16;
const HALF: u64 = 1 << (BITS - 1);

/// The rounded sum of a weight and an input, squared. The two honest holders of the component that the corrupt party
/// lacks were given different ones of the input. `unknown` is that component of the weight; the corrupt party knows the
/// others.
fn square(cheater: Role, security: fn() -> Box<dyn Security>, unknown: u64) -> Run<()> {
    let lacks = cheater.prev();
    let program = |party: &mut Party| {
        let role = party.role();
        let component = |slot: Role, input: u64| {
            let (weight, input) = if slot == lacks { (unknown, input) } else { (0, 0) };
            [vector(&[weight]), vector(&[input])]
        };
        let ([weight, input], [next_weight, next_input]) = (component(role, 0), component(role.next(), HALF));
        let (weight, input) = (Share::new(weight, next_weight), Share::new(input, next_input));
        party.agree(&[(Step::Model, Digests::of([&weight])), (Step::Input, Digests::of([&input]))])?;
        let sum = truncate(party, &weight.add(&input), BITS)?;
        mul::<Arithmetic, u64>(party, &sum, &sum).map(drop)
    };
    run_verified(cheater, &Script::new(), security, program, |_, ()| Ok(()))
}

#[test]
fn that_differ_make_the_end_depend_on_a_secret() {
    for cheater in Role::ALL {
        // The next party's component is larger by HALF. After truncation that makes a difference or not, as the bit of
        // the weight says that is set here.
        let ends = |unknown| square(cheater, active::<NotAgreed>, unknown).ends;
        assert!(ends(0).iter().all(Result::is_ok));
        assert!(ends(HALF).iter().any(Result::is_err), "the corrupt party and the client have learned a bit");
        for unknown in [0, HALF] {
            for security in [active::<Standard>, passive] {
                let run = square(cheater, security, unknown);
                for honest in [cheater.next(), cheater.prev()] {
                    assert_eq!(run.ends[honest.index()], Err(Error::Cheating { step: Step::Input }));
                }
                assert!(run.told.iter().all(|(_, bytes)| bytes.len() == 32), "nothing but hashes was sent");
            }
        }
    }
}

/// Whatever came from outside: a component of it that its two holders hold different ones of.
#[test]
fn of_any_kind_are_found_in_every_mode() {
    let graph = identity(2, 1);
    let range = graph.input_range();
    let row = |words: [u64; 2]| testing::tensor(&[1, 2], words.to_vec());
    for mode in [Mode::Passive, Mode::Active] {
        for (step, liar) in [Step::Input, Step::Gallery].into_iter().flat_map(|step| Role::ALL.map(|liar| (step, liar)))
        {
            let (input, template) = (deal_ranged(&row([1 << 16, 0]), range), deal(&vector(&[1 << 16, 0])));
            let ends = run_parties(parties(1, mode), |party| {
                let mine = party.role().index();
                let (mut input, mut template) = (input[mine].clone(), template[mine].clone());
                match step {
                    _ if party.role() != liar => {}
                    Step::Input => input = RangedShare::new(input.words().own(), &row([3, 4]), range),
                    _ => template = Share::new(template.own().clone(), vector(&[3, 4])),
                }
                let (templates, weights) = (Templates::new(2, &[template]), Weights::new(Vec::new()));
                let head = Head::Match { templates: &templates, place: None, told: Told::Largest(0.5) };
                evaluate(party, &graph, &weights, &[input], &[1], &head, Conditions::LAN).map(drop)
            });
            assert_eq!(ends, [(); 3].map(|()| Err(Error::Cheating { step })), "{mode}, {liar}");
        }
    }
}
