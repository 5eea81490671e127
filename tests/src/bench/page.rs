//! The report as one self-contained page: no scripts, nothing from outside, light and dark.

use std::fmt::Write;

use super::measures::{BUSY, CALM, CLIENTS};
use super::report::{Ratio, Report, Row, figure};

/// Widths and heights in SVG units.
const WIDTH: f64 = 720.0;
const LABELS: f64 = 260.0;
const FIGURES: f64 = 90.0;
const LINE: f64 = 26.0;
const BAR: f64 = 14.0;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2024; --dim: #60666d; --line: #d9dde1; --bar: #2f6fb0; --paper: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --dim: #9aa1a8; --line: #363b41; --bar: #6aa6e0; --paper: #16181b; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, figcaption { color: var(--dim); margin: .25rem 0; }
figure { margin: 0; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font-size: 13px; }
svg .bar { fill: var(--bar); }
svg .range { stroke: var(--ink); stroke-width: 1.5; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.headline td { font-weight: 600; } tr.headline td.load { font-weight: 400; }
td.load { color: var(--dim); }
";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let machine = &report.machine;
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Countersign: measured</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Countersign, measured</h1>\n\
         <p>{} processors, {}, Linux {}; load average when the run began: {:.2}. Load generator, appliance, \
         SoftHSM and disk share this machine. Each bar is a median over interleaved rounds, its line reaches \
         from the least to the greatest reading.</p>\n",
        machine.cpus,
        escaped(&machine.model),
        escaped(&machine.kernel),
        machine.load_before
    );
    for chart in charts(report) {
        html.push_str(&chart);
    }
    html.push_str(&ratios(&report.ratios));
    html.push_str(&figures(&report.rows));
    html.push_str("</body>\n</html>\n");
    html
}

/// A bar: its label and its row.
type Bar<'a> = (String, &'a Row);

fn charts(report: &Report) -> Vec<String> {
    let at = |key: &'static str, clients: usize, label: &str| -> Option<Bar<'_>> {
        report.row(key, clients).map(|row| (label.to_owned(), row))
    };
    let busy = [
        at("null_handler_per_s", BUSY, "null handler"),
        at("hsm_child_match_per_s", BUSY, "HSM child, 3 factors"),
        at("store_updates_per_s", BUSY, "SQLite alone"),
        at("verify_http_durable_per_s", BUSY, "verify, accepted"),
        at("verify_refused_per_s", BUSY, "verify, refused"),
    ];
    let durable = [
        ("store_updates_per_s", "SQLite alone"),
        ("verify_http_durable_per_s", "verify, accepted"),
        ("verify_refused_per_s", "verify, refused"),
    ]
    .map(|(key, label)| CLIENTS.map(|clients| at(key, clients, &format!("{label}, {clients}"))));
    let hsm = [
        at("hsm_raw_hmac_per_s", 1, "C_Sign alone"),
        at("hsm_child_match_per_s", BUSY, "child, key kept"),
        at("hsm_raw_cycle_per_s", 1, "unwrap, sign, destroy"),
        at("hsm_child_cycle_per_s", BUSY, "child, key unwrapped"),
    ];
    let latency =
        [("verify_p50_ms", "half within"), ("verify_p99_ms", "99 of 100 within")].map(|(key, label)| {
            CLIENTS.map(|clients| at(key, clients, &format!("{label}, {clients} connections")))
        });
    let sms = [
        at("sms_enqueue_to_pdu_p50_ms", 1, "half within"),
        at("sms_enqueue_to_pdu_p99_ms", 1, "99 of 100 within"),
    ];
    let bench = [
        at("provision_s", 1, "a token, in all"),
        at("provision_attest_s", 1, "its maker's word"),
        at("provision_challenge_s", 1, "to its question"),
        at("provision_press_s", 1, "button, secret"),
        at("provision_install_s", 1, "install, commit, code"),
    ];
    let modems = [("sms_per_cycle_1", "one modem"), ("sms_per_cycle_2", "two"), ("sms_per_cycle_4", "four")]
        .map(|(key, label)| at(key, 1, label));
    vec![
        chart(&format!("Per second, {BUSY} connections"), "what a verification is made of", busy),
        chart("Durable per second", "by number of clients", durable.into_iter().flatten()),
        chart("HSM, per second", "a judged code is five MACs: two over states, three factors", hsm),
        chart("Verification, milliseconds", &latency_note(), latency.into_iter().flatten()),
        chart("SMS, milliseconds", "from the order to the PDU in the emulated network, modem idle", sms),
        chart("SMS per cycle", "messages that leave while one modem sends one", modems),
        chart("Provisioning, seconds", "a token at the station; a person's 1.3 s are in it", bench),
    ]
}

