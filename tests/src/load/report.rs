//! The figures as text and as JSON, with a column for each measured bus.

use serde_json::{Value, json};

use super::whole_path::WholePathFigures;

pub struct LoadFigures {
    pub bulk: f64,
    pub single: f64,
    pub commits: f64,
    pub whole_path: WholePathFigures,
}

/// The figures by bus name.
pub type NamedRuns = [(&'static str, LoadFigures)];

pub fn table(runs: &NamedRuns) -> String {
    let mut lines = Vec::new();
    if runs.len() > 1 {
        lines.push(line("", runs.iter().map(|(bus, _)| format!("{bus:>12}"))));
    }
    let columns: Vec<_> = runs.iter().map(|(_, figures)| figures.rows()).collect();
    for (row, (name, _)) in columns[0].iter().enumerate() {
        let figures = columns
            .iter()
            .map(|column| format!("{:>12.2}", column[row].1));
        lines.push(line(name, figures));
    }
    lines.join("\n")
}

fn line(name: &str, figures: impl Iterator<Item = String>) -> String {
    let figures: Vec<String> = figures.collect();
    format!("{name:<44} {}", figures.join(" "))
}

/// The figures of the Local bus, and under their bus name those of other runs.
pub fn json(runs: &NamedRuns) -> Value {
    let mut all = runs[0].1.json();
    for (bus, figures) in &runs[1..] {
        all[*bus] = figures.json();
    }
    all
}

impl LoadFigures {
    fn rows(&self) -> Vec<(&'static str, f64)> {
        let thousands = self.whole_path.cases as f64 / 1000.0;
        let usage = &self.whole_path.usage;
        vec![
            ("accepts/s, bulk stream", self.bulk),
            ("accepts/s, 64 connections", self.single),
            ("pgbench single-row commits/s, 64 clients", self.commits),
            ("  accepts over commits", self.bulk / self.commits),
            ("whole-path cases/s", self.whole_path.cases_per_s),
            ("CPU s per 1,000 cases, roles", usage.system_cpu / thousands),
            (
                "CPU s per 1,000 cases, database",
                usage.database_cpu / thousands,
            ),
            (
                "CPU s per 1,000 cases, hosts and reporters",
                usage.hosts_cpu / thousands,
            ),
            (
                "CPU s per 1,000 cases, broker",
                usage.broker_cpu / thousands,
            ),
            (
                "resident MB, roles, after a fifth",
                self.whole_path.rss_first,
            ),
            ("resident MB, roles, at the end", usage.system_rss),
            ("private MB, database, at the end", usage.database_rss),
            (
                "resident MB, hosts and reporters, at the end",
                usage.hosts_rss,
            ),
            ("resident MB, broker, at the end", usage.broker_rss),
        ]
    }

    fn json(&self) -> Value {
        let thousands = self.whole_path.cases as f64 / 1000.0;
        let usage = &self.whole_path.usage;
        json!({
            "accepts_per_s": self.bulk,
            "accepts_per_s_single_calls": self.single,
            "pgbench_commits_per_s": self.commits,
            "whole_path_cases_per_s": self.whole_path.cases_per_s,
            "cpu_s_per_1000_cases": {
                "roles": usage.system_cpu / thousands,
                "database": usage.database_cpu / thousands,
                "hosts": usage.hosts_cpu / thousands,
                "broker": usage.broker_cpu / thousands,
            },
            "rss_mb": {
                "roles_after_a_fifth": self.whole_path.rss_first,
                "roles": usage.system_rss,
                "database": usage.database_rss,
                "hosts": usage.hosts_rss,
                "broker": usage.broker_rss,
            },
        })
    }
}
