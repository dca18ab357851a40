//! Filters: every pixel becomes a weighted sum of its neighbours, and no server sees the picture or the weights.
//!
//! The client cuts the picture into tiles and encloses with each a network of one convolution, whose weights are the
//! kernel; both travel as shares. Sums are exact in Z_2^64, so nothing is truncated and nothing is compared; the client
//! rounds. The servers learn the size of the picture, its number of colours and whether the kernel is 3x3 or 5x5.

mod stencil;

use std::time::Duration;

use mpc_core::inference::clear::evaluate_fixed;
use mpc_core::kernel::ConvGeometry;
use mpc_core::model::{Bound, Facts, Graph, Node, Op, Source, WeightSpec, encode_weights};
use mpc_core::ring::fixed;
use mpc_core::session::Mode;
use ndarray::{ArrayD, IxDyn};
use parking_lot::Mutex;

pub use stencil::Stencil;

use crate::connect::Client;
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::session::Terms;
use crate::transport::Transport;

/// Largest side of a tile, in pixels: a server needs about 200 MiB for three colours of it.
const TILE: usize = 256;

/// Fractional bits of a kernel: rounding its 25 numbers moves a sum of values up to 255 by less than 0.0004.
const FRAC_BITS: u32 = 24;

/// |value of a pixel| < 2^8, dealt so that any dealer's is below 2^10; |number of a kernel| < 2^(7 + 24 + 1), and fewer than
/// 2^5 of them are added.
const BITS: [u32; 3] = [10, 8 + FRAC_BITS, 10 + 8 + FRAC_BITS + 5];

/// A filtered picture, and its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Filtered {
    /// The picture, in the original's size. Values are rounded, and clipped to 0 to 255; transparency is that of the
    /// original.
    pub picture: Picture,
    /// Number of sessions.
    pub tiles: usize,
    /// The security of the computation; `None` where it was in the clear.
    pub security: Option<Mode>,
    /// Rounds between the parties, of all sessions.
    pub rounds: u64,
    /// Payload bytes that each party sent to the others.
    pub bytes_sent: [u64; 3],
}

impl<T: Transport> Client<T> {
    /// Filters a picture, with `security` or what the parties demand, whichever is stricter; the values at its edges
    /// repeat beyond them. Each tile has `timeout`. `progress` receives the numbers of finished tiles and of all tiles.
    ///
    /// # Errors
    /// Those of [`Client::classify`].
    pub async fn filter(
        &self,
        kernel: &Stencil,
        picture: &Picture,
        security: Mode,
        timeout: Duration,
        progress: impl Fn(usize, usize),
    ) -> Result<Filtered> {
        let security = security.max(self.models().await?.minimum);
        let (terms, tiles) = (Terms { security, timeout }, cut(picture));
        progress(0, tiles.len());
        let filtered = Mutex::new((0, Filtered::of(picture.clone(), tiles.len(), Some(security))));
        let lane = async |first: usize| {
            for tile in tiles.iter().skip(first).step_by(2) {
                let (values, rounds, bytes_sent) = self.filter_tile(kernel, picture, tile, terms).await?;
                let mut filtered = filtered.lock();
                let (done, filtered) = &mut *filtered;
                filtered.picture.paste(tile, &values);
                filtered.rounds += rounds;
                filtered.bytes_sent.iter_mut().zip(bytes_sent).for_each(|(sum, bytes)| *sum += bytes);
                *done += 1;
                progress(*done, tiles.len());
            }
            Ok::<(), Error>(())
        };
        // One tile travels while another is computed.
        tokio::try_join!(lane(0), lane(1))?;
        Ok(filtered.into_inner().1)
    }

    /// The sums of one tile.
    async fn filter_tile(
        &self,
        kernel: &Stencil,
        picture: &Picture,
        tile: &Tile,
        terms: Terms,
    ) -> Result<(Vec<f64>, u64, [u64; 3])> {
        let graph = graph(kernel.side, tile);
        let input = picture.cut(tile, kernel.side / 2);
        let words = ArrayD::from_shape_vec(input.shape(), input.iter().map(|&value| value as u64).collect());
        let words = words.map_err(|e| Error::Internal(e.to_string()))?.into_shared();
        let weights = encode_weights(&graph, &[kernel.weight()])?.swap_remove(0);
        let (sums, rounds, bytes_sent) = self.enclosed(&graph, terms, picture.colours(), &words, &weights).await?;
        Ok((sums.iter().map(|&word| fixed::decode(word, FRAC_BITS)).collect(), rounds, bytes_sent))
    }
}

