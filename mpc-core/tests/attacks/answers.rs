//! What the client is told twice.

use crate::*;

#[test]
fn that_the_client_does_not_compare_are_wrong() {
    let secret = vector(&[7]);
    for cheater in Role::ALL {
        let mut told = deal::<Arithmetic, u64>(&secret);
        let mine = &told[cheater.index()];
        told[cheater.index()] = Share::new(vector(&[mine.own()[[0]].wrapping_add(1)]), mine.next().clone());
        let sum = told.iter().fold(0u64, |sum, share| sum.wrapping_add(share.own()[[0]]));
        assert_eq!(sum, 8, "one copy of each component gives a wrong answer");
        assert_eq!(reconstruct(&told), Err(Error::Cheating { step: Step::Answer }));
    }
}
