//! OUT: a line a row. Appended to, never rewritten but for a torn end.
//!
//! Beside it lies `OUT.rows`: what each line's row said, as a digest, so that a row is known again and a corrected one is
//! not taken for it. It is written first and so is never shorter than OUT.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use platform::error::{Kind, Problem};

use super::rows::Content;

const HEADINGS: [&str; 5] = ["external_id", "result", "reason", "report", "case"];

/// Of a digest in `OUT.rows`, its line break included.
const WIDTH: usize = 2 * size_of::<Content>() + 1;

/// What became of one row.
pub(super) struct Line {
    pub(super) external_id: String,
    /// Of the row.
    pub(super) content: Content,
    pub(super) became: Became,
}

pub(super) enum Became {
    Accepted { report: String, case: String },
    Refused { reason: String },
}

/// What an earlier run has written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// How many lines rows of this content have.
    rows: HashMap<Content, u64>,
    ids: HashSet<String>,
}

impl Written {
    /// Takes one of the lines that were written for this very row.
    pub(super) fn has(&mut self, row: &Content) -> bool {
        match self.rows.get_mut(row) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether there is a line under this name, of whatever row.
    pub(super) fn knows(&self, external_id: &str) -> bool {
        self.ids.contains(external_id)
    }
}

pub(super) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

pub(super) struct Lines {
    writer: csv::Writer<Out>,
    /// None where OUT is standard output: nobody goes on from that.
    rows: Option<File>,
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
    /// Opens OUT, with what is in it already.
    pub(super) fn open(path: &Path) -> Result<(Self, Written)> {
        if is_standard(path) {
            let mut writer = csv::Writer::from_writer(Out::Standard(io::stdout()));
            writer.write_record(HEADINGS)?;
            return Ok((Self { writer, rows: None }, Written::default()));
        }
        let file = open(path)?;
        let (whole, ids) = read(path)?;
        let beside = beside(path);
        let known = if ids.is_empty() {
            Vec::new()
        } else {
            fs::read(&beside).unwrap_or_default()
        };
        let Some(known) = known.get(..ids.len() * WIDTH) else {
            return Err(unknown(path, &beside));
        };
        let mut written = Written::default();
        for line in known.chunks(WIDTH) {
            let mut row = Content::default();
            hex::decode_to_slice(&line[..WIDTH - 1], &mut row)
                .map_err(|_| unknown(path, &beside))?;
            *written.rows.entry(row).or_default() += 1;
        }
        let rows = open(&beside)?;
        rows.set_len(known.len() as u64)?;
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        written.ids = ids.into_iter().collect();
        let mut writer = csv::Writer::from_writer(Out::File(file));
        if whole == 0 {
            writer.write_record(HEADINGS)?;
        }
        let rows = Some(rows);
        Ok((Self { writer, rows }, written))
    }

    /// Writes these lines; they are in the file when this returns.
    pub(super) fn write(&mut self, lines: &[Line]) -> Result<()> {
        if let Some(rows) = &mut self.rows {
            let all = lines.iter().map(|line| hex::encode(line.content) + "\n");
            rows.write_all(all.collect::<String>().as_bytes())?;
        }
        for line in lines {
            let id = line.external_id.as_str();
            let fields = match &line.became {
                Became::Accepted { report, case } => {
                    [id, "accepted", "", report.as_str(), case.as_str()]
                }
                Became::Refused { reason } => [id, "refused", reason.as_str(), "", ""],
            };
            self.writer.write_record(fields)?;
        }
        Ok(self.writer.flush()?)
    }

    /// Everything on disk.
    pub(super) fn finish(self) -> Result<()> {
        let out = self
            .writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        if let Some(rows) = self.rows {
            rows.sync_all()?;
        }
        if let Out::File(file) = out {
            file.sync_all()?;
        }
        Ok(())
    }
}

/// The lines name reports and cases, their rows were reported: both are for their owner.
fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".rows");
    name.into()
}

/// Where the last whole line of an earlier run ends, and the ids of the lines up to there: a run that was killed may have
/// left a torn one behind them.
fn read(path: &Path) -> Result<(u64, Vec<String>)> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes.as_slice());
    let mut record = csv::StringRecord::new();
    let mut ids = Vec::new();
    let mut whole = 0;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok((whole, ids)),
            Err(_) => return Err(foreign(path)),
        }
        let end = reader.position().byte();
        let ended = usize::try_from(end)
            .is_ok_and(|end| end > 0 && bytes.get(end - 1).is_some_and(|byte| *byte == b'\n'));
        // A line may also break off at a line break within quotes.
        let last = end >= bytes.len() as u64;
        if !ended || (record.len() != HEADINGS.len() && last) {
            let ours = whole > 0 || HEADINGS.join(",").as_bytes().starts_with(&bytes);
            return if ours {
                Ok((whole, ids))
            } else {
                Err(foreign(path))
            };
        }
        if record.len() != HEADINGS.len() || (whole == 0 && record != HEADINGS[..]) {
            return Err(foreign(path));
        }
        if whole > 0 {
            ids.push(record[0].to_owned());
        }
        whole = end;
    }
}

fn unknown(path: &Path, beside: &Path) -> anyhow::Error {
    Problem::new(
        Kind::Invalid,
        "out_rows_missing",
        format!(
            "{} has lines and {} does not say of which rows; put that file back beside it, or name another file by --out: \
             no row is reported twice.",
            path.display(),
            beside.display()
        ),
    )
    .into()
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
        Line {
            external_id: external_id.to_owned(),
            content: [u8::try_from(external_id.len()).unwrap(); 32],
            became: Became::Accepted {
                report: "r".into(),
                case: "c".into(),
            },
        }
    }

    const IDS: [&str; 4] = ["a", "a", "with, comma\nand line", "bb"];

    fn written(path: &Path) {
        let (mut lines, _) = Lines::open(path).unwrap();
        lines.write(&IDS.map(accepted)).unwrap();
        lines.finish().unwrap();
    }

    #[test]
    fn a_torn_line_is_written_anew_and_whole_ones_are_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        written(&path);
        let whole = fs::read(&path).unwrap();

        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut lines, mut done) = Lines::open(&path).unwrap();
            let all = IDS.map(accepted).into_iter();
            let left: Vec<Line> = all.filter(|line| !done.has(&line.content)).collect();
            lines.write(&left).unwrap();
            lines.finish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_row_with_other_content_has_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        written(&path);
        let (_, mut done) = Lines::open(&path).unwrap();
        assert!(done.knows("bb") && !done.knows("c"));
        assert!(!done.has(&[7; 32]));
        assert!(done.has(&accepted("bb").content) && !done.has(&accepted("bb").content));

        for spoilt in [&b""[..], b"no digest of a row at all\n"] {
            fs::write(dir.path().join("out.csv.rows"), spoilt).unwrap();
            assert!(Lines::open(&path).is_err());
        }
    }

    #[test]
    fn somebody_elses_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        for text in ["name,age\nx,1\n", "name,age\n", "a diary", "a diary\n"] {
            fs::write(&path, text).unwrap();
            assert!(Lines::open(&path).is_err(), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
