//! Every test vector in `docs/wire-format.md` is what the code writes, and what the code reads.

use std::collections::BTreeMap;

use mpc_core::error::Step;
use mpc_core::network::stream;
use mpc_core::ring::Tensor;
use mpc_core::session::{Conditions, Id, Meter, Mode};
use mpc_core::sharing::{Component, Dealt, InputRange, Seed, expand};
use mpc_core::wire::codec;
use mpc_core::wire::message::{
    Action, Change, Code, Evaluate, MAX_CONTROL, ModelInfo, Question, Reply, Request, Stamp, Subject, Upload,
    Versioned, model_digest,
};
use mpc_core::wire::peer::{
    Catalog, ChangeHello, Decision, Enrolled, PeerRequest, Propose, SessionHello, Verdict, gallery_digest,
    listed_digest, nonce_commitment, session_id,
};
use mpc_core::wire::share;
use serde::Serialize;
use serde::de::DeserializeOwned;

const DOCUMENT: &str = include_str!("../../docs/wire-format.md");

fn id(byte: u8) -> Id {
    [byte; 32]
}

fn evaluate() -> Evaluate {
    Evaluate {
        stamp: Stamp { request: id(0x01), issued_s: 1_800_000_000 },
        subject: Subject::Published(id(0x02)),
        question: Question::Label,
        windows: vec![1, 3],
        security: Mode::Active,
        timeout_ms: 30_000,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Blocks of the document that begin with "```text vector NAME".
fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
    let blocks = DOCUMENT.split("```text vector ").skip(1);
    blocks
        .map(|block| {
            let (name, rest) = block.split_once('\n').expect("a name above the digits");
            let digits: String = rest.split("```").next().expect("digits").split_whitespace().collect();
            let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hexadecimal digits");
            (name, (0..digits.len()).step_by(2).map(byte).collect())
        })
        .collect()
}

/// A block of the document.
fn block(name: &str, bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    format!("```text vector {name}\n{}\n```", bytes.chunks(32).map(line).collect::<Vec<_>>().join("\n"))
}

/// The framed bytes of a message, after checking that they are read back as the same message.
fn framed<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) -> Vec<u8> {
    block_on(async {
        let mut bytes = Vec::new();
        stream::send(&mut bytes, message).await.expect("memory takes everything");
        assert_eq!(stream::receive::<T>(&mut &bytes[..], MAX_CONTROL).await.expect("what was just sent"), *message);
        bytes
    })
}

