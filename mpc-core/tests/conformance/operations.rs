//! Every operation alone, on random shapes.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn conv(
        seed: u64, groups in 1..3usize, channels in [1..3usize, 1..4usize], input in [5..8usize, 5..8usize],
        kernel in [1..4usize, 1..4usize], stride in [1..3usize, 1..3usize], dilation in [1..3usize, 1..3usize],
        pad_begin in [0..3usize, 0..3usize], pad_end in [0..3usize, 0..3usize],
    ) {
        let [in_channels, out_channels] = channels.map(|c| c * groups);
        let mut case = Case::new(seed, &[in_channels, input[0], input[1]]);
        let w = case.weight(&[out_channels, in_channels / groups, kernel[0], kernel[1]]);
        let bias = case.weight(&[out_channels, 1, 1]);
        let geometry =
            ConvGeometry { in_channels, out_channels, groups, input, kernel, stride, dilation, pad_begin, pad_end };
        let y = case.push(FloatOp::Conv(geometry), &[0, w]);
        case.push(FloatOp::Add, &[y, bias]);
        case.check(&[1, 1]);
    }

    #[test]
    fn matmul(seed: u64, m in 0..4usize, k in 1..30usize, n in 1..10usize) {
        let input = if m == 0 { vec![k] } else { vec![m, k] };
        let mut case = Case::new(seed, &input);
        let w = case.weight(&[k, n]);
        let y = case.push(FloatOp::MatMul, &[0, w]);
        let v = case.weight(&[n, 2]);
        case.push(FloatOp::MatMul, &[y, v]);
        case.check(&[1, 1, 1]);
    }

    #[test]
    fn arithmetic(seed: u64, c in 1..4usize, h in 1..4usize, w in 1..4usize, factor in -3.0..3.0f64) {
        let mut case = Case::new(seed, &[c, h, w]);
        let (per_channel, per_element) = (case.weight(&[c, 1, 1]), case.weight(&[h, w]));
        let x = case.push(FloatOp::Mul, &[per_channel, 0]);
        let x = case.push(FloatOp::Add, &[x, per_element]);
        let x = case.push(FloatOp::Sub, &[x, 0]);
        let y = case.push(FloatOp::Scale(Scale { factor }), &[x]);
        let y = case.push(FloatOp::Offset(Offset { constant: factor }), &[y]);
        let y = case.push(FloatOp::Mul, &[x, y]);
        let scalar = case.weight(&[1]);
        let y = case.push(FloatOp::Sub, &[scalar, y]);
        case.push(FloatOp::Scale(Scale { factor: 0.25 }), &[y]);
        case.check(&[1, 1]);
    }

    #[test]
    fn relu(seed: u64, n in 1..200usize, ceiling in prop::option::of(0.1..6.0f64), product: bool) {
        let mut case = Case::new(seed, &[n]);
        let mut x = 0;
        if product {
            let w = case.weight(&[n]);
            x = case.push(FloatOp::Mul, &[0, w]);
        }
        case.push(FloatOp::Relu(Relu { ceiling }), &[x]);
        case.check(&[1]);
    }

    #[test]
    fn pools(
        seed: u64, max: bool, c in 1..3usize, input in [4..8usize, 4..8usize], kernel in [1..4usize, 1..4usize],
        stride in [1..4usize, 1..4usize], padding in [0..3usize, 0..3usize], relu: bool,
    ) {
        let mut case = Case::new(seed, &[c, input[0], input[1]]);
        let w = case.weight(&[c, 1, 1]);
        let mut x = case.push(FloatOp::Mul, &[0, w]);
        if relu {
            x = case.push(FloatOp::Relu(Relu::default()), &[x]);
        }
        let geometry = pool(input, kernel, stride, padding);
        let factor = 1.0 / geometry.window() as f64;
        if max {
            case.push(FloatOp::MaxPool(MaxPool(geometry)), &[x]);
        } else {
            let sum = case.push(FloatOp::SumPool(SumPool(geometry)), &[x]);
            case.push(FloatOp::Scale(Scale { factor }), &[sum]);
        }
        case.check(&[1, 1]);
    }

    #[test]
    fn rearrangements(seed: u64, a in 1..4usize, b in 1..4usize, c in 1..4usize, axis in 0..3usize) {
        let mut case = Case::new(seed, &[a, b, c]);
        let x = case.push(FloatOp::Pad(Pad { begin: vec![1, 0, 2], end: vec![0, 1, 0] }), &[0]);
        let y = case.push(FloatOp::Transpose(Transpose { perm: vec![2, 0, 1] }), &[x]);
        let shape = case.network.shape(x).to_vec();
        let y = case.push(FloatOp::Reshape(Reshape { shape }), &[y]);
        let w = case.weight(&[1]);
        let z = case.push(FloatOp::Mul, &[x, w]);
        case.push(FloatOp::Concat(Concat { axis }), &[x, y, z]);
        case.push(FloatOp::ReduceSum(ReduceSum { axes: vec![axis] }), &[case.network.outputs()[0]]);
        case.check(&[1, 1]);
    }
}
