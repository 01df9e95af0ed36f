//! A row's result: medians, their spread, the ratio of ours to each, and the verdicts.

use std::fmt;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::contender::{Contender, Epoch, Hazard, Ours};
use crate::turns::Measured;

/// Those of ours whose ratio to each contender has a column.
pub const OURS: [&str; 2] = [Ours::<Epoch>::NAME, Ours::<Hazard>::NAME];

/// What a contender's rounds come to.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    min: f64,
    quarter: f64,
    median: f64,
    three_quarters: f64,
    max: f64,
}

impl Summary {
    fn of(rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            min: quantile(&sorted, 0.0),
            quarter: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            three_quarters: quantile(&sorted, 0.75),
            max: quantile(&sorted, 1.0),
        }
    }
}

/// Between two values, a mean by their distance.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let below = place.floor();
    let next = sorted[place.ceil() as usize];
    let here = sorted[below as usize];
    here + (next - here) * (place - below)
}

/// What was to be reached, and what was.
#[derive(Clone, Debug)]
struct Target {
    what: String,
    limit: Limit,
    reached: f64,
    unit: &'static str,
}

/// On which side of the limit one wants to be.
#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn verdict(&self) -> &'static str {
        let met = match self.limit {
            Limit::AtMost(limit) => self.reached <= limit,
            Limit::AtLeast(limit) => self.reached >= limit,
        };
        if met { "met" } else { "missed" }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, limit, reached, unit } = self;
        let (least, limit) = match limit {
            Limit::AtMost(limit) => ("", limit),
            Limit::AtLeast(limit) => ("at least ", limit),
        };
        let reached = figure(*reached);
        write!(f, "{:<6}  {what}: {reached}{unit} (target: {least}{limit}{unit})", self.verdict())
    }
}

