// SPDX-License-Identifier: MIT
//! The work of bench-engine, done by the reference library: the same rows, under the same keys.
//!
//!     bench-reference [--json] [--rounds N] [--only PART]... [FOLDER]
//!     bench-reference --version
//!
//! Works in FOLDER (default: the current one), which wants some 3 GiB. README.md beside this says what is the same and
//! what cannot be.
mod common;
mod opening;
mod operations;
mod stream;

use std::path::PathBuf;
use std::process::exit;

use common::Bench;

struct Row {
    key: &'static str,
    unit: &'static str,
    scale: f64, // from the figure to the unit
}

const ROWS: [Row; 9] = [
    Row {
        key: "batch_write",
        unit: "M/s",
        scale: 1e-6,
    },
    Row {
        key: "iterate",
        unit: "M/s",
        scale: 1e-6,
    },
    Row {
        key: "random_read",
        unit: "M/s",
        scale: 1e-6,
    },
    Row {
        key: "batch_read",
        unit: "M/s",
        scale: 1e-6,
    },
    Row {
        key: "single_blocking",
        unit: "k/s",
        scale: 1e-3,
    },
    Row {
        key: "open_1m",
        unit: "s",
        scale: 1.0,
    },
    Row {
        key: "open_5m",
        unit: "s",
        scale: 1.0,
    },
    Row {
        key: "cp",
        unit: "GiB/s",
        scale: 1.0,
    },
    Row {
        key: "stream",
        unit: "GiB/s",
        scale: 1.0,
    },
];

type Part = (&'static str, fn(&mut Bench));
const PARTS: [Part; 3] = [
    ("operations", operations::run),
    ("opening", opening::run),
    ("stream", stream::run),
];

struct Options {
    json: bool,
    rounds: usize,
    parts: Vec<Part>, // in the order of PARTS
    folder: PathBuf,
}

fn usage() -> ! {
    eprintln!("usage: bench-reference [--json] [--rounds N] [--only PART]... [FOLDER]");
    eprintln!("parts: {}", PARTS.map(|(name, _)| name).join(" "));
    exit(2);
}

fn parse_arguments() -> Options {
    let mut options = Options {
        json: false,
        rounds: 3,
        parts: Vec::new(),
        folder: PathBuf::from("."),
    };
    let mut chosen = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--version" => {
                println!("bench-reference {}", env!("CARGO_PKG_VERSION"));
                exit(0);
            }
            "--json" => options.json = true,
            "--rounds" => {
                options.rounds = arguments
                    .next()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or_else(|| usage())
            }
            "--only" => chosen.push(arguments.next().unwrap_or_else(|| usage())),
            _ if argument.starts_with('-') => usage(),
            _ => options.folder = PathBuf::from(argument),
        }
    }
    if options.rounds == 0
        || chosen
            .iter()
            .any(|name| PARTS.iter().all(|(part, _)| part != name))
    {
        usage();
    }
    options.parts = PARTS
        .into_iter()
        .filter(|(part, _)| chosen.is_empty() || chosen.iter().any(|name| name == part))
        .collect();
    options
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if !sorted.len().is_multiple_of(2) {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

/// The rows that have figures, with these in the row's unit.
fn measured(bench: &Bench) -> Vec<(&'static Row, Vec<f64>)> {
    let values = |row: &Row| {
        bench
            .figures
            .iter()
            .filter(|(key, _)| *key == row.key)
            .map(|(_, figure)| figure * row.scale)
            .collect()
    };
    ROWS.iter()
        .map(|row| (row, values(row)))
        .filter(|(_, values): &(_, Vec<f64>)| !values.is_empty())
        .collect()
}

fn joined(values: &[f64], separator: &str) -> String {
    values
        .iter()
        .map(|value| format!("{value:.3}"))
        .collect::<Vec<_>>()
        .join(separator)
}

fn main() {
    let options = parse_arguments();
    let mut bench = Bench::new(&options.folder);
    for _ in 0..options.rounds {
        for (_, run) in &options.parts {
            run(&mut bench);
        }
    }
    bench.clean();
    if options.json {
        let rows = measured(&bench).into_iter().map(|(row, values)| {
            format!(
                "{{\"key\":\"{}\",\"unit\":\"{}\",\"values\":[{}]}}",
                row.key,
                row.unit,
                joined(&values, ",")
            )
        });
        println!("{{\"rows\":[{}]}}", rows.collect::<Vec<_>>().join(","));
    } else {
        println!("medians (all figures in brackets)");
        for (row, values) in measured(&bench) {
            println!(
                "{:<16} {:>10.3} {:<5} ({})",
                row.key,
                median(&values),
                row.unit,
                joined(&values, " ")
            );
        }
    }
}
