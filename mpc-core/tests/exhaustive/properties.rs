//! Where values are too many to go through: properties of framing, of PRSS indices and of the bounds of truncation, on
//! random trials.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use mpc_core::error::Result;
use mpc_core::network::Network;
use mpc_core::network::stream;
use mpc_core::protocol::product::mul;
use mpc_core::protocol::truncate::truncate;
use mpc_core::prss::Prss;
use mpc_core::ring::{Arithmetic, Word};
use mpc_core::security::Passive;
use mpc_core::session::Branch;
use mpc_core::sharing::{ArithmeticShare, Component, Dealt, Seed, Share, reconstruct};
use mpc_core::testing::tape::{Drawn, Tape};
use mpc_core::testing::{mesh, party_with, run_parties, three_parties};
use mpc_core::wire::codec;
use mpc_core::{Party, Role};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::session::tensor;

/// What a control message may be made of.
type Body = (u64, Vec<u8>, Option<String>, Vec<(u16, bool)>);

fn body() -> impl Strategy<Value = Body> {
    (any::<u64>(), vec(any::<u8>(), 0..40), proptest::option::of(".{0,8}"), vec(any::<(u16, bool)>(), 0..6))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// The bytes in two pieces: what a stream may deliver.
fn split(bytes: &[u8], at: usize) -> impl tokio::io::AsyncRead + Unpin + '_ {
    AsyncReadExt::chain(&bytes[..at], &bytes[at..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// At every split a message arrives as it was sent, and what follows is left; cut at any length it does not arrive,
    /// and neither does one that is longer than its limit by any number of bytes.
    #[test]
    fn a_message_arrives_whole_or_not_at_all(message in body(), behind in vec(any::<u8>(), 0..9)) {
        block_on(async {
            let mut bytes = Vec::new();
            stream::send(&mut bytes, &message).await.expect("memory takes everything");
            let length = bytes.len();
            bytes.extend(&behind);
            for at in 0..=bytes.len() {
                let mut reader = split(&bytes, at);
                let got: Body = stream::receive(&mut reader, length - 4).await.expect("whole");
                prop_assert_eq!(&got, &message);
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).await.expect("memory");
                prop_assert_eq!(&rest, &behind);
            }
            for cut in 0..length {
                prop_assert!(stream::receive::<Body>(&mut &bytes[..cut], length).await.is_err());
                if cut < length - 4 {
                    prop_assert!(stream::receive::<Body>(&mut &bytes[..], cut).await.is_err(), "a limit of {}", cut);
                }
            }
            Ok(())
        })?;
    }

    /// Shares of words of any width arrive at every split, and not when cut at any length.
    #[test]
    fn a_share_arrives_whole_or_not_at_all(
        seed: [u8; 32],
        words in vec(any::<u64>(), 1..8),
        width in 1usize..=8,
        seeded: [bool; 2],
    ) {
        let shape = [words.len()];
        let component = |seeded: bool| match seeded {
            true => Component::Seed(Seed(seed.into())),
            false => Component::Explicit(tensor(&shape, words.iter().map(|word| word >> (64 - 8 * width)))),
        };
        let dealt = Dealt { own: component(seeded[0]), next: component(seeded[1]) };
        let same = |got: &Dealt<u64>| {
            [(&got.own, &dealt.own), (&got.next, &dealt.next)].iter().all(|(a, b)| a.expand(&shape) == b.expand(&shape))
        };
        block_on(async {
            let mut bytes = Vec::new();
            stream::send_dealt(&mut bytes, &dealt, width).await.expect("memory takes everything");
            for at in 0..=bytes.len() {
                let got = stream::receive_dealt(&mut split(&bytes, at), &shape, width).await.expect("whole");
                prop_assert!(same(&got));
            }
            for cut in 0..bytes.len() {
                prop_assert!(stream::receive_dealt(&mut &bytes[..cut], &shape, width).await.is_err());
            }
            Ok(())
        })?;
    }

    /// No bytes make the codec panic, and what it decodes it encodes to the same bytes.
    #[test]
    fn one_encoding_for_each_value(bytes in vec(any::<u8>(), 0..80)) {
        if let Ok(value) = codec::decode::<Body>(&bytes) {
            prop_assert_eq!(codec::encode(&value).expect("small"), bytes);
        }
    }
}

/// A piece of a session.
#[derive(Debug, Clone)]
enum Piece {
    Product,
    Random,
    /// One after the other.
    Sequence(Vec<Piece>),
    /// At the same time.
    Join(Box<[Piece; 2]>),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![Just(Piece::Product), Just(Piece::Random)].prop_recursive(5, 24, 4, |piece| {
        prop_oneof![
            vec(piece.clone(), 0..4).prop_map(Piece::Sequence),
            (piece.clone(), piece).prop_map(|(first, second)| Piece::Join(Box::new([first, second]))),
        ]
    })
}

impl Piece {
    fn run(&self, party: &mut Party, x: &ArithmeticShare) -> Result<()> {
        match self {
            Piece::Product => mul(party, x, x).map(drop),
            Piece::Random => {
                mpc_core::testing::protocols::random::<Arithmetic, u64>(party, &[1]);
                Ok(())
            }
            Piece::Sequence(pieces) => pieces.iter().try_for_each(|piece| piece.run(party, x)),
            Piece::Join(pieces) => {
                let ([first, second], y) = (*pieces.clone(), x.clone());
                party.join(|party| first.run(party, x), move |party| second.run(party, &y)).map(drop)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever runs beside what: no party reads the stream of a key at one index of one branch twice, and both holders
    /// of a key read it at the same places.
    #[test]
    fn a_prss_index_is_used_once(piece in piece()) {
        /// By holder: itself, or the previous party.
        type Reads = [Arc<Mutex<Vec<(Branch, u64)>>>; 2];
        let reads: [Reads; 3] = Default::default();
        let parties = mesh().map(|network| {
            let role = network.role();
            let tape = |key: Role, holder: usize| -> Tape {
                let reads = reads[key.index()][holder].clone();
                Arc::new(move |drawn: Drawn, _: &mut [u8]| {
                    reads.lock().expect("no panic while locked").push((drawn.branch, drawn.op));
                })
            };
            let prss = Prss::of_tapes(tape(role, 0), tape(role.next(), 1));
            party_with(network, prss, Box::new(Passive))
        });
        let x = ArithmeticShare::zeros(&[1]);
        let ends = run_parties(parties, |party| piece.run(party, &x));
        prop_assert!(ends.iter().all(Result::is_ok), "{:?}", ends);
        for holders in &reads {
            let [owner, previous] = holders.each_ref().map(|reads| reads.lock().expect("no panic while locked").clone());
            let places: HashSet<_> = owner.iter().copied().collect();
            prop_assert_eq!(places.len(), owner.len(), "a place that is read twice");
            prop_assert_eq!(previous.len(), owner.len());
            prop_assert_eq!(places, previous.into_iter().collect::<HashSet<_>>());
        }
    }

    /// For every shift and every sharing of what may be truncated: within 1.5 units.
    #[test]
    fn a_truncation_is_within_its_bounds(
        seed: u8,
        m in 1u32..62,
        values in vec((any::<u64>(), any::<[u64; 2]>(), 0u32..63), 1..100),
    ) {
        let most = (3i64 << 60) - 1;
        // Of any magnitude, up to both ends.
        let secrets: Vec<i64> = values.iter().map(|(x, _, shift)| (*x as i64 >> shift).clamp(-most, most)).collect();
        let components = |slot: usize| {
            let part = |(&secret, (_, [a, b], _)): (&i64, &(u64, [u64; 2], u32))| match slot {
                0 => *a,
                1 => *b,
                _ => (secret as u64).wrapping_sub(*a).wrapping_sub(*b),
            };
            tensor::<u64>(&[secrets.len()], secrets.iter().zip(&values).map(part))
        };
        let results = three_parties(seed, |party| {
            let [own, next] = [party.role(), party.role().next()].map(|role| components(role.index()));
            truncate(party, &Share::new(own, next), m)
        });
        let quotients = reconstruct(&results.map(|share| share.expect("an honest run succeeds"))).expect("consistent");
        for (&x, quotient) in secrets.iter().zip(&quotients) {
            let off = 2 * (i128::from(quotient.to_u64() as i64) << m) - 2 * i128::from(x);
            prop_assert!(-3i128 << m < off && off <= 3i128 << m, "{} / 2^{} became {}", x, m, *quotient as i64);
        }
    }
}