/// A row's result, which prints itself.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    unit: &'static str,
    /// Names and what they measured, in the order of the table.
    summaries: Vec<(&'static str, Summary)>,
    columns: Vec<(&'static str, Vec<String>)>,
    targets: Vec<Target>,
}

impl Report {
    /// A result without targets so far.
    pub fn new(title: impl Into<String>, unit: &'static str, measured: &[Measured<f64>]) -> Self {
        let summarised = |measured: &Measured<f64>| (measured.name, Summary::of(&measured.rounds));
        Self {
            title: title.into(),
            unit,
            summaries: measured.iter().map(summarised).collect(),
            columns: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// The throughput, in millions a second, of who measured nanoseconds an operation.
    pub fn throughput(title: impl Into<String>, measured: &[Measured<f64>]) -> Self {
        let rate = |it: &Measured<f64>| Measured {
            name: it.name,
            rounds: it.rounds.iter().map(|nanoseconds| 1000.0 / nanoseconds).collect(),
        };
        Self::new(title, "M/s", &measured.iter().map(rate).collect::<Vec<_>>())
    }

    /// One more column of the table: an entry for each contender, in their order.
    #[must_use]
    pub fn column(mut self, head: &'static str, cells: Vec<String>) -> Self {
        assert_eq!(cells.len(), self.summaries.len());
        self.columns.push((head, cells));
        self
    }

    /// The target that the median of `ours` is at most `limit` times that of `peer`.
    #[must_use]
    pub fn ratio(self, ours: &str, peer: &str, limit: f64) -> Self {
        let (what, reached) = self.compared(ours, peer);
        self.target(what, reached, limit, "x")
    }

    /// The target that the medians of ours, of each scheme, are at least `limit` times that of `peer`.
    #[must_use]
    pub fn ahead(mut self, peer: &str, limit: f64) -> Self {
        for ours in OURS {
            let (what, reached) = self.compared(ours, peer);
            self.targets.push(Target { what, limit: Limit::AtLeast(limit), reached, unit: "x" });
        }
        self
    }

    fn compared(&self, ours: &str, peer: &str) -> (String, f64) {
        (format!("{ours} / {peer}"), self.median(ours) / self.median(peer))
    }

    /// The target that the median of `ours` is at most `limit`.
    #[must_use]
    pub fn at_most(self, ours: &str, limit: f64) -> Self {
        let (reached, what, unit) = (self.median(ours), ours.to_owned(), self.unit);
        self.target(what, reached, limit, if unit == "ns" { " ns" } else { "" })
    }

    /// A target that compares with something beyond this table.
    #[must_use]
    pub fn target(mut self, what: String, reached: f64, limit: f64, unit: &'static str) -> Self {
        self.targets.push(Target { what, limit: Limit::AtMost(limit), reached, unit });
        self
    }

    /// The median of a contender.
    ///
    /// # Panics
    /// If it has no turn in this row.
    pub fn median(&self, name: &str) -> f64 {
        let found = self.summaries.iter().find(|(other, _)| *other == name);
        found.unwrap_or_else(|| panic!("{name} is not in {}", self.title)).1.median
    }

    fn table(&self) -> Table {
        let ours = OURS.map(|name| self.summaries.iter().find(|(other, _)| *other == name));
        let ours: Vec<_> = ours.into_iter().flatten().collect();
        let unit = self.unit;

        let mut head = vec!["contender".to_owned(), format!("median {unit}")];
        head.extend(["quartiles", "min..max"].map(str::to_owned));
        head.extend(ours.iter().map(|(name, _)| format!("{name} / it")));
        head.extend(self.columns.iter().map(|(head, _)| (*head).to_owned()));

        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(head);
        for (row, (name, it)) in self.summaries.iter().enumerate() {
            let mut cells = vec![
                (*name).to_owned(),
                figure(it.median),
                format!("{}..{}", figure(it.quarter), figure(it.three_quarters)),
                format!("{}..{}", figure(it.min), figure(it.max)),
            ];
            cells.extend(ours.iter().map(|(_, ours)| times(ours.median, it.median)));
            cells.extend(self.columns.iter().map(|(_, cells)| cells[row].clone()));
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.table())?;
        for target in &self.targets {
            writeln!(f, "{target}")?;
        }
        Ok(())
    }
}

/// Large figures whole, small ones with two places.
fn figure(value: f64) -> String {
    if value.abs() >= 1000.0 || value == value.trunc() {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

fn times(ours: f64, it: f64) -> String {
    match ours / it {
        ratio if !ratio.is_finite() => "-".to_owned(),
        ratio if ratio >= 100.0 => format!("{ratio:.0}x"),
        ratio => format!("{ratio:.2}x"),
    }
}

/// The targets "the same with more threads": what is no difference on a small, shared machine.
pub const SAME: f64 = 1.25;

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let measured = [
            Measured { name: OURS[0], rounds: vec![3.0, 1.0, 2.0] },
            Measured { name: "peer", rounds: vec![4.0, 40.0, 2.0] },
        ];
        Report::new("a row", "ns", &measured)
    }

    #[test]
    fn quantiles_are_interpolated() {
        let expected =
            Summary { min: 1.0, quarter: 1.75, median: 2.5, three_quarters: 3.25, max: 4.0 };
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]), expected);
        assert_eq!(Summary::of(&[7.0]).three_quarters, 7.0);
    }

    #[test]
    fn a_ratio_is_of_medians_and_has_a_verdict() {
        let text = report().ratio(OURS[0], "peer", 0.5).ratio(OURS[0], "peer", 0.4).to_string();
        assert!(text.contains("met     Epoch / peer: 0.50x (target: 0.5x)"), "{text}");
        assert!(text.contains("missed  Epoch / peer: 0.50x (target: 0.4x)"), "{text}");
    }

    #[test]
    fn a_throughput_is_to_be_large() {
        let measured = [
            Measured { name: OURS[0], rounds: vec![10.0] },
            Measured { name: OURS[1], rounds: vec![8.0] },
            Measured { name: "peer", rounds: vec![20.0] },
        ];
        let text = Report::throughput("a row", &measured).ahead("peer", 2.1).to_string();
        assert!(text.contains("| median M/s |") && text.contains(" 100 |"), "{text}");
        assert!(text.contains("missed  Epoch / peer: 2x (target: at least 2.1x)"), "{text}");
        assert!(text.contains("met     Hazard / peer: 2.50x (target: at least 2.1x)"), "{text}");
    }

    #[test]
    fn a_target_of_nothing_is_met_by_nothing() {
        let measured = [Measured { name: OURS[0], rounds: vec![0.0] }];
        let text = Report::new("a row", "objects", &measured).at_most(OURS[0], 0.0).to_string();
        assert!(text.contains("met     Epoch: 0 (target: 0)"), "{text}");
        let no_ratio = text.lines().any(|line| line.ends_with(" - |"));
        assert!(no_ratio, "nothing to nothing has none: {text}");
    }

    #[test]
    fn a_table_has_a_line_for_each_and_a_column_for_ours() {
        let text = report().column("left", vec!["none".into(), "3".into()]).to_string();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].contains("Epoch / it") && !lines[0].contains("Hazard / it"));
        let cells: Vec<_> = lines[3].split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "peer", "4", "3..22", "2..40", "0.50x", "3", ""]);
    }
}
