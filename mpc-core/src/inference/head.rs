//! What the parties derive from a network's outputs before anybody learns anything: a label, a verdict, a match, or a
//! template.
//!
//! Pi holds (x_i, x_{i+1}) of the outputs, one row an input.
//!
//! Labels: a public threshold is one more candidate, local. Then the largest is sought ([`argmax`]), and its position
//! is what the client learns; that of the threshold means "unknown".
//!
//! Scores: each is rounded to the fractional bits that may be told ([`round`](fn@round)).
//!
//! Embeddings:
//!
//! 1. ... Each row is brought to length 1 ([`unit`](fn@unit)).
//! 2. Cosines: a matrix product, with the rows of the other inputs or with the enrolled templates. 1 round.
//! 3. ... The threshold is one more candidate, and the largest is sought. For two candidates the answer is "same" or
//!    "different", for many it is which template, or none. A model that reveals cosines has them rounded instead, as
//!    scores.
//!
//! A template to enrol is the mean of rows of length 1, brought to length 1 again; it stays with the parties.
//!
//! Private because the parts are, and nothing is opened here: what leaves is an [`Output`], which only the session's
//! own [`VerifiedParty`] releases.

use crate::error::{Error, Result};
use crate::model::graph::MAX_BITS_TRUNCATED;
use crate::model::manifest::{COSINE_BITS, Manifest, Reveal};
use crate::model::op::constant;
use crate::model::{Facts, Graph};
use crate::party::{Computed, Party, VerifiedParty};
use crate::plan::{Plan, Search};
use crate::protocol::argmax::argmax;
use crate::protocol::compare::Width;
use crate::protocol::product::{matmul, mul};
use crate::protocol::round::round;
use crate::protocol::truncate::truncate;
use crate::protocol::unit::{self, unit};
use crate::ring::{Boolean, Domain, Tensor, fixed::FRAC_BITS};
use crate::security::Digests;
use crate::session::Question;
use crate::sharing::{ArithmeticShare, Share, slice, tensor};

/// Shares of enrolled templates, and their digests, which a party computes once for all sessions.
#[derive(Debug, Clone)]
pub struct Templates {
    /// Shape `[size, templates]`: vectors of length 1 with 16 fractional bits.
    pub(super) columns: ArithmeticShare,
    pub(super) digests: Digests,
}

impl Templates {
    /// From the templates one after the other, each a vector of `size` elements.
    ///
    /// # Panics
    /// If one has another size.
    pub fn new(size: usize, rows: &[ArithmeticShare]) -> Self {
        let transpose = |component: fn(&ArithmeticShare) -> &Tensor<u64>| {
            let rows: Vec<&[u64]> = rows.iter().map(|row| slice(component(row))).collect();
            assert!(rows.iter().all(|row| row.len() == size), "templates of {size} elements");
            tensor(&[size, rows.len()], (0..size).flat_map(|i| rows.iter().map(move |row| row[i])).collect())
        };
        let columns = Share::new(transpose(Share::own), transpose(Share::next));
        Self { digests: Digests::of([&columns]), columns }
    }

    /// `count` dummy templates: what a comparison costs does not depend on them.
    pub fn rehearsed(size: usize, count: usize) -> Self {
        let component = tensor(&[size], vec![1; size]);
        Self::new(size, &vec![Share::new(component.clone(), component); count])
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.columns.shape()[1]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at `place`.
    fn only(&self, place: usize) -> ArithmeticShare {
        let &[size, n] = self.columns.shape() else { unreachable!("a matrix") };
        self.columns.map(|t| tensor(&[size, 1], slice(t)[place..].iter().step_by(n).copied().collect()))
    }
}

/// What the parties derive from the outputs, and what that needs.
#[derive(Debug, Clone)]
pub enum Head<'a> {
    /// The outputs themselves, with all their fractional bits: for the owner of the network.
    Outputs,
    /// Every output, rounded.
    Scores {
        /// Fractional bits that are left.
        frac_bits: u32,
    },
    /// The position of each row's largest score; one more than the last where none reaches `unknown` times the windows
    /// of the input.
    Label {
        /// The threshold.
        unknown: Option<f64>,
    },
    /// For each two rows, their cosine, or 0 where that is at least the threshold and 1 where not.
    Pairs(Told),
    /// For each row, the cosines with templates, or the position of the largest; their number where that is below the
    /// threshold.
    Match {
        /// All enrolled templates.
        templates: &'a Templates,
        /// The only one that counts.
        place: Option<usize>,
        /// What is told.
        told: Told,
    },
    /// The mean of all rows.
    Template,
}

