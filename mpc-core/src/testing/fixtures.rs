//! Inputs for tests, and their outputs.

use crate::error::Result;
use crate::kernel::ConvGeometry;
use crate::model::op::SumWindows;
use crate::model::{Bound, Facts, Graph, Node, Op, Source};
use crate::ring::{Domain, Tensor, Word};
use crate::sharing::{self, InputRange, RangedShare, Share, reconstruct, share, share_ranged};

/// A tensor of `shape` over `data`.
///
/// # Panics
/// If the number of elements differs.
pub fn tensor<W: Word>(shape: &[usize], data: Vec<W>) -> Tensor<W> {
    sharing::tensor(shape, data)
}

/// A tensor of one dimension.
pub fn vector<W: Word>(words: &[W]) -> Tensor<W> {
    tensor(&[words.len()], words.to_vec())
}

/// Numbers of up to 47 bits that look random, the same for the same seed.
pub fn numbers<W: Word>(shape: &[usize], seed: u64) -> Tensor<W> {
    let number = |i: u64| W::from_u64((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17);
    tensor(shape, (0..shape.iter().product::<usize>() as u64).map(number).collect())
}

/// A convolution with one group, stride 1 and no padding; a test changes what it needs.
pub fn geometry([in_channels, out_channels]: [usize; 2], input: [usize; 2], kernel: [usize; 2]) -> ConvGeometry {
    ConvGeometry {
        in_channels,
        out_channels,
        groups: 1,
        input,
        kernel,
        stride: [1; 2],
        dilation: [1; 2],
        pad_begin: [0; 2],
        pad_end: [0; 2],
    }
}

/// The three parties' shares of a secret.
///
/// # Panics
/// If the operating system has no randomness.
pub fn deal<D: Domain, W: Word>(secret: &Tensor<W>) -> [Share<D, W>; 3] {
    let dealt = share::<D, W>(secret).expect("randomness");
    dealt.map(|dealt| Share::new(dealt.own.expand(secret.shape()), dealt.next.expand(secret.shape())))
}

/// The three parties' shares of numbers within a range.
///
/// # Panics
/// If a number is not in the range, or the operating system has no randomness.
pub fn deal_ranged(secret: &Tensor<u64>, range: InputRange) -> [RangedShare; 3] {
    let dealt = share_ranged(secret, range).expect("numbers in range, and randomness");
    dealt.map(|dealt| RangedShare::from_dealt(&dealt, secret.shape(), range))
}

/// The three parties' shares from a dealer that chose these components.
pub fn deal_components(components: &[Tensor<u64>; 3], range: InputRange) -> [RangedShare; 3] {
    [0, 1, 2].map(|role| RangedShare::new(&components[role], &components[(role + 1) % 3], range))
}

/// The value shared by three honest parties.
///
/// # Panics
/// If a party failed, or copies of a component differ.
pub fn revealed<D: Domain, W: Word>(shares: [Result<Share<D, W>>; 3]) -> Tensor<W> {
    reconstruct(&shares.map(|share| share.expect("an honest run succeeds"))).expect("equal copies")
}

/// A graph that hands its input to the head, `size` numbers a window; up to `windows` windows are added up.
///
/// # Panics
/// If `size` or `windows` is 0.
pub fn identity(size: usize, windows: u32) -> Graph {
    let node = |name: &str, op, inputs, bits| {
        let bound = Bound { bits, source: Source::Proved };
        Node { name: name.into(), op, inputs, facts: Facts { shape: vec![size], batched: true, frac_bits: 16, bound } }
    };
    let nodes = vec![
        // Wider than what tests deal, as a dealer could exceed its range.
        node("input", Op::Input, Vec::new(), 24),
        node("windows", Op::SumWindows(SumWindows { max: windows }), vec![0], 22 + windows.ilog2()),
    ];
    let graph = Graph { nodes, weights: Vec::new(), outputs: vec![1] };
    graph.validate().expect("a valid graph");
    graph
}
