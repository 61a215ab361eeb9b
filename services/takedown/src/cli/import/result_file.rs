//! The result file OUT: one line per row of the imported file, in its order. It is written anew by each run, which
//! compares its lines with those of the run before.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use platform::error::{Kind, Problem};

const HEADINGS: [&str; 5] = ["external_id", "result", "reason", "report", "case"];

/// The result of one row.
pub(super) struct ResultLine {
    pub(super) external_id: String,
    pub(super) result: RowResult,
}

pub(super) enum RowResult {
    Accepted { report: String, case: String },
    Refused { reason: String },
}

impl ResultLine {
    fn fields(&self) -> [&str; 5] {
        let id = self.external_id.as_str();
        match &self.result {
            RowResult::Accepted { report, case } => [id, "accepted", "", report, case],
            RowResult::Refused { reason } => [id, "refused", reason, "", ""],
        }
    }
}

/// The complete lines that OUT has from an earlier run.
#[derive(Default)]
pub(super) struct EarlierLines {
    /// How often each line occurs.
    lines: HashMap<Vec<String>, usize>,
    ids: HashSet<String>,
}

impl EarlierLines {
    /// A line that the earlier run did not finish is ignored.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut earlier = Self::default();
        if is_standard(path) || !path.is_file() {
            return Ok(earlier);
        }
        let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let end = text.iter().rposition(|byte| *byte == b'\n');
        let complete = &text[..end.map_or(0, |end| end + 1)];
        for line in csv::Reader::from_reader(complete).into_records().flatten() {
            earlier.ids.insert(line[0].to_owned());
            let fields = line.iter().map(str::to_owned).collect();
            *earlier.lines.entry(fields).or_default() += 1;
        }
        Ok(earlier)
    }

    /// Whether the earlier run wrote this line; each of its lines counts once.
    pub(super) fn take(&mut self, line: &ResultLine) -> bool {
        let fields: Vec<String> = line.fields().map(str::to_owned).into();
        let left = self.lines.get_mut(&fields).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// Whether the earlier run wrote a line for a row with this id.
    pub(super) fn has_id(&self, external_id: &str) -> bool {
        self.ids.contains(external_id)
    }
}

pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

pub(super) struct ResultFile(csv::Writer<ResultOutput>);

enum ResultOutput {
    File(File),
    Standard(io::Stdout),
}

impl Write for ResultOutput {
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

impl ResultFile {
    /// Replaces OUT, which may be the result file of an earlier run.
    ///
    /// # Errors
    ///
    /// `out_not_ours` if OUT is another file; it is not changed.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let output = if is_standard(path) {
            ResultOutput::Standard(io::stdout())
        } else {
            check_is_ours(path)?;
            ResultOutput::File(create(path)?)
        };
        let mut writer = csv::Writer::from_writer(output);
        writer.write_record(HEADINGS)?;
        Ok(Self(writer))
    }

    /// Writes these lines and flushes them.
    pub(super) fn write(&mut self, lines: &[ResultLine]) -> Result<()> {
        for line in lines {
            self.0.write_record(line.fields())?;
        }
        Ok(self.0.flush()?)
    }

    /// Syncs the file to disk.
    pub(super) fn finish(self) -> Result<()> {
        let output = self
            .0
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        if let ResultOutput::File(file) = output
            && file.metadata()?.is_file()
        {
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Creates or empties a file, with mode 600: the lines name reports and cases.
fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

/// An existing file must be empty or begin with the headings, as far as a run came.
fn check_is_ours(path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let headings = HEADINGS.join(",") + "\n";
    let is_ours = text.starts_with(headings.as_bytes()) || headings.as_bytes().starts_with(&text);
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Invalid,
        "out_not_ours",
        format!(
            "{} was not written by an import; name another file with --out.",
            path.display()
        ),
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_file_is_replaced_and_another_file_is_refused_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        for ours in [
            "",
            "external_id,res",
            "external_id,result,reason,report,case\nR-1,acc",
        ] {
            fs::write(&path, ours).unwrap();
            let mut file = ResultFile::create(&path).unwrap();
            file.write(&[ResultLine {
                external_id: "a, b".to_owned(),
                result: RowResult::Refused {
                    reason: "row_malformed".to_owned(),
                },
            }])
            .unwrap();
            file.finish().unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                "external_id,result,reason,report,case\n\"a, b\",refused,row_malformed,,\n"
            );
        }
        for text in ["name,age\nx,1\n", "name,age\n", "a diary", "a diary\n"] {
            fs::write(&path, text).unwrap();
            assert!(ResultFile::create(&path).is_err(), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
