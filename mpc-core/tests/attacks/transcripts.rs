//! The comparison at the end: nobody is left alone with a verdict.

use crate::*;

without!(NotCompared: transcript);

/// Opens the last claim of a check wrong to the previous party, which stops, and right to the next one. Where the next
/// party does not wait for the others' transcripts, the lie is held back until it is done, so that it is done in every
/// run.
fn attack(cheater: Role, security: fn() -> Box<dyn Security>, hold: bool) -> [Result<()>; 3] {
    let (x, y) = (deal::<Arithmetic, u64>(&vector(&[3])), deal::<Arithmetic, u64>(&vector(&[5])));
    let opening = 3 * 48 * 8;
    let done = Arc::new((Mutex::new(!hold), Condvar::new()));
    let parties = mesh().map(|network| {
        if network.role() != cheater {
            return party(network, 1, security());
        }
        let done = done.clone();
        let hook: Hook = Arc::new(move |message| {
            if message.to == cheater.prev() && message.bytes.len() == opening {
                let is_done = done.0.lock().expect("no panic");
                drop(done.1.wait_while(is_done, |done| !*done).expect("no panic"));
                message.bytes[0] ^= 1;
            }
        });
        party(Tap::new(network, hook), 1, security())
    });
    let multiply = |party: &mut Party| {
        let mine = party.role().index();
        mul(party, &x[mine], &y[mine]).map(drop)
    };
    run_verified_with_cheater(cheater, parties, multiply, |verified, ()| {
        if verified.role() == cheater.next() {
            *done.0.lock().expect("no panic") = true;
            done.1.notify_all();
        }
        Ok(())
    })
}

#[test]
fn that_nobody_compares_leave_one_party_with_a_verdict_of_its_own() {
    for cheater in Role::ALL {
        let alone = attack(cheater, active::<NotCompared>, true);
        assert_eq!(alone[cheater.next().index()], Ok(()), "it goes on to open what another has given up");
        assert_eq!(alone[cheater.prev().index()], Err(Error::Cheating { step: Step::Opening }));
        let together = attack(cheater, active::<Standard>, false);
        for honest in [cheater.next(), cheater.prev()] {
            assert_eq!(together[honest.index()], Err(Error::Cheating { step: Step::Opening }));
        }
    }
}
