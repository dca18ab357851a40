//! Every kernel of this machine against formulas written down independently, in 128 bits or bit by bit.

use mpc_core::kernel::{ConvGeometry, Kernel};
use mpc_core::ring::{Arithmetic, Boolean, Domain, Word};
use mpc_core::testing;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Sizes around those of vectors, tiles, panels and cache lines.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        1usize..12,
        prop::sample::select(vec![1, 7, 8, 15, 16, 17, 23, 24, 25, 31, 63, 64, 65, 127, 128, 129, 130])
    ]
}

/// Pseudorandom words from a seed (splitmix64), one in eight of them an extreme.
fn words(seed: u64, len: usize) -> Vec<u64> {
    let word = |i: usize| {
        let mut z = (seed ^ (i as u64) << 32).wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match z >> 59 {
            0 => u64::MAX,
            1 => 0,
            2 => 1 << 63,
            3 => u64::from(u32::MAX),
            _ => z ^ (z >> 31),
        }
    };
    (0..len).map(word).collect()
}

/// Sum of products modulo 2^64, plus what was there.
fn sum(start: u64, products: impl Iterator<Item = (u64, u64)>) -> u64 {
    let modulus = 1u128 << 64;
    products.fold(u128::from(start), |sum, (a, b)| (sum + u128::from(a) * u128::from(b) % modulus) % modulus) as u64
}

fn check_gemm([m, k, n]: [usize; 3], seed: u64) -> TestCaseResult {
    let (a, b, c) = (words(seed, m * k), words(seed ^ 1, k * n), words(seed ^ 2, m * n));
    let entry = |e: usize| sum(c[e], (0..k).map(|l| (a[e / n * k + l], b[l * n + e % n])));
    let expected: Vec<u64> = (0..m * n).map(entry).collect();
    for kernel in Kernel::available() {
        let mut c = c.clone();
        kernel.gemm([m, k, n], &a, &b, &mut c);
        prop_assert_eq!(&c, &expected, "{}", kernel);
    }
    Ok(())
}

