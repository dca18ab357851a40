//! Tables in Markdown.

use std::fmt::Write;

use anyhow::{Result, bail};

use super::MISSING;
use super::results::Results;
use crate::measurement::{Measurement, Spread};

/// The links, fastest first.
pub(super) const LINKS: [&str; 3] = ["loopback", "lan", "wan"];

/// The modes to compare.
pub(super) const MODES: [&str; 2] = ["passive", "active"];

pub(super) fn table(name: &str, results: &Results) -> Result<String> {
    Ok(match name {
        "programs" => programs(results),
        "rival" => rival(results),
        "links" => links(results),
        "batch" => {
            throughput(results, "inputs in a run", |one| (one.setting.sessions == 1).then_some(one.setting.batch))
        }
        "sessions" => {
            throughput(results, "sessions at a time", |one| (one.setting.batch == 1).then_some(one.setting.sessions))
        }
        "rounds" => rounds(results),
        "kernels" => kernels(results),
        _ => bail!("there is no table {name:?}"),
    })
}

/// The table of both modes over loopback.
fn programs(results: &Results) -> String {
    let heading = [
        "program",
        "passive ms: median (min to max)",
        "active ms",
        "time",
        "rounds",
        "sent per party, kB",
        "peak memory of a party, MB",
        "largest error",
    ];
    let rows = results.programs(LINKS[0]).into_iter().map(|program| {
        let [passive, active] = MODES.map(|mode| results.find(program, mode, LINKS[0]));
        let both = |show: &dyn Fn(&Measurement) -> String| {
            let shown: Vec<_> = [passive, active].into_iter().flatten().map(show).collect();
            shown.join(", ")
        };
        let wall = |of: Option<&Measurement>| or_missing(of, |one| spread(&one.wall_s));
        let ratio = active.and_then(|one| one.overhead.as_ref());
        vec![
            program.to_owned(),
            wall(passive),
            wall(active),
            or_missing(ratio, |overhead| format!("{:.2}", overhead.wall_ratio)),
            both(&|one| one.rounds.to_string()),
            both(&kilobytes),
            both(&|one| format!("{:.0}", one.peak_rss_mb)),
            both(&|one| format!("{:.1e}", one.max_abs_error)),
        ]
    });
    markdown(&heading, rows)
}

/// The table over loopback, against the rival in the same run.
fn rival(results: &Results) -> String {
    let heading =
        ["program", "rival ms", "passive ms", "times as fast", "active, times as fast", "largest error", "rival's"];
    let rows = results.programs(LINKS[0]).into_iter().filter_map(|program| {
        let passive = results.find(program, MODES[0], LINKS[0])?;
        let rival = passive.rival.as_ref()?;
        let active = results.find(program, MODES[1], LINKS[0]).and_then(|one| one.rival.as_ref());
        Some(vec![
            program.to_owned(),
            spread(&rival.wall_s),
            spread(&passive.wall_s),
            times(rival.ratio),
            or_missing(active, |rival| times(rival.ratio)),
            format!("{:.1e}", passive.max_abs_error),
            or_missing(rival.max_abs_error, |error| format!("{error:.1e}")),
        ])
    });
    markdown(&heading, rows)
}

/// The table of measurements over emulated links, with the same over loopback.
fn links(results: &Results) -> String {
    let heading = ["program", "link", "passive ms", "active ms", "rounds", "rival ms", "times as fast (passive)"];
    let programs = LINKS[1..].iter().flat_map(|link| results.programs(link));
    let mut rows = Vec::new();
    for program in unique(programs) {
        for link in LINKS {
            let found = MODES.map(|mode| results.find(program, mode, link));
            let [passive, active] = found.map(|one| or_missing(one, |one| ms(one.wall_s.median)));
            let rounds: Vec<_> = found.iter().flatten().map(|one| one.rounds.to_string()).collect();
            let rival = found[0].and_then(|one| one.rival.as_ref());
            let (rival_ms, ratio) = (or_missing(rival, |r| ms(r.wall_s.median)), or_missing(rival, |r| times(r.ratio)));
            rows.push(vec![program.to_owned(), link.into(), passive, active, rounds.join(", "), rival_ms, ratio]);
        }
    }
    markdown(&heading, rows)
}

