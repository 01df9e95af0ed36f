//! The table at the end, and numbers as people read them.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use indicatif::HumanCount;
use sexton::Stats;

use crate::drive::Measured;

/// A run, as a column of the table.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    /// What the run went through.
    pub name: &'a str,
    /// What came of it.
    pub measured: &'a Measured,
    /// The domain's figures at the end of the run, and after a `collect()`; where there is one.
    pub garbage: Option<(Stats, Stats)>,
}

/// The runs side by side.
pub fn table(runs: &[Column<'_>]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once("").chain(runs.iter().map(|run| run.name)));
    let mut line = |name: &str, cell: &dyn Fn(&Measured) -> String| {
        let cells = runs.iter().map(|run| cell(run.measured));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    line("operations a second", &|m| per_second(m.reads + m.updates, m.elapsed));
    line("  of them reads", &|m| per_second(m.reads, m.elapsed));
    line("  of them updates", &|m| per_second(m.updates, m.elapsed));
    line("hit ratio", &|m| ratio(m.hits, m.reads));
    line("joined another's load", &|m| ratio(m.joined, m.reads));
    line("read p50", &|m| quantile(m, 0.5));
    line("read p99", &|m| quantile(m, 0.99));
    line("read p99.9", &|m| quantile(m, 0.999));
    line("rows checked", &|m| HumanCount(m.reads).to_string());
    line("stale or torn", &|m| HumanCount(m.faults).to_string());
    line("seconds", &|m| format!("{:.1}", m.elapsed.as_secs_f64()));
    let mut line = |name: &str, cell: &dyn Fn(&(Stats, Stats)) -> u64| {
        let cell = |garbage| HumanCount(cell(garbage)).to_string();
        let cells = runs.iter().map(|run| run.garbage.as_ref().map_or("-".to_owned(), cell));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    line("objects retired", &|(end, _)| end.retired);
    line("pending garbage", &|(end, _)| end.pending);
    line("  in bytes", &|(end, _)| end.pending_bytes);
    line("  after collect()", &|(_, collected)| collected.pending);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// A part of a whole in per cent.
fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.2} %", 100.0 * part as f64 / whole as f64)
}

fn per_second(count: u64, elapsed: Duration) -> String {
    HumanCount((count as f64 / elapsed.as_secs_f64()) as u64).to_string()
}

fn quantile(measured: &Measured, quantile: f64) -> String {
    if measured.latency.is_empty() {
        return "-".to_owned();
    }
    nanoseconds(measured.latency.value_at_quantile(quantile))
}

/// A duration in three digits or so.
fn nanoseconds(ns: u64) -> String {
    match ns {
        0..1000 => format!("{ns} ns"),
        1000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_column_a_run_and_survives_an_empty_one() {
        let mut busy = Measured { elapsed: Duration::from_secs(2), ..Measured::default() };
        busy.reads = 4_000_000;
        busy.hits = 3_000_000;
        busy.updates = 200;
        busy.latency.record_n(150, 999).unwrap();
        busy.latency.record(2_500_000).unwrap();
        let idle = Measured { elapsed: Duration::from_secs(1), ..Measured::default() };
        let column = |name, measured| Column { name, measured, garbage: None };
        let stats = sexton::Reclaimer::stats(&sexton::Domain::<sexton::Epoch>::new());
        let with = Column { garbage: Some((stats, stats)), ..column("with", &busy) };
        let shown = table(&[with, column("without", &idle)]);
        for text in ["with", "without", "2,000,100", "75.00 %", "150 ns", "4,000,000"] {
            assert!(shown.contains(text), "{text} in\n{shown}");
        }
    }

    #[test]
    fn durations_have_fitting_units() {
        let shown = [999, 1000, 123_456, 7_000_000, 2_000_000_000].map(nanoseconds);
        assert_eq!(shown, ["999 ns", "1.0 us", "123.5 us", "7.0 ms", "2.0 s"]);
    }
}