/// The definition in the ONNX operator `Conv`, by scattering: every weight adds to every output it reaches.
fn reference_conv(g: &ConvGeometry, batch: usize, x: &[u64], w: &[u64], y: &mut [u64]) {
    let ([height, width], [in_h, in_w]) = (g.output(), g.input);
    let (per_in, per_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
    for (index, weight) in w.iter().enumerate() {
        let (tap_x, rest) = (index % g.kernel[1], index / g.kernel[1]);
        let (tap_y, rest) = (rest % g.kernel[0], rest / g.kernel[0]);
        let (in_group, out) = (rest % per_in, rest / per_in);
        let channel = out / per_out * per_in + in_group;
        for (b, oy, ox) in (0..batch * height * width).map(|i| (i / width / height, i / width % height, i % width)) {
            let at = |d: usize, o: usize, tap: usize| {
                (o * g.stride[d] + tap * g.dilation[d]) as isize - g.pad_begin[d] as isize
            };
            let (iy, ix) = (at(0, oy, tap_y), at(1, ox, tap_x));
            if (0..in_h as isize).contains(&iy) && (0..in_w as isize).contains(&ix) {
                let x = x[((b * g.in_channels + channel) * in_h + iy as usize) * in_w + ix as usize];
                let y = &mut y[((b * g.out_channels + out) * height + oy) * width + ox];
                *y = sum(*y, [(x, *weight)].into_iter());
            }
        }
    }
}

fn check_conv(g: &ConvGeometry, batch: usize, seed: u64) -> TestCaseResult {
    prop_assert!(g.validate().is_ok());
    let [height, width] = g.output();
    let x = words(seed, batch * g.in_channels * g.input[0] * g.input[1]);
    let w = words(seed ^ 1, g.out_channels * g.in_channels / g.groups * g.kernel[0] * g.kernel[1]);
    let y = words(seed ^ 2, batch * g.out_channels * height * width);
    let mut expected = y.clone();
    reference_conv(g, batch, &x, &w, &mut expected);
    for kernel in Kernel::available() {
        let mut y = y.clone();
        kernel.conv(g, batch, &x, &w, &mut y);
        prop_assert_eq!(&y, &expected, "{}", kernel);
    }
    Ok(())
}

/// Sizes along one dimension: input, kernel, stride, dilation, padding before and after.
fn dimension() -> impl Strategy<Value = [usize; 6]> {
    let sizes = (prop_oneof![1usize..12, 20usize..40], 1usize..5, 1usize..4, 1usize..3, 0usize..4, 0usize..4);
    sizes
        .prop_map(|(input, kernel, stride, dilation, begin, end)| [input, kernel, stride, dilation, begin, end])
        .prop_filter("the kernel fits", |[input, kernel, _, dilation, begin, end]| {
            (kernel - 1) * dilation < input + begin + end
        })
}

fn geometry() -> impl Strategy<Value = ConvGeometry> {
    let line = Just([1, 1, 1, 1, 0, 0]);
    let channels = (1usize..6, 1usize..10, 1usize..4);
    (channels, prop_oneof![line, dimension()], dimension()).prop_map(|((per_in, per_out, groups), h, w)| ConvGeometry {
        in_channels: per_in * groups,
        out_channels: per_out * groups,
        groups,
        input: [h[0], w[0]],
        kernel: [h[1], w[1]],
        stride: [h[2], w[2]],
        dilation: [h[3], w[3]],
        pad_begin: [h[4], w[4]],
        pad_end: [h[5], w[5]],
    })
}

fn check_planes<W: Word>(seed: u64, n: usize, k: usize) -> TestCaseResult {
    let k = k.min(W::BITS as usize);
    let words: Vec<W> = words(seed, n).into_iter().map(W::from_u64).collect();
    let per_plane = n.div_ceil(64);
    let mut expected = vec![0u64; k * per_plane];
    for (e, p) in (0..n * k).map(|i| (i / k, i % k)).filter(|&(e, p)| words[e].to_u64() & 1 << p != 0) {
        expected[p * per_plane + e / 64] |= 1 << (e % 64);
    }
    let low = |word: &W| W::from_u64(word.to_u64() & u64::MAX.checked_shr(64 - k as u32).unwrap_or(0));
    let restored: Vec<W> = words.iter().map(low).collect();
    for kernel in Kernel::available() {
        prop_assert_eq!(&kernel.to_planes(&words, 0..k), &expected, "{}", kernel);
        prop_assert_eq!(&kernel.to_planes(&words, k / 2..k), &expected[k / 2 * per_plane..], "{}", kernel);
        let top = k.saturating_sub(2);
        prop_assert_eq!(&kernel.to_planes(&words, top..k), &expected[top * per_plane..], "{}", kernel);
        prop_assert_eq!(&kernel.from_planes::<W>(&expected, n), &restored, "{}", kernel);
    }
    Ok(())
}

fn check_product<D: Domain, W: Word>(seed: u64, n: usize, product: impl Fn([u64; 4]) -> u64) -> TestCaseResult {
    let operand = |i: u64| words(seed ^ i, n).into_iter().map(W::from_u64).collect::<Vec<W>>();
    let [x0, x1, y0, y1] = [0, 1, 2, 3].map(operand);
    let entry = |i: usize| W::from_u64(product([&x0, &x1, &y0, &y1].map(|words| words[i].to_u64())));
    let expected: Vec<W> = (0..n).map(entry).collect();
    for kernel in Kernel::available() {
        prop_assert_eq!(&kernel.cross_product::<D, W>([&x0, &x1], [&y0, &y1]), &expected, "{}", kernel);
    }
    Ok(())
}

fn check_products<W: Word>(seed: u64, n: usize) -> TestCaseResult {
    check_product::<Arithmetic, W>(seed, n, |[x0, x1, y0, y1]| sum(0, [(x0, y0), (x0, y1), (x1, y0)].into_iter()))?;
    check_product::<Boolean, W>(seed, n, |[x0, x1, y0, y1]| (x0 & y0) ^ (x0 & y1) ^ (x1 & y0))
}

proptest! {
    #[test]
    fn matrix_products(m in size(), k in size(), n in size(), seed: u64) {
        check_gemm([m, k, n], seed)?;
    }

    #[test]
    fn convolutions(geometry in geometry(), batch in 1usize..4, seed: u64) {
        check_conv(&geometry, batch, seed)?;
    }

    #[test]
    fn planes(n in prop_oneof![0usize..70, 500usize..530, 1000usize..1600], k in 0usize..=64, seed: u64) {
        check_planes::<u8>(seed, n, k)?;
        check_planes::<u16>(seed, n, k)?;
        check_planes::<u32>(seed, n, k)?;
        check_planes::<u64>(seed, n, k)?;
    }

    #[test]
    fn cross_products(n in 0usize..300, seed: u64) {
        check_products::<u8>(seed, n)?;
        check_products::<u16>(seed, n)?;
        check_products::<u32>(seed, n)?;
        check_products::<u64>(seed, n)?;
    }

    #[test]
    fn any_geometry_is_judged_without_a_panic(sizes: [[usize; 2]; 6], small in 0usize..4, channels in 0usize..3) {
        let [input, kernel, stride, dilation, pad_begin, pad_end] = sizes.map(|pair| pair.map(|size| size >> (62 - small)));
        for [input, pad_begin] in [[input, pad_begin], [sizes[0], pad_begin], [input, sizes[4]]] {
            let (in_channels, out_channels, groups) = (2 * channels, 4, channels);
            let g = ConvGeometry { in_channels, out_channels, groups, input, kernel, stride, dilation, pad_begin, pad_end };
            let [height, width] = g.output();
            if g.validate().is_ok() {
                prop_assert!(height > 0 && width > 0 && out_channels * height * width <= ConvGeometry::MAX_ELEMENTS);
            }
        }
    }
}

#[test]
fn products_deeper_and_wider_than_a_panel() {
    for (seed, shape) in [[9, 300, 50], [3, 260, 1030], [2, 5, 2050], [40, 700, 3], [65, 1, 64]].into_iter().enumerate()
    {
        check_gemm(shape, seed as u64).unwrap();
    }
}

#[test]
fn nothing_to_multiply() {
    for kernel in Kernel::available() {
        let mut c = [1, 2];
        kernel.gemm([2, 0, 1], &[], &[], &mut c);
        assert_eq!(c, [1, 2]);
        kernel.gemm([0, 2, 1], &[], &[1, 2], &mut []);
        kernel.gemm([2, 1, 0], &[1, 2], &[], &mut []);
    }
}

#[test]
fn geometries_that_are_refused() {
    let valid = ConvGeometry { groups: 2, ..testing::geometry([4, 6], [1, 8], [1, 3]) };
    valid.validate().unwrap();
    let refused = |change: fn(&mut ConvGeometry), reason: &str| {
        let mut g = valid.clone();
        change(&mut g);
        let message = g.validate().unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    };
    refused(|g| g.groups = 0, "zero");
    refused(|g| g.stride[1] = 0, "zero");
    refused(|g| g.kernel[0] = 0, "zero");
    refused(|g| g.groups = 4, "divide");
    refused(|g| g.kernel[1] = 9, "fit");
    refused(|g| g.dilation[1] = usize::MAX, "fit");
    refused(|g| g.pad_end[1] = usize::MAX, "fit");
    refused(|g| g.pad_begin[0] = 1 << 40, "large");
    refused(|g| g.out_channels = 1 << 40, "large");
}
