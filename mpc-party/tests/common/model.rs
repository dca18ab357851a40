//! A small model.

use mpc_core::Role;
use mpc_core::model::op::{Rescale, Reshape};
use mpc_core::model::{Bound, Facts, Graph, Node, Op, Source, WeightSpec};
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::session::{Id, Mode};
use mpc_core::sharing::{Dealt, share};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Evaluate, Question, Stamp, Subject, Upload};
use mpc_core::wire::share::encode_dealt;
use sha2::{Digest, Sha256};

/// Four pixels times a matrix; the label is the position of the largest of three scores.
#[derive(Clone)]
pub(crate) struct TestModel {
    pub(crate) publication: Id,
    pub(crate) manifest: String,
    pub(crate) graph: Graph,
    /// Shares of `[4, 3]` in row-major order, flat.
    pub(crate) dealt: [Dealt<u64>; 3],
}

impl TestModel {
    /// The label of a sample is the position of the largest of its first three pixels.
    pub(crate) fn first_three_pixels(publication: u8) -> Self {
        Self { publication: [publication; 32], ..Self::first_three_pixels_times(1) }
    }

    /// The same of their products with a number.
    pub(crate) fn first_three_pixels_times(factor: u64) -> Self {
        let one = factor << 16;
        Self::new(0, vec![one, 0, 0, 0, one, 0, 0, 0, one, 0, 0, 0])
    }

    /// The same, but the three pixels are an embedding that is compared.
    pub(crate) fn comparing(publication: u8) -> Self {
        let model = Self::first_three_pixels(publication);
        let manifest = model.manifest.replace("task = \"classify\"", "task = \"face\"");
        let manifest = manifest.replace("[\"a\", \"b\", \"c\"]", "[\"same\", \"different\"]");
        Self { manifest: format!("{manifest}\n[embedding]\nsize = 3\nthreshold = 0.8\n"), ..model }
    }

    fn new(publication: u8, weights: Vec<u64>) -> Self {
        let manifest = r#"
            format = 1
            name = "pixels"
            title = "The largest pixel"
            task = "classify"
            labels = ["a", "b", "c"]
            reveal = "label"
            security = "passive"
            licence = "open"
            [preprocess]
            kind = "image"
            channels = "grey"
            mean = [0.0]
            std = [1.0]
            [input]
            shape = [1, 2, 2]
            range = 2.0
            [bounds]
            policy = "proved"
        "#;
        let facts = |shape: &[usize], batched, frac_bits, bits| Facts {
            shape: shape.to_vec(),
            batched,
            frac_bits,
            bound: Bound { bits, source: Source::Proved },
        };
        let node =
            |name: &str, op, inputs: &[usize], facts| Node { name: name.into(), op, inputs: inputs.to_vec(), facts };
        let graph = Graph {
            nodes: vec![
                node("input", Op::Input, &[], facts(&[1, 2, 2], true, 16, 19)),
                node("flat", Op::Reshape(Reshape { shape: vec![4] }), &[0], facts(&[4], true, 16, 19)),
                node("weights", Op::Weight(0), &[], facts(&[4, 3], false, 16, 17)),
                node("product", Op::MatMul, &[1, 2], facts(&[3], true, 32, 38)),
                node("scores", Op::Rescale(Rescale { bits: 16 }), &[3], facts(&[3], true, 16, 22)),
            ],
            weights: vec![WeightSpec { name: "weights".into(), shape: vec![4, 3], frac_bits: 16 }],
            outputs: vec![4],
        };
        graph.validate().unwrap();
        let dealt = share::<Arithmetic, u64>(&Tensor::from_shape_vec(&[12][..], weights).unwrap()).unwrap();
        Self { publication: [publication; 32], manifest: manifest.into(), graph, dealt }
    }

    /// The announcement of a party's share.
    pub(crate) fn upload(&self, role: Role) -> Upload {
        let share = encode_dealt(&self.dealt[role.index()]);
        Upload {
            publication: self.publication,
            manifest: self.manifest.clone(),
            graph: codec::encode(&self.graph).unwrap(),
            length: share.len() as u64,
            digest: Sha256::digest(&share).into(),
        }
    }

    /// A request for `samples` samples.
    pub(crate) fn classify(&self, samples: usize) -> Evaluate {
        Evaluate {
            stamp: Stamp::fresh().unwrap(),
            subject: Subject::Published(self.publication),
            question: Question::Label,
            windows: vec![1; samples],
            security: Mode::Active,
            timeout_ms: 60_000,
        }
    }
}
