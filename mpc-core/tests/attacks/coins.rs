//! A coin that comes in the direction of reshare: from somebody to whom the cheater's messages do not go. And a coin
//! that is not compared.

use crate::*;

without!(NotCompared: coins);

const X: [u64; 2] = [3, 5];
const Y: [u64; 2] = [7, u64::MAX];

/// What a cheater does as soon as it knows the weights.
type Meanwhile<'a> = &'a mut dyn FnMut(&mut Link, [u64; 2]) -> Result<()>;
/// Tosses a coin and draws weights; `None` for who is honest.
type Toss = fn(&mut Link, Option<Meanwhile>) -> Result<[u64; 2]>;

fn weights(mut coin: Coin) -> [u64; 2] {
    [coin.next_u64(), coin.next_u64()]
}

/// Pi sends the component that P_{i-1} lacks, instead of the one that P_{i+1} lacks.
fn along_reshare(link: &mut Link, meanwhile: Option<Meanwhile>) -> Result<[u64; 2]> {
    let role = link.role();
    let mut op = link.prss().next_op();
    let (own, next) = (op.own::<u64>(1), op.next::<u64>(1));
    let coin = |third: Vec<u64>| weights(Coin::seed_from_u64(own[0] ^ next[0] ^ third[0]));
    let Some(meanwhile) = meanwhile else {
        let third = link.round(|round| round.send(role.prev(), &next).map(|()| round::words(role.next(), 1)));
        return third.map(coin);
    };
    let weights = coin(link.recv::<u64>(role.next(), 1)?);
    meanwhile(link, weights)?;
    link.round(|round| round.send(role.prev(), &next))?;
    Ok(weights)
}

fn against_reshare(link: &mut Link, meanwhile: Option<Meanwhile>) -> Result<[u64; 2]> {
    let weights = weights(coin::toss(link)?);
    meanwhile.map_or(Ok(()), |meanwhile| meanwhile(link, weights))?;
    Ok(weights)
}

/// Two products, then weights for their check. The cheater looks at the weights before it sends its part of the
/// products, with errors that cancel. Returns the products and the weights.
fn products(cheater: Role, deadline: Duration, toss: Toss) -> [Result<(ArithmeticShare, [u64; 2])>; 3] {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&X)), deal::<Arithmetic, u64>(&vector(&Y)));
    let parties = memory::mesh(deadline).map(|network| party(network, 1, Box::new(Passive)));
    run_parties(parties, |party| {
        let (role, link) = (party.role(), party.link());
        let mut part = part(&x[role.index()], &y[role.index()]);
        if role != cheater {
            let z = reshare(link, &[2], part)?;
            return Ok((z, toss(link, None)?));
        }
        let mut op = link.prss().next_op();
        let (plus, minus) = (op.own::<u64>(2), op.next::<u64>(2));
        let next = link.recv::<u64>(role.next(), 2)?;
        let mut cheat = |link: &mut Link, weights: [u64; 2]| {
            let errors = [weights[1], weights[0].wrapping_neg()];
            for i in 0..2 {
                part[i] = part[i].wrapping_add(plus[i]).wrapping_sub(minus[i]).wrapping_add(errors[i]);
            }
            link.round(|round| round.send(role.prev(), &part))
        };
        let weights = toss(link, Some(&mut cheat))?;
        Ok((Share::new(vector(&part), vector(&next)), weights))
    })
}

#[test]
fn released_early_lets_errors_cancel() {
    for cheater in Role::ALL {
        let [a, b, c] = products(cheater, Duration::from_secs(60), along_reshare).map(Result::unwrap);
        let weights = a.1;
        let z = reconstruct(&[a.0, b.0, c.0]).unwrap();
        let errors = [0, 1].map(|i| z[i].wrapping_sub(X[i].wrapping_mul(Y[i])));
        assert!(errors.iter().all(|&e| e != 0), "both products are wrong");
        let combined = errors.iter().zip(weights).fold(0u64, |sum, (e, w)| sum.wrapping_add(e.wrapping_mul(w)));
        assert_eq!(combined, 0, "and their combination is right");
    }
}

#[test]
fn the_product_releases_nothing_to_one_who_waits() {
    for cheater in Role::ALL {
        let ends = products(cheater, Duration::from_millis(50), against_reshare);
        for waits in [cheater, cheater.prev()] {
            assert!(ends[waits.index()].is_err(), "{cheater} waits for a coin that waits for its message");
        }
    }
}