/// What is told of cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told {
    /// Which is the largest, if it reaches this threshold.
    Largest(f64),
    /// All of them, rounded to so many fractional bits.
    Cosines(u32),
}

impl<'a> Head<'a> {
    /// What `question` about `inputs` inputs means for a model with this manifest and graph. `templates` are those of
    /// the gallery that the question names.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the question does not suit the model or the number of inputs.
    pub fn new(
        question: &Question,
        manifest: &Manifest,
        graph: &Graph,
        inputs: usize,
        templates: Option<&'a Templates>,
    ) -> Result<Self> {
        let refuse = |reason: String| Err(Error::invalid("question", reason));
        let labels = manifest.reveal == Reveal::Label;
        let Some(embedding) = &manifest.embedding else {
            return match (question, labels) {
                (Question::Label, true) => {
                    Ok(Self::Label { unknown: manifest.unknown.as_ref().map(|unknown| unknown.threshold) })
                }
                (Question::Label, false) => Ok(Self::Scores { frac_bits: manifest.score_bits(graph) }),
                _ => refuse(format!("the model {:?} answers with labels; it compares nothing", manifest.name)),
            };
        };
        let largest = Told::Largest(embedding.threshold);
        let told = if labels { largest } else { Told::Cosines(manifest.score_bits(graph)) };
        match (question, templates) {
            (Question::Label | Question::Output, _) => {
                refuse(format!("the model {:?} compares inputs; it has no labels for one alone", manifest.name))
            }
            (Question::Same, _) if inputs % 2 == 1 => refuse("inputs are compared two by two, one is left over".into()),
            (Question::Same, _) => Ok(Self::Pairs(told)),
            (Question::Enrol, _) => Ok(Self::Template),
            (Question::Is { .. } | Question::Who { .. }, None) => refuse("there is no such gallery".into()),
            (Question::Who { .. }, Some(templates)) if templates.is_empty() => refuse("nobody is enrolled yet".into()),
            (Question::Who { .. }, Some(templates)) => Ok(Self::Match { templates, place: None, told: largest }),
            (Question::Is { place, .. }, Some(templates)) => {
                let place = *place as usize;
                if place >= templates.len() {
                    return refuse(format!("place {place} of a gallery of {}", templates.len()));
                }
                Ok(Self::Match { templates, place: Some(place), told })
            }
        }
    }

