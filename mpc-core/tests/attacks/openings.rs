//! A masked opening whose copies are compared later: the next opening reveals a share. And one where they are not
//! compared.

use crate::*;

without!(NotCompared: openings);

const SECRET: [u64; 5] = [1, 2, 3, 1 << 63, u64::MAX];

/// Copies to be compared later.
type Later = Vec<[Vec<u64>; 2]>;

/// Sends both copies, and leaves the comparison for later.
fn careless(party: &mut Party, x: &ArithmeticShare, later: &mut Later) -> Result<Tensor<u64>> {
    let masked = x.add(&random(party, x.shape()));
    let (role, link) = (party.role(), party.link());
    let component = |t: &Tensor<u64>| t.iter().copied().collect::<Vec<_>>();
    let (one, other) = link.round(|round| {
        round.send(role.next(), &component(masked.own()))?;
        round.send(role.prev(), &component(masked.next()))?;
        Ok((round::words::<u64>(role.prev(), x.len()), round::words::<u64>(role.next(), x.len())))
    })?;
    let copies = [one, other];
    let known = masked.own().iter().zip(masked.next());
    let sum: Vec<u64> = known.zip(&copies[0]).map(|((a, b), c)| a.wrapping_add(*b).wrapping_add(*c)).collect();
    later.push(copies);
    Ok(vector(&sum))
}

/// Opens x masked, multiplies the secret with what came out, and opens that masked. In the first opening the cheater
/// adds 1 to what it tells the next party. Also what it holds of the secret.
fn attack(
    cheater: Role,
    security: fn() -> Box<dyn Security>,
    opening: impl Fn(&mut Party, &ArithmeticShare, &mut Later) -> Result<Tensor<u64>> + Sync,
) -> (Run<()>, ArithmeticShare) {
    let (x, secret) = (deal::<Arithmetic, u64>(&vector(&[9; 5])), deal::<Arithmetic, u64>(&vector(&SECRET)));
    let program = |party: &mut Party| {
        let (mut later, mine) = (Vec::new(), party.role().index());
        let factor = opening(party, &x[mine], &mut later)?;
        let times = |t: &Tensor<u64>| t.iter().zip(&factor).map(|(a, b)| a.wrapping_mul(*b)).collect::<Vec<_>>();
        let scaled = secret[mine].map(|t| vector(&times(t)));
        opening(party, &scaled, &mut later)?;
        let equal = later.iter().all(|[one, other]| one == other);
        if equal { Ok(()) } else { Err(Error::Cheating { step: Step::Opening }) }
    };
    let honest = run(cheater, &Script::new(), security, program);
    let first = honest.sent.iter().find(|sent| sent.place.to == cheater.next()).expect("an opening");
    let lie: Vec<u64> = words(&first.bytes).iter().map(|word| word.wrapping_add(1)).collect();
    let script = [(first.place, Tampering::Replace(bytes(&lie)))].into();
    (run(cheater, &script, security, program), secret[cheater.index()].clone())
}

/// What the cheater received from a peer, opening by opening.
fn from(run: &Run<()>, peer: Role) -> Vec<Vec<u64>> {
    run.told.iter().filter(|(from, _)| *from == peer).map(|(_, bytes)| words(bytes)).collect()
}

#[test]
fn compared_later_let_the_next_one_reveal_a_share() {
    for cheater in Role::ALL {
        let (run, mine) = attack(cheater, || Box::new(Passive), careless);
        let found = Err(Error::Cheating { step: Step::Opening });
        assert_eq!(run.ends[cheater.next().index()], found, "found, but too late");
        let [next, prev] = [cheater.next(), cheater.prev()].map(|peer| from(&run, peer)[1].clone());
        let third = next.iter().zip(&prev).map(|(a, b)| a.wrapping_sub(*b));
        let known = mine.own().iter().zip(mine.next()).map(|(a, b)| a.wrapping_add(*b));
        assert_eq!(known.zip(third).map(|(a, b)| a.wrapping_add(b)).collect::<Vec<_>>(), SECRET);
    }
}

#[test]
fn the_product_compares_before_it_sends_anything_else() {
    for cheater in Role::ALL {
        let (run, _) = attack(cheater, active::<Standard>, |party, x, _| Ok(open_masked(party, x)?.0));
        for honest in [cheater.next(), cheater.prev()] {
            assert_eq!(run.ends[honest.index()], Err(Error::Cheating { step: Step::Opening }));
        }
        assert!(from(&run, cheater.next()).len() <= 1, "who was lied to says nothing more");
    }
}

#[test]
fn that_nobody_compares_end_in_a_wrong_value() {
    let program = |party: &mut Party| {
        let x: ArithmeticShare = Share::public(party.role(), &vector(&[9]));
        Ok(computed(party, x))
    };
    let opened = |verified: &mut VerifiedParty, x: Computed<ArithmeticShare>| Ok(open(verified, x)?[[0]]);
    for cheater in Role::ALL {
        let lied_to = |security| {
            let honest = run_verified(cheater, &Script::new(), security, program, opened);
            let last = honest.sent.iter().rfind(|sent| sent.place.to == cheater.next()).expect("an opening");
            let script = [(last.place, Tampering::Replace(bytes(&[1000])))].into();
            run_verified(cheater, &script, security, program, opened).ends[cheater.next().index()].clone()
        };
        assert!(lied_to(active::<NotCompared>).is_ok_and(|value| value != 9));
        assert_eq!(lied_to(active::<Standard>), Err(Error::Cheating { step: Step::Opening }));
    }
}
