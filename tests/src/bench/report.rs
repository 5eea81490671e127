//! What is reported of a run: as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::measures::{BUSY, CLIENTS, MEASURES, Measure};
use super::readings::{Readings, Spread};

const VERIFY: &str = "verify_http_durable_per_s";

/// One measure at one load.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) clients: usize,
    pub(super) value: f64,
    pub(super) spread: Spread,
    pub(super) load: String,
    pub(super) headline: bool,
    pub(super) unit: &'static str,
}

/// How one measure stands to another; the median over the rounds, each with both.
pub(super) struct Ratio {
    pub(super) name: &'static str,
    pub(super) clients: usize,
    pub(super) spread: Spread,
}

/// Where it was measured.
#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) cpus: usize,
    pub(super) kernel: String,
    pub(super) model: String,
    /// Load average over a minute when the run began: how much else was going on.
    pub(super) load_before: f64,
}

pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) ratios: Vec<Ratio>,
    pub(super) machine: Machine,
}

impl Report {
    pub(super) fn new(readings: &Readings, load_before: f64) -> Report {
        let rows = MEASURES.iter().flat_map(|measure| rows(measure, readings)).collect();
        Report { rows, ratios: ratios(readings), machine: machine(load_before) }
    }

    /// The row of a measure at a load.
    pub(super) fn row(&self, key: &str, clients: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key && row.clients == clients)
    }

    /// For the terminal.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{:<30}{:>8}{:>12}{:>12}{:>12}\n", "", "clients", "min", "reported", "max");
        for row in &self.rows {
            let [min, value, max] = [row.spread.min, row.value, row.spread.max].map(figure);
            writeln!(text, "{:<30}{:>8}{min:>12}{value:>12}{max:>12}", row.key, row.clients)
                .expect("a string takes all");
        }
        text.push('\n');
        for Ratio { name, clients, spread } in &self.ratios {
            let [min, median, max] =
                [spread.min, spread.median, spread.max].map(|ratio| format!("{ratio:.3}"));
            writeln!(text, "{name:<30}{clients:>8}{min:>12}{median:>12}{max:>12}")
                .expect("a string takes all");
        }
        text.push('\n');
        text
    }

    /// The headline of each measure at the top, everything else below names of its own.
    pub(super) fn json(&self) -> String {
        let mut top = Map::new();
        let mut loads = Map::new();
        let mut by_clients: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
        for row in &self.rows {
            let Spread { min, median, max } = row.spread;
            let figures = json!({
                "value": rounded(row.value), "min": rounded(min), "median": rounded(median), "max": rounded(max),
            });
            by_clients.entry(row.key).or_default().insert(row.clients.to_string(), figures);
            if row.headline {
                top.insert(row.key.to_owned(), rounded(row.value).into());
                loads.insert(row.key.to_owned(), row.load.clone().into());
            }
        }
        let mut ratios = Map::new();
        for ratio in self.ratios.iter().filter(|ratio| ratio.clients == BUSY) {
            ratios.insert(ratio.name.to_owned(), rounded(ratio.spread.median).into());
        }
        let mut ratios_by_clients: BTreeMap<&str, BTreeMap<String, f64>> = BTreeMap::new();
        for ratio in &self.ratios {
            let of = ratios_by_clients.entry(ratio.name).or_default();
            of.insert(ratio.clients.to_string(), rounded(ratio.spread.median));
        }
        top.insert("loads".to_owned(), loads.into());
        top.insert("ratios".to_owned(), ratios.into());
        top.insert("by_clients".to_owned(), json!(by_clients));
        top.insert("ratios_by_clients".to_owned(), json!(ratios_by_clients));
        top.insert("machine".to_owned(), json!(self.machine));
        format!("{:#}\n", Value::Object(top))
    }
}

fn rows(measure: &Measure, readings: &Readings) -> Vec<Row> {
    let row = |&clients: &usize| {
        let series = readings.of(measure.key, clients);
        Row {
            key: measure.key,
            clients,
            value: series.percentile(measure.percentile()),
            spread: series.spread(),
            load: measure.load(clients),
            headline: clients == measure.headline,
            unit: measure.unit(),
        }
    };
    measure.clients().iter().map(row).collect()
}

fn ratios(readings: &Readings) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (name, other) in [
        ("verify_over_null_handler", "null_handler_per_s"),
        ("verify_over_store", "store_updates_per_s"),
        ("verify_over_hsm_child", "hsm_child_match_per_s"),
    ] {
        ratios.extend(CLIENTS.map(|clients| Ratio {
            name,
            clients,
            spread: readings.ratio((VERIFY, clients), (other, clients)),
        }));
    }
    for (name, child, raw) in [
        ("hsm_child_match_over_raw_hmac", "hsm_child_match_per_s", "hsm_raw_hmac_per_s"),
        ("hsm_child_cycle_over_raw_cycle", "hsm_child_cycle_per_s", "hsm_raw_cycle_per_s"),
    ] {
        ratios.push(Ratio { name, clients: BUSY, spread: readings.ratio((child, BUSY), (raw, 1)) });
    }
    ratios
}

/// Load average over the last minute.
pub(super) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").expect("/proc is mounted");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number first, proc(5)")
}

fn machine(load_before: f64) -> Machine {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").expect("/proc is mounted");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Machine {
        cpus: available_parallelism().map_or(1, usize::from),
        kernel: kernel.trim().to_owned(),
        model: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned()),
        load_before,
    }
}

/// Three digits are more than such a measure knows.
fn rounded(value: f64) -> f64 {
    if value >= 1e3 { value.round() } else { (value * 1e3).round() / 1e3 }
}

/// A figure for people: whole from a hundred on.
pub(super) fn figure(value: f64) -> String {
    match value {
        _ if value >= 100.0 => grouped(value.round()),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A thin space between thousands would break columns in a terminal; an apostrophe does not.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\'');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_as_many_digits_as_they_deserve() {
        let cases =
            [(0.123, "0.12"), (12.34, "12.3"), (999.6, "1'000"), (151_234.0, "151'234"), (100.0, "100")];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
    }
}
