use super::*;

/// Numbers that look random, the same for a seed.
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

fn picture(seed: u64, width: usize, height: usize, channels: usize) -> Picture {
    let mut next = numbers(seed);
    let values = (0..width * height * channels).map(|_| next() as u8).collect();
    Picture { width, height, channels, values }
}

/// The filter straight from its definition, in float64.
fn reference(kernel: &Stencil, picture: &Picture) -> Vec<f64> {
    let (n, colours) = (kernel.side as isize, picture.colours());
    let clamp = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
    let value =
        |y: usize, x: usize, c: usize| f64::from(picture.values[(y * picture.width + x) * picture.channels + c]);
    let sum = |y: usize, x: usize, c: usize| {
        let tap = |i: isize| {
            let (dy, dx) = (i / n - n / 2, i % n - n / 2);
            let (y, x) = (clamp(y as isize + dy, picture.height), clamp(x as isize + dx, picture.width));
            kernel.taps[i as usize] * value(y, x, c)
        };
        (0..n * n).map(tap).sum::<f64>().clamp(0.0, 255.0)
    };
    let pixels = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (y, x)));
    pixels
        .flat_map(|(y, x)| (0..picture.channels).map(move |c| if c < colours { sum(y, x, c) } else { value(y, x, c) }))
        .collect()
}

#[test]
fn tiles_cover_a_picture_once() {
    for (width, height) in [(1, 1), (TILE, TILE), (TILE + 1, 2 * TILE + 1), (4096, 100)] {
        let all = cut(&picture(0, width, height, 1));
        assert_eq!(all.iter().map(|tile| tile.width * tile.height).sum::<usize>(), width * height);
        assert!(all.iter().all(|tile| tile.left + tile.width <= width && tile.top + tile.height <= height));
        let mut corners: Vec<_> = all.iter().map(|tile| (tile.left, tile.top)).collect();
        corners.sort_unstable();
        corners.dedup();
        assert_eq!(corners.len(), all.len());
    }
}

#[test]
fn graphs_are_valid_at_every_size() {
    for (side, width, height) in [(3, 1, 1), (5, 1, 1), (3, TILE, 7), (5, TILE, TILE)] {
        graph(side, &Tile { left: 0, top: 0, width, height }).validate().unwrap();
    }
}

#[test]
fn the_clear_filter_is_the_definition() {
    let mut next = numbers(7);
    let own = Stencil::new((0..25).map(|_| next() as f64 / 2e8 - 5.0).collect()).unwrap();
    for kernel in Stencil::names().filter_map(Stencil::named).chain([own]) {
        for (seed, (width, height, channels)) in
            [(1, 1, 1), (2, 3, 2), (31, 17, 3), (5, 40, 4), (TILE + 3, 4, 1)].into_iter().enumerate()
        {
            let picture = picture(seed as u64, width, height, channels);
            let filtered = clear(&kernel, &picture).unwrap().picture;
            assert_eq!((filtered.width, filtered.height, filtered.channels), (width, height, channels));
            for (i, (got, expected)) in filtered.values.iter().zip(reference(&kernel, &picture)).enumerate() {
                // Half a level of rounding, and the rounded kernel.
                assert!(
                    (f64::from(*got) - expected).abs() <= 0.501,
                    "{kernel:?}, seed {seed}, value {i}: {got}, {expected}"
                );
            }
        }
    }
}