    /// The templates that it compares with.
    pub(super) fn templates(&self) -> Option<&'a Templates> {
        match self {
            Self::Match { templates, .. } => Some(templates),
            _ => None,
        }
    }

    /// Refuses a graph whose outputs are not what this is made of.
    pub(super) fn check(&self, graph: &Graph) -> Result<()> {
        if matches!(self, Self::Outputs) {
            return Ok(());
        }
        graph.check_served()?;
        let Facts { shape, bound, frac_bits: computed, .. } = graph.output();
        if let Self::Scores { frac_bits } = self
            && computed > frac_bits
            && bound.bits.max(computed - frac_bits) > MAX_BITS_TRUNCATED
        {
            let reason = format!("has scores of {} bits; at most {MAX_BITS_TRUNCATED} can be rounded", bound.bits);
            return Err(Error::invalid("the graph's output", reason));
        }
        let fits = match self {
            Self::Outputs | Self::Scores { .. } => true,
            Self::Label { .. } | Self::Pairs(_) | Self::Template => shape.len() == 1,
            Self::Match { templates, .. } => shape[..] == templates.columns.shape()[..1],
        };
        let reason = || format!("has shape {shape:?} for each input, which is no row of scores and no such embedding");
        if fits { Ok(()) } else { Err(Error::invalid("the graph's output", reason())) }
    }

    /// The search for the largest, if there is one.
    pub fn search(&self, graph: &Graph, inputs: usize) -> Option<Search> {
        let output = graph.output();
        let classes = output.shape.first().copied().unwrap_or(1);
        match self {
            Self::Label { unknown: None } => {
                Some(Search { rows: inputs, candidates: classes, width: graph.width(output) })
            }
            Self::Label { unknown: Some(threshold) } => {
                let most = threshold.abs() * f64::from(graph.max_windows()) * f64::from(output.frac_bits).exp2();
                let bits = output.bound.bits.max(most.log2().ceil().max(0.0) as u32 + 1);
                let mut facts = output.clone();
                facts.bound.bits = bits;
                Some(Search { rows: inputs, candidates: classes + 1, width: graph.width(&facts) })
            }
            Self::Pairs(Told::Largest(_)) => Some(Search { rows: inputs / 2, candidates: 2, width: COSINE }),
            Self::Match { templates, place, told: Told::Largest(_) } => {
                let candidates = place.map_or(templates.len(), |_| 1) + 1;
                Some(Search { rows: inputs, candidates, width: COSINE })
            }
            Self::Outputs | Self::Scores { .. } | Self::Pairs(_) | Self::Match { .. } | Self::Template => None,
        }
    }

    /// From the outputs of the network, `[inputs, ..]` each, to what may leave or stay; `facts` are those of the first
    /// one. Rounds: see the module.
    ///
    /// # Errors
    /// Those of the protocols.
    pub(super) fn apply(
        &self,
        party: &mut Party,
        outputs: &[ArithmeticShare],
        facts: &Facts,
        windows: &[u32],
        (search, plan): (Option<Search>, &Plan),
    ) -> Result<Output> {
        let rows = &outputs[0];
        let (rows, threshold) = match self {
            Self::Outputs => return Ok(Output::Scores(outputs.to_vec())),
            Self::Scores { frac_bits } => return rounded(party, rows, facts.frac_bits, *frac_bits),
            Self::Label { unknown } => {
                let least = unknown.map(|least| {
                    let each = |&n: &u32| constant(least * f64::from(n), facts.frac_bits);
                    windows.iter().map(each).collect::<Result<Vec<u64>>>()
                });
                (rows.clone(), least.transpose()?)
            }
            Self::Pairs(told) | Self::Match { told, .. } => {
                let rows = embeddings(party, rows, facts)?;
                let cosines = self.cosines(party, &rows)?;
                let n = cosines.shape()[0];
                match told {
                    Told::Cosines(frac_bits) => return rounded(party, &cosines, COSINE_BITS, *frac_bits),
                    Told::Largest(threshold) => (cosines, Some(cosine(*threshold, n)?)),
                }
            }
            Self::Template => {
                let rows = embeddings(party, rows, facts)?;
                return Ok(Output::Template(mean(party, &rows)?));
            }
        };
        let Some(search) = search else { unreachable!("numbers were returned above") };
        let candidates = match threshold {
            Some(threshold) => append(party, &rows, &threshold),
            None => rows,
        };
        Ok(Output::Labels(argmax(party, &candidates, search.width, plan.argmax())?))
    }

    /// The cosines of rows of length 1 with each other or with templates: 32 fractional bits. 1 round.
    fn cosines(&self, party: &mut Party, rows: &ArithmeticShare) -> Result<ArithmeticShare> {
        match self {
            Self::Match { templates, place: Some(place), .. } => matmul(party, rows, &templates.only(*place)),
            Self::Match { templates, place: None, .. } => matmul(party, rows, &templates.columns),
            _ => pairs(party, rows),
        }
    }
}

/// The width of a cosine: below 2 with 32 fractional bits, compared to 20 of them.
const COSINE: Width = Width { bits: COSINE_BITS + 3, drop: FRAC_BITS - 4 };

/// Numbers to hand out, with at most `frac_bits` of the fractional bits they were `computed` with.
fn rounded(party: &mut Party, numbers: &ArithmeticShare, computed: u32, frac_bits: u32) -> Result<Output> {
    Ok(Output::Scores(vec![match computed.saturating_sub(frac_bits) {
        0 => numbers.clone(),
        excess => round(party, numbers, excess)?,
    }]))
}

/// The outputs as vectors of length 1 with 16 fractional bits.
fn embeddings(party: &mut Party, outputs: &ArithmeticShare, facts: &Facts) -> Result<ArithmeticShare> {
    let (bits, most) = (facts.bound.bits, unit::max_bits(facts.shape[0]));
    // Length 1 is length 1 at any scale: of large numbers only the upper bits are needed.
    match bits.saturating_sub(most) {
        0 => unit(party, outputs, bits),
        excess => {
            let outputs = truncate(party, outputs, excess + 1)?;
            unit(party, &outputs, most)
        }
    }
}