/// Filters on this machine, with the arithmetic of the servers.
///
/// # Errors
/// None in practice: every picture suits every kernel.
pub fn clear(kernel: &Stencil, picture: &Picture) -> Result<Filtered> {
    let tiles = cut(picture);
    let mut filtered = Filtered::of(picture.clone(), tiles.len(), None);
    for tile in &tiles {
        let input = picture.cut(tile, kernel.side / 2);
        let windows = vec![1; picture.colours()];
        let sums = evaluate_fixed(&graph(kernel.side, tile), &[kernel.weight()], &[input], &windows)?.swap_remove(0);
        filtered.picture.paste(tile, &sums.into_iter().collect::<Vec<_>>());
    }
    Ok(filtered)
}

/// The number of questions that a picture takes.
pub fn tiles(picture: &Picture) -> usize {
    cut(picture).len()
}

impl Filtered {
    fn of(picture: Picture, tiles: usize, security: Option<Mode>) -> Self {
        Self { picture, tiles, security, rounds: 0, bytes_sent: [0; 3] }
    }
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

fn cut(picture: &Picture) -> Vec<Tile> {
    let starts = |length: usize| (0..length).step_by(TILE);
    let part = |start: usize, length: usize| TILE.min(length - start);
    let row = |top| {
        let height = part(top, picture.height);
        starts(picture.width).map(move |left| Tile { left, top, width: part(left, picture.width), height })
    };
    starts(picture.height).flat_map(row).collect()
}

impl Picture {
    /// The values of a tile and of `margin` pixels around it, `[colours, 1, height, width]`.
    fn cut(&self, tile: &Tile, margin: usize) -> ArrayD<f64> {
        let at = |start: usize, i: usize, length: usize| (start + i).saturating_sub(margin).min(length - 1);
        let shape = [self.colours(), 1, tile.height + 2 * margin, tile.width + 2 * margin];
        ArrayD::from_shape_fn(IxDyn(&shape), |i| {
            let (y, x) = (at(tile.top, i[2], self.height), at(tile.left, i[3], self.width));
            f64::from(self.values[(y * self.width + x) * self.channels + i[0]])
        })
    }

    /// Rounds and clips the values of a tile, one colour after the other, and puts them in place.
    fn paste(&mut self, tile: &Tile, values: &[f64]) {
        for (i, value) in values.iter().enumerate() {
            let (pixel, colour) = (i % (tile.height * tile.width), i / (tile.height * tile.width));
            let (y, x) = (tile.top + pixel / tile.width, tile.left + pixel % tile.width);
            self.values[(y * self.width + x) * self.channels + colour] = value.round().clamp(0.0, 255.0) as u8;
        }
    }
}

impl Stencil {
    fn weight(&self) -> ArrayD<f64> {
        ArrayD::from_shape_fn(IxDyn(&[1, 1, self.side, self.side]), |i| self.taps[i[2] * self.side + i[3]])
    }
}

/// One convolution of a tile with its margin; each colour is a sample.
fn graph(side: usize, tile: &Tile) -> Graph {
    let input = [tile.height + side - 1, tile.width + side - 1];
    let geometry = ConvGeometry {
        in_channels: 1,
        out_channels: 1,
        groups: 1,
        input,
        kernel: [side; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad_begin: [0; 2],
        pad_end: [0; 2],
    };
    let kernel = WeightSpec { name: "kernel".into(), shape: vec![1, 1, side, side], frac_bits: FRAC_BITS };
    let node = |name: &str, op: Op, inputs: &[usize], shape: &[usize], (frac_bits, bits): (u32, u32)| {
        let (shape, batched) = (shape.to_vec(), !matches!(op, Op::Weight(_)));
        let bound = Bound { bits, source: Source::Proved };
        Node { name: name.into(), op, inputs: inputs.to_vec(), facts: Facts { shape, batched, frac_bits, bound } }
    };
    let nodes = vec![
        node("tile", Op::Input, &[], &[1, input[0], input[1]], (0, BITS[0])),
        node("kernel", Op::Weight(0), &[], &kernel.shape, (FRAC_BITS, BITS[1])),
        node("sums", Op::Conv(geometry), &[0, 1], &[1, tile.height, tile.width], (FRAC_BITS, BITS[2])),
    ];
    Graph { nodes, weights: vec![kernel], outputs: vec![2] }
}

#[cfg(test)]
mod tests;