fn latency_note() -> String {
    format!("reported at {CALM} connections; each sends its next request when the former was answered")
}

/// Horizontal bars on one scale from zero.
fn chart<'a>(title: &str, note: &str, bars: impl IntoIterator<Item = Option<Bar<'a>>>) -> String {
    let bars: Vec<Bar<'_>> = bars.into_iter().flatten().collect();
    let greatest = bars.iter().map(|(_, row)| row.spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LABELS + value / greatest * (WIDTH - LABELS - FIGURES);
    let height = LINE * bars.len() as f64;
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n", escaped(title));
    for (nth, (label, row)) in bars.iter().enumerate() {
        let top = LINE * nth as f64;
        let (middle, end) = (top + LINE / 2.0, x(row.value));
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"bar\" x=\"{LABELS}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>\
             <line class=\"range\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LABELS - 10.0,
            middle + 4.5,
            escaped(label),
            middle - BAR / 2.0,
            end - LABELS,
            x(row.spread.min),
            x(row.spread.max),
            end.max(x(row.spread.max)) + 8.0,
            middle + 4.5,
            figure(row.value)
        )
        .expect("a string takes all");
    }
    format!(
        "<h2>{}</h2>\n<figure>\n{svg}</svg>\n<figcaption>{}</figcaption>\n</figure>\n",
        escaped(title),
        escaped(note)
    )
}

fn ratios(ratios: &[Ratio]) -> String {
    let mut rows = String::new();
    for Ratio { name, clients, spread } in ratios {
        let [min, median, max] = [spread.min, spread.median, spread.max].map(|ratio| format!("{ratio:.3}"));
        writeln!(
            rows,
            "<tr><td>{}</td><td class=\"n\">{clients}</td><td class=\"n\">{min}</td>\
             <td class=\"n\">{median}</td><td class=\"n\">{max}</td></tr>",
            escaped(name)
        )
        .expect("a string takes all");
    }
    format!(
        "<h2>Ratios</h2>\n<div class=\"scroll\"><table>\n<tr><th>ratio</th><th class=\"n\">clients</th>\
         <th class=\"n\">min</th><th class=\"n\">median</th><th class=\"n\">max</th></tr>\n{rows}</table></div>\n"
    )
}

fn figures(figures: &[Row]) -> String {
    let mut rows = String::new();
    for row in figures {
        let class = if row.headline { " class=\"headline\"" } else { "" };
        let unit = row.unit;
        writeln!(
            rows,
            "<tr{class}><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}{unit}</td>\
             <td class=\"n\">{}</td><td class=\"load\">{}</td></tr>",
            escaped(row.key),
            row.clients,
            figure(row.spread.min),
            figure(row.value),
            figure(row.spread.max),
            escaped(&row.load)
        )
        .expect("a string takes all");
    }
    format!(
        "<h2>All figures</h2>\n<div class=\"scroll\"><table>\n<tr><th>measure</th><th class=\"n\">clients</th>\
         <th class=\"n\">min</th><th class=\"n\">reported</th><th class=\"n\">max</th><th>load</th></tr>\n\
         {rows}</table></div>\n"
    )
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
