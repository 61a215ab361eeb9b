//! The result file OUT: one line per row, appended; only an incomplete last line is rewritten.
//!
//! `OUT.rows` beside it has the hash of each line's row, so that a repeated row is recognised and a corrected
//! one is not mistaken for it. It is written first and is therefore never shorter than OUT.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use platform::error::{Kind, Problem};

use super::rows::RowHash;

const HEADINGS: [&str; 5] = ["external_id", "result", "reason", "report", "case"];

/// Length of a hash in `OUT.rows`, with its line break.
const HASH_LINE: usize = 2 * size_of::<RowHash>() + 1;

/// The result of one row.
pub(super) struct ResultLine {
    pub(super) external_id: String,
    pub(super) content: RowHash,
    pub(super) result: RowResult,
}

pub(super) enum RowResult {
    Accepted { report: String, case: String },
    Refused { reason: String },
}

/// The lines of earlier runs.
#[derive(Debug, Default)]
pub(super) struct EarlierLines {
    /// Number of lines by row.
    rows: HashMap<RowHash, u64>,
    ids: HashSet<String>,
}

impl EarlierLines {
    /// Consumes one of the lines of this row, if there is one.
    pub(super) fn take(&mut self, row: &RowHash) -> bool {
        match self.rows.get_mut(row) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether any line has this external id.
    pub(super) fn has_id(&self, external_id: &str) -> bool {
        self.ids.contains(external_id)
    }
}

pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

pub(super) struct ResultFile {
    writer: csv::Writer<ResultOutput>,
    /// None if OUT is standard output, from which no run continues.
    rows: Option<File>,
}

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
    /// Opens OUT and reads the lines of earlier runs.
    pub(super) fn open(path: &Path) -> Result<(Self, EarlierLines)> {
        if is_standard(path) {
            let mut writer = csv::Writer::from_writer(ResultOutput::Standard(io::stdout()));
            writer.write_record(HEADINGS)?;
            return Ok((Self { writer, rows: None }, EarlierLines::default()));
        }
        let file = open(path)?;
        let (complete, ids) = read_lines(path)?;
        let rows_path = rows_path(path);
        let known = if ids.is_empty() {
            Vec::new()
        } else {
            fs::read(&rows_path).unwrap_or_default()
        };
        let Some(known) = known.get(..ids.len() * HASH_LINE) else {
            return Err(rows_missing(path, &rows_path));
        };
        let mut earlier = EarlierLines::default();
        for line in known.chunks(HASH_LINE) {
            let mut row = RowHash::default();
            hex::decode_to_slice(&line[..HASH_LINE - 1], &mut row)
                .map_err(|_| rows_missing(path, &rows_path))?;
            *earlier.rows.entry(row).or_default() += 1;
        }
        let rows = open(&rows_path)?;
        rows.set_len(known.len() as u64)?;
        if complete < file.metadata()?.len() {
            file.set_len(complete)?;
        }
        earlier.ids = ids.into_iter().collect();
        let mut writer = csv::Writer::from_writer(ResultOutput::File(file));
        if complete == 0 {
            writer.write_record(HEADINGS)?;
        }
        let rows = Some(rows);
        Ok((Self { writer, rows }, earlier))
    }

    /// Writes these lines and flushes them.
    pub(super) fn write(&mut self, lines: &[ResultLine]) -> Result<()> {
        if let Some(rows) = &mut self.rows {
            let all = lines.iter().map(|line| hex::encode(line.content) + "\n");
            rows.write_all(all.collect::<String>().as_bytes())?;
        }
        for line in lines {
            let id = line.external_id.as_str();
            let fields = match &line.result {
                RowResult::Accepted { report, case } => {
                    [id, "accepted", "", report.as_str(), case.as_str()]
                }
                RowResult::Refused { reason } => [id, "refused", reason.as_str(), "", ""],
            };
            self.writer.write_record(fields)?;
        }
        Ok(self.writer.flush()?)
    }