#[test]
fn the_document_and_the_code_agree() {
    let digest = evaluate().digest().unwrap();
    let nonces = [id(0x20), id(0x21), id(0x22)];
    let session = session_id(&digest, &id(0x10), &nonces);
    let model = model_digest("name = \"m\"", &[1, 2, 3]);
    let enclosed = Evaluate { subject: Subject::Enclosed(vec![1, 2, 3]), question: Question::Output, ..evaluate() };
    let info = ModelInfo { publication: id(0x02), revision: 7, manifest: "name = \"m\"".into(), graph: vec![1, 2, 3] };
    let propose = Propose { request: id(0x01), digest, client: id(0x10), tenant: "clinic".into() };
    let upload = Upload {
        publication: id(0x02),
        manifest: "name = \"m\"".into(),
        graph: vec![1, 2, 3],
        length: 66,
        digest: id(0x04),
    };
    let change =
        Change { stamp: evaluate().stamp, action: Action::Activate { publication: id(0x02), forget_gallery: false } };
    let ann = Enrolled { person: "ann".into(), template: id(0x03) };
    let gallery = gallery_digest(&id(0x02), std::slice::from_ref(&ann));
    let action = Action::Enrol { publication: id(0x02), person: ann.person, template: ann.template };
    let enrol = Change { stamp: evaluate().stamp, action };
    let empty = Catalog::default();
    let catalog = empty.with("clinic", "m", Some(id(0x02))).unwrap();
    let change_hello = ChangeHello::new(session, &empty, &catalog).unwrap();
    let listed = listed_digest("clinic", "m", &id(0x02), 1, None);
    let hello = SessionHello::new(session, &evaluate(), model, listed, Conditions::LAN);
    let commitment = nonce_commitment(&digest, &nonces[0]);
    let mut expected = BTreeMap::from([
        ("status", framed(&Versioned::new(Request::Status))),
        ("classify", framed(&Versioned::new(Request::Evaluate(evaluate())))),
        ("classify enclosed", framed(&Versioned::new(Request::Evaluate(enclosed)))),
        ("refused", framed(&Reply::Refused(Code::Busy.because("later")))),
        ("cheating", framed(&Reply::Cheating { step: Step::Products })),
        ("models", framed(&Reply::Models { minimum: Mode::Passive, models: vec![info] })),
        ("accepted", framed(&Reply::Accepted { session: id(0x03) })),
        ("output", framed(&Reply::Output { shape: vec![2], meter: Meter { rounds: 40, bytes_sent: 1_000_000 } })),
        ("upload", framed(&Versioned::new(Request::Upload(upload)))),
        ("ready", framed(&Reply::Ready { have: 33 })),
        ("change", framed(&Versioned::new(Request::Change(change)))),
        ("changed", framed(&Reply::Changed { revision: 7 })),
        ("kept", framed(&Reply::Kept { meter: Meter { rounds: 40, bytes_sent: 1_000_000 } })),
        ("gallery request", framed(&Versioned::new(Request::Gallery { publication: id(0x02) }))),
        ("gallery", framed(&Reply::Gallery { persons: vec!["ann".into()], digest: gallery, lacking: vec![0] })),
        ("enrol", framed(&Versioned::new(Request::Change(enrol)))),
        ("catalog", framed(&Versioned::new(PeerRequest::Catalog(catalog)))),
        ("propose", framed(&Versioned::new(PeerRequest::Propose { propose, commitment }))),
        ("commitment", commitment.to_vec()),
        ("in service", framed(&Versioned::new(PeerRequest::InService))),
        ("catalog digest", change_hello.next.to_vec()),
        ("change hello", codec::encode(&change_hello).unwrap()),
        ("listed digest", listed.to_vec()),
        ("verdict", framed(&Verdict::Accept { nonce: id(0x21) })),
        ("decision", framed(&Decision::Commit { nonces, conditions: Conditions::LAN })),
        ("request digest", digest.to_vec()),
        ("session id", session.to_vec()),
        ("model digest", model.to_vec()),
        ("context", hello.digest().unwrap().to_vec()),
        ("session hello", codec::encode(&hello).unwrap()),
    ]);
    let explicit = Tensor::from_shape_vec(&[2][..], vec![1u64, u64::MAX]).unwrap();
    let dealt = Dealt { own: Component::Seed(Seed(id(0x55).into())), next: Component::Explicit(explicit) };
    let mut bytes = Vec::new();
    block_on(stream::send_dealt(&mut bytes, &dealt, share::WORD)).unwrap();
    let read = block_on(stream::receive_dealt(&mut &bytes[..], &[2], share::WORD)).unwrap();
    assert_eq!(read.next.expand(&[2]), dealt.next.expand(&[2]));
    expected.insert("dealt share", bytes);
    let range = InputRange::holding(8.0, 16);
    let explicit = Tensor::from_shape_vec(&[2][..], vec![1u64, (1 << range.component_bits()) - 1]).unwrap();
    let dealt = Dealt { next: Component::Explicit(explicit), ..dealt };
    let mut bytes = Vec::new();
    block_on(stream::send_dealt(&mut bytes, &dealt, range.bytes())).unwrap();
    let read = block_on(stream::receive_dealt(&mut &bytes[..], &[2], range.bytes())).unwrap();
    assert_eq!(read.next.expand(&[2]), dealt.next.expand(&[2]));
    expected.insert("dealt share of an input", bytes);
    expected.insert(
        "expanded seed",
        expand::<u64>(&Seed(id(0x55).into()), &[2]).iter().flat_map(|w| w.to_le_bytes()).collect(),
    );

    let documented = vectors();
    let wrong = expected.iter().filter(|(name, bytes)| documented.get(*name) != Some(*bytes));
    let wrong: Vec<String> = wrong.map(|(name, bytes)| block(name, bytes)).collect();
    assert!(wrong.is_empty(), "these vectors should read\n\n{}", wrong.join("\n\n"));
    assert_eq!(documented.len(), expected.len(), "a vector that nothing checks");
}
