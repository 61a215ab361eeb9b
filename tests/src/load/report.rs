//! The figures, for people and for programs.

use serde_json::{Value, json};

use super::whole::Whole;

pub struct Figures {
    pub bulk: f64,
    pub single: f64,
    pub commits: f64,
    pub whole: Whole,
}

impl Figures {
    pub fn table(&self) -> String {
        let thousands = self.whole.cases as f64 / 1000.0;
        let used = &self.whole.used;
        let rows = [
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
            ("resident MB, roles, after a fifth", self.whole.rss_first),
            ("resident MB, roles, at the end", used.system_rss),
            ("private MB, database, at the end", used.database_rss),
            (
                "resident MB, hosts and reporters, at the end",
                used.hosts_rss,
            ),
        ];
        rows.map(|(name, figure)| format!("{name:<44} {figure:>12.2}"))
            .join("\n")
    }

    pub fn json(&self) -> Value {
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
            },
            "rss_mb": {
                "roles_after_a_fifth": self.whole.rss_first,
                "roles": used.system_rss,
                "database": used.database_rss,
                "hosts": used.hosts_rss,
            },
        })
    }
}
