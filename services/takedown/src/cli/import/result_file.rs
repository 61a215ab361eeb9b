//! The result file OUT: one line per row of the imported file, in its order. It is written anew by each run.

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
            let id = line.external_id.as_str();
            let fields = match &line.result {
                RowResult::Accepted { report, case } => {
                    [id, "accepted", "", report.as_str(), case.as_str()]
                }
                RowResult::Refused { reason } => [id, "refused", reason.as_str(), "", ""],
            };
            self.0.write_record(fields)?;
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
