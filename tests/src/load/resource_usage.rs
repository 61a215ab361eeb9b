//! Resource usage of a process from Linux's `/proc`: CPU seconds, including children that have ended, and resident memory.
//! Totals are read before and after a measurement; nothing is sampled in between.

use std::fs;

use anyhow::{Context as _, Result};

/// Clock ticks per second in `/proc/PID/stat`; fixed by the kernel's interface (proc(5), USER_HZ).
const TICKS: f64 = 100.0;

/// Process ids of the measured parts.
#[derive(Debug, Clone, Copy)]
pub struct MeasuredProcesses {
    pub system: u32,
    pub database: u32,
    pub broker: Option<u32>,
}

/// CPU seconds and megabytes of resident memory of each part.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResourceUsage {
    pub system_cpu: f64,
    pub database_cpu: f64,
    pub hosts_cpu: f64,
    pub broker_cpu: f64,
    pub system_rss: f64,
    pub database_rss: f64,
    pub hosts_rss: f64,
    pub broker_rss: f64,
}

impl MeasuredProcesses {
    pub fn usage(self) -> Result<ResourceUsage> {
        let mut usage = ResourceUsage {
            system_cpu: cpu(self.system)?,
            database_cpu: cpu(self.database)?,
            hosts_cpu: cpu(std::process::id())?,
            broker_cpu: self.broker.map_or(Ok(0.0), cpu)?,
            system_rss: rss(self.system)?,
            database_rss: private_memory(self.database)?,
            hosts_rss: rss(std::process::id())?,
            broker_rss: self.broker.map_or(Ok(0.0), rss)?,
        };
        for child in children(self.database)? {
            // A session may end between being listed and being read.
            usage.database_cpu += cpu(child).unwrap_or_default();
            usage.database_rss += private_memory(child).unwrap_or_default();
        }
        Ok(usage)
    }
}

impl ResourceUsage {
    /// CPU time since `earlier`; memory at the time of `self`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            system_cpu: self.system_cpu - earlier.system_cpu,
            database_cpu: self.database_cpu - earlier.database_cpu,
            hosts_cpu: self.hosts_cpu - earlier.hosts_cpu,
            broker_cpu: self.broker_cpu - earlier.broker_cpu,
            ..self
        }
    }
}

fn stat(pid: u32) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("a measured process has ended")?;
    // The name in brackets may hold spaces; the fields after it do not.
    let rest = text.rsplit_once(')').context("stat has no name")?.1;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Own time and that of children that were waited for (fields 14 to 17).
fn cpu(pid: u32) -> Result<f64> {
    let fields = stat(pid)?;
    let ticks: f64 = fields[11..15]
        .iter()
        .filter_map(|f| f.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS)
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let all =
        fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(all
        .filter(|pid| stat(*pid).is_ok_and(|f| f[1] == parent.to_string()))
        .collect())
}

fn rss(pid: u32) -> Result<f64> {
    status(pid, "VmRSS:")
}

/// Without the memory that the database's processes share.
fn private_memory(pid: u32) -> Result<f64> {
    status(pid, "RssAnon:")
}

fn status(pid: u32, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("status has no memory")?.parse::<f64>()? / 1024.0)
}