/// The mean of vectors of length 1, brought to length 1: shape `[size]`.
fn mean(party: &mut Party, rows: &ArithmeticShare) -> Result<ArithmeticShare> {
    let &[n, size] = rows.shape() else { unreachable!("a row an input") };
    let sum = rows.map(|t| {
        let mut sum = vec![0u64; size];
        slice(t).chunks_exact(size).for_each(|row| sum.iter_mut().zip(row).for_each(|(s, &x)| *s = s.wrapping_add(x)));
        tensor(&[1, size], sum)
    });
    let bits = FRAC_BITS + 1 + n.next_power_of_two().ilog2();
    Ok(unit(party, &sum, bits.min(unit::max_bits(size)))?.reshape(&[size]))
}

/// The cosines of rows 2i and 2i + 1: shape `[n / 2, 1]`, 32 fractional bits. 1 round.
fn pairs(party: &mut Party, rows: &ArithmeticShare) -> Result<ArithmeticShare> {
    let &[n, size] = rows.shape() else { unreachable!("a row an input") };
    let half = |odd: usize| {
        let every_other = move |t: &Tensor<u64>| {
            let rows = slice(t).chunks_exact(size).skip(odd).step_by(2);
            tensor(&[n / 2, size], rows.flatten().copied().collect())
        };
        rows.map(every_other)
    };
    let products = mul(party, &half(0), &half(1))?;
    Ok(products.map(|t| {
        let sums = slice(t).chunks_exact(size).map(|row| row.iter().fold(0u64, |sum, &x| sum.wrapping_add(x)));
        tensor(&[n / 2, 1], sums.collect())
    }))
}

/// The threshold, once for each row.
fn cosine(threshold: f64, rows: usize) -> Result<Vec<u64>> {
    Ok(vec![constant(threshold, COSINE_BITS)?; rows])
}

/// `rows` with one more column, of public numbers. Local.
fn append(party: &Party, rows: &ArithmeticShare, column: &[u64]) -> ArithmeticShare {
    let (n, m) = (rows.shape()[0], rows.shape()[1]);
    let public = Share::public(party.role(), &tensor(&[n, 1], column.to_vec()));
    let join = |rows: &Tensor<u64>, last: &Tensor<u64>| {
        let joined =
            slice(rows).chunks_exact(m).zip(slice(last)).flat_map(|(row, &last)| row.iter().copied().chain([last]));
        tensor(&[n, m + 1], joined.collect())
    };
    rows.zip(&public, join)
}

/// What the client is to learn, or the parties to keep, still shared.
#[derive(Debug, Clone)]
pub enum Output {
    /// Position of the largest number, one word for each row: shape `[rows]`.
    Labels(Share<Boolean, u64>),
    /// Numbers: each of the graph's outputs, shape `[inputs, ..]`, or cosines, shape `[rows, templates]`; with the
    /// fractional bits that the head leaves them.
    Scores(Vec<ArithmeticShare>),
    /// A template, with 16 fractional bits: shape `[size]`.
    Template(ArithmeticShare),
}

/// What may be done with an output whose session's products were checked.
#[derive(Debug, Clone)]
pub enum Released {
    /// Both components of this party of each tensor, for the client: of one, but for a graph with several outputs.
    ToClient(Vec<[Tensor<u64>; 2]>),
    /// To be kept.
    Kept(ArithmeticShare),
}

impl VerifiedParty {
    /// Hands out what its session has computed: a value may leave the sharing, or be used in other sessions, once the
    /// session's products were checked. 0 rounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] where another session has computed it, or where it is to be kept although no product was
    /// checked: it would carry whatever error a party has made into sessions that are.
    pub fn release(&self, output: Computed<Output>) -> Result<Released> {
        Ok(match self.own(output)? {
            Output::Labels(labels) => Released::ToClient(vec![components(&labels)]),
            Output::Scores(scores) => Released::ToClient(scores.iter().map(components).collect()),
            Output::Template(template) if self.is_checked() => Released::Kept(template),
            Output::Template(_) => {
                return Err(Error::invalid("template", "was computed with passive security, which keeps nothing"));
            }
        })
    }
}

fn components<D: Domain>(x: &Share<D, u64>) -> [Tensor<u64>; 2] {
    [x.own().clone(), x.next().clone()]
}
