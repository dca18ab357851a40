//! Plots as SVG.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::results::Results;
use super::tables::{LINKS, MODES, curves, unique};
use crate::measurement::Measurement;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 860;

/// Pixels for the title and the names of the series.
const TOP: u32 = 60;

/// Pixels of a horizontal bar.
const BAR: u32 = 15;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const FAINT: RGBColor = RGBColor(0xd8, 0xde, 0xe4);

/// Colours of the series, distinguishable by colour-blind readers (Okabe, Ito 2008).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0x00, 0x72, 0xb2), RGBColor(0xe6, 0x9f, 0x00), RGBColor(0x00, 0x9e, 0x73), RGBColor(0xcc, 0x79, 0xa7)];

/// Draws a plot into a file and returns its title, unless there is nothing to draw.
pub(super) fn plot(name: &str, results: &Results, file: &Path) -> Result<Option<String>> {
    match name {
        "times" => times(results).draw(file),
        "links" => links(results).draw(file),
        "kernels" => kernels(results).draw(file),
        "batch" => {
            let amount = |one: &Measurement| (one.setting.sessions == 1).then_some(one.setting.batch);
            Lines::new(results, "Inputs a second by inputs in a run", "inputs in a run", amount).draw(file)
        }
        "sessions" => {
            let amount = |one: &Measurement| (one.setting.batch == 1).then_some(one.setting.sessions);
            Lines::new(results, "Inputs a second by sessions at a time", "sessions", amount).draw(file)
        }
        _ => bail!("there is no plot {name:?}"),
    }
}

/// Groups of horizontal bars, one for each series.
struct Bars {
    title: &'static str,
    /// Whether lengths are logarithms.
    logarithmic: bool,
    series: Vec<String>,
    /// Each group's name, and its value for each series.
    groups: Vec<(String, Vec<Option<f64>>)>,
}

fn times(results: &Results) -> Bars {
    let programs = results.programs(LINKS[0]).into_iter();
    let groups = programs.map(|program| (program.to_owned(), walls(results, program, LINKS[0]))).collect();
    Bars { title: "One input over loopback, ms", logarithmic: true, series: wall_series(), groups }
}

fn links(results: &Results) -> Bars {
    let programs = unique(LINKS[1..].iter().flat_map(|link| results.programs(link)));
    let groups = programs
        .into_iter()
        .flat_map(|program| LINKS.map(|link| (format!("{program}, {link}"), walls(results, program, link))));
    Bars { title: "One input over each link, ms", logarithmic: true, series: wall_series(), groups: groups.collect() }
}

fn wall_series() -> Vec<String> {
    ["passive", "active", "rival (passive)"].map(str::to_owned).into()
}

/// The times of both modes and the rival, in milliseconds.
fn walls(results: &Results, program: &str, link: &str) -> Vec<Option<f64>> {
    let [passive, active] = MODES.map(|mode| results.find(program, mode, link));
    let rival = passive.and_then(|one| one.rival.as_ref()).map(|rival| &rival.wall_s);
    let walls = [passive.map(|one| &one.wall_s), active.map(|one| &one.wall_s), rival];
    walls.map(|wall| wall.map(|wall| wall.median * 1e3)).into()
}

fn kernels(results: &Results) -> Bars {
    let rates: Vec<_> = results.rates.iter().filter(|rate| rate.unit == "G mul-add/s").collect();
    let series = unique(rates.iter().map(|rate| &*rate.kernel));
    let groups = unique(rates.iter().map(|rate| &*rate.operation)).into_iter().map(|operation| {
        let of = |kernel: &&str| rates.iter().find(|rate| rate.operation == operation && rate.kernel == **kernel);
        (operation.to_owned(), series.iter().map(|kernel| of(kernel).map(|rate| rate.rate)).collect())
    });
    let groups = groups.collect();
    let series = series.into_iter().map(str::to_owned).collect();
    Bars { title: "Kernels, one thread, G mul-add/s", logarithmic: false, series, groups }
}