/// The table of inputs per second over loopback, by an amount done at a time; `amount` is `None` where something else
/// varies too.
fn throughput(results: &Results, what: &str, amount: impl Fn(&Measurement) -> Option<usize>) -> String {
    let memory = "peak memory of a party, MB";
    let heading = ["program", "security", what, "ms for each input", "inputs/s", "times one session's rate", memory];
    let rows = curves(results, amount).into_iter().flat_map(|(_, points)| {
        points.into_iter().map(|(amount, one)| {
            vec![
                one.setting.program.clone(),
                one.setting.security.map(|mode| mode.to_string()).unwrap_or_default(),
                amount.to_string(),
                ms(1.0 / one.inputs_per_s),
                format!("{:.0}", one.inputs_per_s),
                or_missing(one.throughput_ratio, times),
                format!("{:.0}", one.peak_rss_mb),
            ]
        })
    });
    markdown(&heading, rows)
}

/// The curves of programs and modes over loopback, by amount, without those of a single amount. The last measurement of
/// an amount counts, since it was made beside the other amounts.
pub(super) fn curves(
    results: &Results,
    amount: impl Fn(&Measurement) -> Option<usize>,
) -> Vec<(String, Vec<(usize, &Measurement)>)> {
    let mut curves: Vec<(String, Vec<(usize, &Measurement)>)> = Vec::new();
    for one in results.measurements.iter().filter(|one| one.setting.link == LINKS[0]) {
        let (Some(mode), Some(amount)) = (one.setting.security, amount(one)) else { continue };
        let name = format!("{}, {mode}", one.setting.program);
        let at = curves.iter().position(|(curve, _)| *curve == name).unwrap_or_else(|| {
            curves.push((name, Vec::new()));
            curves.len() - 1
        });
        let points = &mut curves[at].1;
        points.retain(|(other, _)| *other != amount);
        points.push((amount, one));
    }
    curves.retain(|(_, points)| points.len() > 1);
    curves.iter_mut().for_each(|(_, points)| points.sort_by_key(|(amount, _)| *amount));
    curves
}

/// The table of rounds of the network alone over loopback; each line follows the one it is compared with.
fn rounds(results: &Results) -> String {
    let heading = ["rounds", "µs for each", "compared with", "µs for each", "ratio"];
    let network = results.single().filter(|one| one.setting.security.is_none() && one.setting.link == LINKS[0]);
    let network: Vec<_> = network.collect();
    let rows = network.chunks_exact(2).filter_map(|pair| {
        let [base, rounds] = pair else { return None };
        let ratio = rounds.overhead.as_ref()?.wall_ratio;
        let [program, base_name] = [rounds, base].map(|one| one.setting.program.clone());
        Some(vec![program, microseconds_a_round(rounds), base_name, microseconds_a_round(base), times(ratio)])
    });
    markdown(&heading, rows)
}

pub(super) fn microseconds_a_round(of: &Measurement) -> String {
    digits(of.wall_s.median / of.rounds as f64 * 1e6)
}

fn kernels(results: &Results) -> String {
    let kernels = unique(results.rates.iter().map(|rate| &*rate.kernel));
    let heading: Vec<_> = ["operation", "unit"].into_iter().chain(kernels.iter().copied()).collect();
    let rows = unique(results.rates.iter().map(|rate| &*rate.operation)).into_iter().map(|operation| {
        let of = |kernel: &str| results.rates.iter().find(|rate| rate.operation == operation && rate.kernel == kernel);
        let unit = results.rates.iter().find(|rate| rate.operation == operation).map(|rate| rate.unit.clone());
        let rates = kernels.iter().map(|kernel| or_missing(of(kernel), |rate| format!("{:.1}", rate.rate)));
        [operation.to_owned(), unit.unwrap_or_default()].into_iter().chain(rates).collect()
    });
    markdown(&heading, rows)
}

fn markdown(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = format!("| {} |\n|{}", heading.join(" | "), "---|".repeat(heading.len()));
    for row in rows {
        // Writing to a string does not fail.
        let _ = write!(table, "\n| {} |", row.join(" | "));
    }
    table
}

/// Each name once, in order.
pub(super) fn unique<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn or_missing<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or(MISSING.to_owned(), show)
}

/// Seconds as milliseconds with three digits.
pub(super) fn ms(seconds: f64) -> String {
    digits(seconds * 1e3)
}

/// A ratio with three digits.
pub(super) fn times(ratio: f64) -> String {
    digits(ratio)
}

/// Kilobytes sent by the party that sends most.
pub(super) fn kilobytes(of: &Measurement) -> String {
    digits(of.bytes_sent.iter().copied().max().unwrap_or(0) as f64 / 1e3)
}

fn spread(wall: &Spread) -> String {
    format!("{} ({} to {})", ms(wall.median), ms(wall.min), ms(wall.max))
}

fn digits(value: f64) -> String {
    let decimals = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.decimals$}")
}