    /// Syncs both files to disk.
    pub(super) fn finish(self) -> Result<()> {
        let out = self
            .writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        if let Some(rows) = self.rows {
            rows.sync_all()?;
        }
        if let ResultOutput::File(file) = out {
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Opens or creates a file with mode 600: the lines name reports and cases.
fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

fn rows_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".rows");
    name.into()
}

/// Where the last complete line of an earlier run ends, and the ids of the lines up to there. A run that was
/// killed may have left an incomplete line after them.
fn read_lines(path: &Path) -> Result<(u64, Vec<String>)> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes.as_slice());
    let mut record = csv::StringRecord::new();
    let mut ids = Vec::new();
    let mut complete = 0;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok((complete, ids)),
            Err(_) => return Err(foreign(path)),
        }
        let end = reader.position().byte();
        let is_terminated = usize::try_from(end)
            .is_ok_and(|end| end > 0 && bytes.get(end - 1).is_some_and(|byte| *byte == b'\n'));
        // A line may also be cut off at a line break within quotes.
        let is_last = end >= bytes.len() as u64;
        if !is_terminated || (record.len() != HEADINGS.len() && is_last) {
            let is_result_file = complete > 0 || HEADINGS.join(",").as_bytes().starts_with(&bytes);
            return if is_result_file {
                Ok((complete, ids))
            } else {
                Err(foreign(path))
            };
        }
        if record.len() != HEADINGS.len() || (complete == 0 && record != HEADINGS[..]) {
            return Err(foreign(path));
        }
        if complete > 0 {
            ids.push(record[0].to_owned());
        }
        complete = end;
    }
}

fn rows_missing(path: &Path, rows_path: &Path) -> anyhow::Error {
    Problem::new(
        Kind::Invalid,
        "out_rows_missing",
        format!(
            "{} has lines, and {}, which identifies their rows, is missing or damaged; restore it, or name another file with --out: \
             no row is reported twice.",
            path.display(),
            rows_path.display()
        ),
    )
    .into()
}

fn foreign(path: &Path) -> anyhow::Error {
    Problem::new(
        Kind::Invalid,
        "out_not_ours",
        format!(
            "{} was not written by an import; name another file with --out.",
            path.display()
        ),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(external_id: &str) -> ResultLine {
        ResultLine {
            external_id: external_id.to_owned(),
            content: [u8::try_from(external_id.len()).unwrap(); 32],
            result: RowResult::Accepted {
                report: "r".into(),
                case: "c".into(),
            },
        }
    }

    const IDS: [&str; 4] = ["a", "a", "with, comma\nand line", "bb"];

    fn write_sample(path: &Path) {
        let (mut file, _) = ResultFile::open(path).unwrap();
        file.write(&IDS.map(accepted)).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn an_incomplete_line_is_rewritten_and_complete_ones_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        write_sample(&path);
        let complete = fs::read(&path).unwrap();

        for cut in 0..complete.len() {
            fs::write(&path, &complete[..cut]).unwrap();
            let (mut file, mut earlier) = ResultFile::open(&path).unwrap();
            let all = IDS.map(accepted).into_iter();
            let missing: Vec<ResultLine> =
                all.filter(|line| !earlier.take(&line.content)).collect();
            file.write(&missing).unwrap();
            file.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), complete, "cut at {cut}");
        }
    }

    #[test]
    fn a_row_with_other_content_has_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        write_sample(&path);
        let (_, mut earlier) = ResultFile::open(&path).unwrap();
        assert!(earlier.has_id("bb") && !earlier.has_id("c"));
        assert!(!earlier.take(&[7; 32]));
        assert!(earlier.take(&accepted("bb").content) && !earlier.take(&accepted("bb").content));

        for damaged in [&b""[..], b"not the hash of a row\n"] {
            fs::write(dir.path().join("out.csv.rows"), damaged).unwrap();
            assert!(ResultFile::open(&path).is_err());
        }
    }

    #[test]
    fn a_file_that_is_not_a_result_file_is_refused_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        for text in ["name,age\nx,1\n", "name,age\n", "a diary", "a diary\n"] {
            fs::write(&path, text).unwrap();
            assert!(ResultFile::open(&path).is_err(), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