impl Bars {
    fn draw(&self, file: &Path) -> Result<Option<String>> {
        let values: Vec<f64> = self.groups.iter().flat_map(|(_, values)| values.iter().flatten().copied()).collect();
        let (Some(least), Some(most)) =
            (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max))
        else {
            return Ok(None);
        };
        let slots = self.series.len() + 1;
        let height = TOP + 40 + (self.groups.len() * slots) as u32 * BAR;
        let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
        let plot = frame(&area, self.title, &self.series)?;
        let mut builder = ChartBuilder::on(&plot);
        builder.margin_right(50).margin_bottom(8).x_label_area_size(24).y_label_area_size(190);
        let rows = (self.groups.len() * slots) as f64;
        if self.logarithmic {
            let from = 10f64.powf(least.log10().floor());
            self.fill(&area, builder.build_cartesian_2d((from..most).log_scale(), rows..0.0).map_err(failed)?, from)?;
        } else {
            self.fill(&area, builder.build_cartesian_2d(0.0..most, rows..0.0).map_err(failed)?, 0.0)?;
        }
        area.present().map_err(failed)?;
        Ok(Some(self.title.to_owned()))
    }

    fn fill<X>(
        &self,
        area: &Area<'_>,
        mut chart: ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, plotters::coord::types::RangedCoordf64>>,
        from: f64,
    ) -> Result<()>
    where
        X: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    {
        let text = (FONT, 13).into_font().color(&INK);
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh().y_labels(0).axis_style(FAINT).light_line_style(TRANSPARENT).bold_line_style(FAINT);
        mesh.x_label_formatter(&|value| tick(*value, self.logarithmic))
            .label_style(text.clone())
            .draw()
            .map_err(failed)?;
        let slots = self.series.len() + 1;
        for (group, (name, values)) in self.groups.iter().enumerate() {
            let top = (group * slots) as f64 + 0.5;
            let bars = values.iter().enumerate().filter_map(|(series, value)| Some((series, (*value)?)));
            for (series, value) in bars {
                let y = top + series as f64;
                let colour = COLOURS[series % COLOURS.len()];
                let bar = Rectangle::new([(from, y + 0.08), (value, y + 0.92)], colour.filled());
                chart.draw_series([bar]).map_err(failed)?;
                let (x, y) = chart.as_coord_spec().translate(&(value, y + 0.5));
                let style = (FONT, 11).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
                area.draw_text(&super::tables::ms(value / 1e3), &style, (x + 4, y)).map_err(failed)?;
            }
            let (x, y) = chart.as_coord_spec().translate(&(from, top + self.series.len() as f64 / 2.0));
            let style = text.clone().pos(Pos::new(HPos::Right, VPos::Center));
            area.draw_text(name, &style, (x - 8, y)).map_err(failed)?;
        }
        Ok(())
    }
}

/// Inputs per second against an amount, on logarithmic axes.
struct Lines {
    title: &'static str,
    axis: &'static str,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Lines {
    fn new(
        results: &Results,
        title: &'static str,
        axis: &'static str,
        amount: impl Fn(&Measurement) -> Option<usize>,
    ) -> Self {
        let lines = curves(results, amount).into_iter().map(|(name, points)| {
            (name, points.into_iter().map(|(amount, one)| (amount as f64, one.inputs_per_s)).collect())
        });
        Self { title, axis, lines: lines.collect() }
    }

    fn draw(&self, file: &Path) -> Result<Option<String>> {
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let (Some(widest), Some(lowest), Some(highest)) = (
            points().map(|(x, _)| x).reduce(f64::max),
            points().map(|(_, y)| y).reduce(f64::min),
            points().map(|(_, y)| y).reduce(f64::max),
        ) else {
            return Ok(None);
        };
        let area = SVGBackend::new(file, (WIDTH, 420)).into_drawing_area();
        let names: Vec<_> = self.lines.iter().map(|(name, _)| name.clone()).collect();
        let plot = frame(&area, self.title, &names)?;
        let mut builder = ChartBuilder::on(&plot);
        builder.margin_right(30).margin_bottom(8).x_label_area_size(44).y_label_area_size(70);
        let (x, y) = ((0.9..widest * 1.1).log_scale().base(2.0), (lowest / 1.3..highest * 1.3).log_scale());
        let mut chart = builder.build_cartesian_2d(x, y).map_err(failed)?;
        let text = (FONT, 13).into_font().color(&INK);
        let mut mesh = chart.configure_mesh();
        mesh.axis_style(FAINT).light_line_style(TRANSPARENT).bold_line_style(FAINT).label_style(text);
        mesh.x_label_formatter(&|value| value.to_string()).y_label_formatter(&|value| tick(*value, true));
        mesh.x_desc(self.axis).draw().map_err(failed)?;
        for (line, (_, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[line % COLOURS.len()];
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2))).map_err(failed)?;
            let marks = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
            chart.draw_series(marks).map_err(failed)?;
        }
        area.present().map_err(failed)?;
        Ok(Some(self.title.to_owned()))
    }
}

/// Draws the title and the names of the series; returns the area left for the plot.
fn frame<'a>(area: &Area<'a>, title: &str, series: &[String]) -> Result<Area<'a>> {
    area.fill(&WHITE).map_err(failed)?;
    area.draw_text(title, &(FONT, 17).into_font().color(&INK), (16, 10)).map_err(failed)?;
    let style = (FONT, 13).into_font().color(&INK);
    let mut x = 16;
    for (index, name) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        area.draw(&Rectangle::new([(x, 38), (x + 11, 49)], colour.filled())).map_err(failed)?;
        area.draw_text(name, &style, (x + 17, 37)).map_err(failed)?;
        x += 40 + area.estimate_text_size(name, &style).map_err(failed)?.0 as i32;
    }
    Ok(area.split_vertically(TOP).1)
}

/// The label of a tick; a logarithmic axis has room only for 1, 2 and 5.
fn tick(value: f64, logarithmic: bool) -> String {
    let text = value.to_string();
    let leading = text.trim_start_matches(['0', '.']).chars().next();
    if logarithmic && !matches!(leading, Some('1' | '2' | '5')) { String::new() } else { text }
}

/// Converts the backend's errors, whose type only the backend names.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