/// The cheater gives the next party another coin than the previous one, for the mask of the last claim. What it sees of
/// the opening: the component that it lacks, under the mask times either coin.
fn opened_under_two_coins(cheater: Role, security: fn() -> Box<dyn Security>) -> (usize, [Result<()>; 3]) {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&X)), deal::<Arithmetic, u64>(&vector(&Y)));
    let program = |party: &mut Party| {
        let mine = party.role().index();
        mul(party, &x[mine], &y[mine]).map(drop)
    };
    let nothing = |_: &mut VerifiedParty, ()| Ok(());
    let honest = run_verified(cheater, &Script::new(), security, program, nothing);
    let coin = |sent: &&Sent| sent.place.to == cheater.next() && sent.bytes.len() == 16;
    let last = honest.sent.iter().rfind(coin).expect("a coin");
    let opening = 3 * 48 * 8;
    let script = [(last.place, Tampering::Replace(vec![7; 16]))].into();
    let Run { mut told, ends, .. } = run_verified(cheater, &script, security, program, nothing);
    told.retain(|(_, bytes)| bytes.len() == opening);
    told.sort();
    told.dedup_by(|a, b| a.1 == b.1);
    (told.len(), ends)
}

#[test]
fn must_be_compared_before_anything_is_opened() {
    for cheater in Role::ALL {
        let (copies, _) = opened_under_two_coins(cheater, active::<NotCompared>);
        assert_eq!(copies, 2, "two equations for two unknowns: a share and its mask");
        let (copies, ends) = opened_under_two_coins(cheater, active::<Standard>);
        assert_eq!(copies, 0);
        assert_eq!(ends, [(); 3].map(|()| Err(Error::Cheating { step: Step::Coins })));
    }
}

/// A batch of two parts, each on a thread of its own. In the part of the ands the cheater gives the next party another
/// coin, any of them; in the other part it has falsified the product, or not.
#[test]
fn a_part_with_a_false_coin_opens_nothing_whatever_the_other_part_does() {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&X)), deal::<Arithmetic, u64>(&vector(&Y)));
    let bits = deal::<Boolean, u64>(&Tensor::from_elem(IxDyn(&[1, 1]), 0x00ff_00ff_1234_5678));
    // Nothing else is as long as the last claim of the ands.
    let is_opening = |(_, bytes): &&(Role, Vec<u8>)| bytes.len() == 3 * 8;
    for cheater in Role::ALL {
        let program = |error: u64| {
            let (x, y, bits) = (&x, &y, &bits);
            move |party: &mut Party| {
                let mine = party.role().index();
                wrong_product(party, &x[mine], &y[mine], if party.role() == cheater { error } else { 0 })?;
                mul(party, &bits[mine], &bits[mine]).map(drop)
            }
        };
        let nothing = |_: &mut VerifiedParty, ()| Ok(());
        let honest = run_verified(cheater, &Script::new(), active::<Standard>, program(0), nothing);
        assert_eq!(honest.told.iter().filter(is_opening).count(), 2, "one copy from each");
        let is_coin = |sent: &&Sent| {
            sent.place.branch != Branch::ROOT && sent.place.to == cheater.next() && sent.bytes.len() == 16
        };
        let coins: Vec<Place> = honest.sent.iter().filter(is_coin).map(|sent| sent.place).collect();
        assert!(coins.len() > 2, "weights, points and the last challenge");
        let last = [(coins[coins.len() - 1], Tampering::Replace(vec![7; 16]))].into();
        let careless = run_verified(cheater, &last, active::<NotCompared>, program(0), nothing);
        assert!(careless.told.iter().any(|told| is_opening(&told)), "nobody compares coins, and the claim is opened");
        for coin in coins {
            for error in [0, 1] {
                let script = [(coin, Tampering::Replace(vec![7; 16]))].into();
                let run = run_verified(cheater, &script, active::<Standard>, program(error), nothing);
                assert_eq!(run.told.iter().filter(is_opening).count(), 0, "{cheater}, {coin:?}, error {error}");
                for honest in [cheater.next(), cheater.prev()] {
                    match (error, &run.ends[honest.index()]) {
                        (_, Err(Error::Cheating { step: Step::Coins })) => {}
                        (1, Err(Error::Cheating { step: Step::Products })) => {}
                        (_, end) => panic!("{cheater}, {coin:?}, error {error}: {honest} ends with {end:?}"),
                    }
                }
            }
        }
    }
}
