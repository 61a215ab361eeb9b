//! OUT: a line a row. Appended to, never rewritten but for a torn end.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use platform::error::{Kind, Problem};

const HEADINGS: [&str; 5] = ["external_id", "result", "reason", "report", "case"];

/// What became of one row.
pub(super) enum Line {
    Accepted {
        external_id: String,
        report: String,
        case: String,
    },
    Refused {
        external_id: String,
        reason: String,
    },
}

pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

pub(super) struct Lines {
    writer: csv::Writer<Out>,
}

enum Out {
    File(File),
    Standard(io::Stdout),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Standard(out) => out.flush(),
        }
    }
}

impl Lines {
    /// Opens OUT, with how many lines each external id has in it already.
    pub(super) fn open(path: &Path) -> Result<(Self, HashMap<String, u64>)> {
        let mut done = HashMap::new();
        let (out, empty) = if is_standard(path) {
            (Out::Standard(io::stdout()), true)
        } else {
            let opening = || format!("opening {}", path.display());
            // The lines name reports and cases: for their owner.
            let file = OpenOptions::new()
                .create(true)
                .read(true)
                .append(true)
                .mode(0o600)
                .open(path)
                .with_context(opening)?;
            let whole = read(path, &mut done)?;
            if whole < file.metadata()?.len() {
                file.set_len(whole)?;
            }
            (Out::File(file), whole == 0)
        };
        let mut lines = Self {
            writer: csv::Writer::from_writer(out),
        };
        if empty {
            lines.writer.write_record(HEADINGS)?;
        }
        Ok((lines, done))
    }

    pub(super) fn write(&mut self, line: &Line) -> Result<()> {
        match line {
            Line::Accepted {
                external_id,
                report,
                case,
            } => self
                .writer
                .write_record([external_id, "accepted", "", report, case])?,
            Line::Refused {
                external_id,
                reason,
            } => self
                .writer
                .write_record([external_id, "refused", reason, "", ""])?,
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        Ok(self.writer.flush()?)
    }

    /// Everything on disk.
    pub(super) fn finish(self) -> Result<()> {
        let out = self
            .writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        if let Out::File(file) = out {
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Counts the lines of an earlier run, and returns where the last whole one ends: a run that was killed may have left
/// a torn one behind it.
fn read(path: &Path, done: &mut HashMap<String, u64>) -> Result<u64> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes.as_slice());
    let mut record = csv::StringRecord::new();
    let mut whole = 0;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(whole),
            Err(_) => return Err(foreign(path)),
        }
        let end = reader.position().byte();
        let ended = usize::try_from(end)
            .is_ok_and(|end| end > 0 && bytes.get(end - 1).is_some_and(|byte| *byte == b'\n'));
        // A line may also break off at a line break within quotes.
        let last = end >= bytes.len() as u64;
        if !ended || (record.len() != HEADINGS.len() && last) {
            let ours = whole > 0 || HEADINGS.join(",").as_bytes().starts_with(&bytes);
            return if ours { Ok(whole) } else { Err(foreign(path)) };
        }
        if record.len() != HEADINGS.len() || (whole == 0 && record != HEADINGS[..]) {
            return Err(foreign(path));
        }
        if whole > 0 {
            *done.entry(record[0].to_owned()).or_default() += 1;
        }
        whole = end;
    }
}

fn foreign(path: &Path) -> anyhow::Error {
    Problem::new(
        Kind::Invalid,
        "out_not_ours",
        format!(
            "{} is there and was not written by an import; name another file by --out.",
            path.display()
        ),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(external_id: &str) -> Line {
        Line::Accepted {
            external_id: external_id.to_owned(),
            report: "r".into(),
            case: "c".into(),
        }
    }

    #[test]
    fn a_torn_line_is_written_anew_and_whole_ones_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        let (mut lines, done) = Lines::open(&path).unwrap();
        assert!(done.is_empty());
        for id in ["a", "a", "with, comma\nand line", "b"] {
            lines.write(&accepted(id)).unwrap();
        }
        lines.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();

        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut lines, done) = Lines::open(&path).unwrap();
            let mut left: Vec<&str> = vec!["a", "a", "with, comma\nand line", "b"];
            let count: u64 = done.values().sum();
            left.drain(..usize::try_from(count).unwrap());
            for id in left {
                lines.write(&accepted(id)).unwrap();
            }
            lines.finish().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn somebody_elses_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        for text in ["name,age\nx,1\n", "name,age\n", "a diary", "a diary\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Lines::open(&path).is_err(), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
