//! The figures, for people and for programs: a column for each bus that was measured.

use serde_json::{Value, json};

use super::whole::Whole;

pub struct Figures {
    pub bulk: f64,
    pub single: f64,
    pub commits: f64,
    pub whole: Whole,
}

/// Each run by the name of its bus.
pub type Runs = [(&'static str, Figures)];

pub fn table(runs: &Runs) -> String {
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

/// Of the Local bus; with those of Kafka beside it, where it was measured.
pub fn json(runs: &Runs) -> Value {
    let mut all = runs[0].1.json();
    for (bus, figures) in &runs[1..] {
        all[*bus] = figures.json();
    }
    all
}

impl Figures {
    fn rows(&self) -> Vec<(&'static str, f64)> {
        let thousands = self.whole.cases as f64 / 1000.0;
        let used = &self.whole.used;
        vec![
            ("accepts/s, bulk stream", self.bulk),
            ("accepts/s, 64 connections", self.single),
            ("pgbench single-row commits/s, 64 clients", self.commits),
            ("  accepts over commits", self.bulk / self.commits),
            ("whole-path cases/s", self.whole.cases_per_s),
            ("CPU s per 1,000 cases, roles", used.system_cpu / thousands),
            (
                "CPU s per 1,000 cases, database",
                used.database_cpu / thousands,
            ),
            (
                "CPU s per 1,000 cases, hosts and reporters",
                used.hosts_cpu / thousands,
            ),
            ("CPU s per 1,000 cases, broker", used.broker_cpu / thousands),
            ("resident MB, roles, after a fifth", self.whole.rss_first),
            ("resident MB, roles, at the end", used.system_rss),
            ("private MB, database, at the end", used.database_rss),
            (
                "resident MB, hosts and reporters, at the end",
                used.hosts_rss,
            ),
            ("resident MB, broker, at the end", used.broker_rss),
        ]
    }

    fn json(&self) -> Value {
        let thousands = self.whole.cases as f64 / 1000.0;
        let used = &self.whole.used;
        json!({
            "accepts_per_s": self.bulk,
            "accepts_per_s_single_calls": self.single,
            "pgbench_commits_per_s": self.commits,
            "whole_path_cases_per_s": self.whole.cases_per_s,
            "cpu_s_per_1000_cases": {
                "roles": used.system_cpu / thousands,
                "database": used.database_cpu / thousands,
                "hosts": used.hosts_cpu / thousands,
                "broker": used.broker_cpu / thousands,
            },
            "rss_mb": {
                "roles_after_a_fifth": self.whole.rss_first,
                "roles": used.system_rss,
                "database": used.database_rss,
                "hosts": used.hosts_rss,
                "broker": used.broker_rss,
            },
        })
    }
}
