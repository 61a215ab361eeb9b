//! Rows of a reports file (CSV, RFC 4180), by column name. A row that cannot be parsed is refused with its own reason; the
//! others are not affected.
//!
//! A quote that is not closed joins the rows after it, so where the next row begins is not known: such a file is refused
//! from there on.

use std::collections::HashMap;
use std::io::Read;

use anyhow::Result;
use csv::ByteRecord;
use domain::enums::{AgeBand, HashKind, Media, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{Hash, NewReport, ReportRemoveFacts, SubmitReportsRequest};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::result_file::{ResultLine, RowResult};

/// Maximum length of a row, in bytes. Longer rows are refused before they can exceed the size of a message.
const MAX_ROW: usize = 64 * 1024;

/// SHA-256 of a row's fields.
type RowHash = [u8; 32];

pub(super) enum ImportRow {
    Valid(RowSubmission),
    /// Not sent.
    Refused(ResultLine),
}

pub(super) struct RowSubmission {
    pub(super) external_id: String,
    pub(super) request: SubmitReportsRequest,
}

/// Indexes of the columns.
struct Columns {
    /// Number of columns.
    width: usize,
    external_id: usize,
    channel: usize,
    url: usize,
    sha256: Option<usize>,
    age_band: Option<usize>,
    media: Option<usize>,
    received_at: Option<usize>,
    reporter_country: Option<usize>,
}

pub(super) struct Rows<R> {
    reader: csv::Reader<R>,
    columns: Columns,
    /// How often each row has occurred.
    occurrences: HashMap<RowHash, u32>,
}

impl<R: Read> Rows<R> {
    /// Reads the header line.
    ///
    /// # Errors
    ///
    /// `column_missing` if a required column is missing.
    pub(super) fn new(source: R) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(source);
        let mut headings = ByteRecord::new();
        reader.read_byte_record(&mut headings)?;
        Ok(Self {
            reader,
            columns: Columns::from_headings(&headings)?,
            occurrences: HashMap::new(),
        })
    }

    /// # Errors
    ///
    /// `row_unclosed` if a quote is not closed.
    pub(super) fn next(&mut self) -> Result<Option<ImportRow>> {
        let mut record = ByteRecord::new();
        if !self.reader.read_byte_record(&mut record)? {
            return Ok(None);
        }
        if self.columns.is_unclosed(&record) {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(unclosed(line));
        }
        let external_id = record.get(self.columns.external_id).unwrap_or_default();
        let external_id = String::from_utf8_lossy(external_id).into_owned();
        let content = hash(&record);
        let occurrence = self.occurrences.entry(content).or_default();
        *occurrence += 1;
        Ok(Some(match self.columns.parse(&record) {
            Ok(mut request) => {
                request.idempotency_key = format!("import-{}-{occurrence}", hex::encode(content));
                ImportRow::Valid(RowSubmission {
                    external_id,
                    request,
                })
            }
            Err(reason) => ImportRow::Refused(ResultLine {
                external_id,
                result: RowResult::Refused {
                    reason: reason.to_owned(),
                },
            }),
        }))
    }
}

fn hash(record: &ByteRecord) -> RowHash {
    let mut hash = Sha256::new();
    for field in record {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

fn unclosed(line: u64) -> anyhow::Error {
    Problem::new(
        Kind::Invalid,
        "row_unclosed",
        format!(
            "The row in line {line} opens a quote that it does not close; correct it and import the file again: no report is received twice."
        ),
    )
    .into()
}

impl Columns {
    fn from_headings(headings: &ByteRecord) -> Result<Self> {
        let index = |name: &str| {
            headings
                .iter()
                .position(|h| h.trim_ascii() == name.as_bytes())
        };
        let required = |name: &'static str| {
            index(name).ok_or_else(|| {
                Problem::new(
                    Kind::Invalid,
                    "column_missing",
                    format!("The file has no column `{name}`; its first line must name the columns, including external_id, channel and url."),
                )
            })
        };
        Ok(Self {
            width: headings.len(),
            external_id: required("external_id")?,
            channel: required("channel")?,
            url: required("url")?,
            sha256: index("sha256"),
            age_band: index("age_band"),
            media: index("media"),
            received_at: index("received_at"),
            reporter_country: index("reporter_country"),
        })
    }

    /// Whether the row contains other rows: only a column that is not used may span lines.
    fn is_unclosed(&self, record: &ByteRecord) -> bool {
        let spans_lines = |index: usize| record.get(index).is_some_and(|f| f.contains(&b'\n'));
        let used = [self.external_id, self.channel, self.url].into_iter();
        let optional = [
            self.sha256,
            self.age_band,
            self.media,
            self.received_at,
            self.reporter_country,
        ];
        let mut used = used.chain(optional.into_iter().flatten());
        let is_malformed = record.len() != self.width || is_too_long(record);
        used.any(spans_lines) || is_malformed && (0..record.len()).any(spans_lines)
    }

    /// Parses a row; the error is a stable code.
    fn parse(&self, record: &ByteRecord) -> Result<SubmitReportsRequest, &'static str> {
        if is_too_long(record) {
            return Err("row_too_long");
        }
        if record.len() != self.width {
            return Err("row_malformed");
        }
        let text = |index: usize| {
            let field = record.get(index).unwrap_or_default();
            std::str::from_utf8(field).map_err(|_| "row_not_utf8")
        };
        let optional_text = |index: Option<usize>| index.map_or(Ok(""), text);

        let channel: ReportChannel = parse(text(self.channel)?)?;
        let media: Option<Media> = parse_optional(optional_text(self.media)?)?;
        let age_band: Option<AgeBand> = parse_optional(optional_text(self.age_band)?)?;
        let external_id = text(self.external_id)?.to_owned();
        let is_report_remove = channel == ReportChannel::ReportRemove;
        if !is_report_remove && age_band.is_some() {
            // Only Report Remove carries facts about a child. Refused here, because intake would not receive
            // them.
            return Err("report_remove_not_here");
        }
        let hashes = match optional_text(self.sha256)? {
            "" => Vec::new(),
            value => vec![Hash {
                kind: HashKind::Sha256.wire(),
                value: value.to_owned(),
            }],
        };
        let received_at = match optional_text(self.received_at)? {
            "" => None,
            time => Some(OffsetDateTime::parse(time, &Rfc3339).map_err(|_| "time_malformed")?),
        };
        Ok(SubmitReportsRequest {
            idempotency_key: String::new(),
            channel: channel.wire(),
            reporter_country: optional_text(self.reporter_country)?.to_owned(),
            // For Report Remove the external id is the helpline's unique number.
            report_remove: is_report_remove.then(|| ReportRemoveFacts {
                under_18: true,
                age_band: age_band.map_or(0, AgeBand::wire),
                unique_number: external_id.clone(),
            }),
            reports: vec![NewReport {
                external_id,
                url: text(self.url)?.to_owned(),
                hashes,
                media: media.map_or(0, Media::wire),
                received_at: received_at.map(domain::wire::timestamp),
            }],
            ..SubmitReportsRequest::default()
        })
    }
}

fn is_too_long(record: &ByteRecord) -> bool {
    record.as_slice().len() > MAX_ROW
}

fn parse<T: std::str::FromStr<Err = domain::Invalid>>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|invalid: domain::Invalid| invalid.code)
}

fn parse_optional<T: std::str::FromStr<Err = domain::Invalid>>(
    text: &str,
) -> Result<Option<T>, &'static str> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "url,external_id,channel,age_band,received_at\n";

    fn rows(body: &[u8]) -> Vec<ImportRow> {
        let source = [HEADINGS.as_bytes(), body].concat();
        let mut rows = Rows::new(source.as_slice()).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn external_id(row: &ImportRow) -> &str {
        match row {
            ImportRow::Valid(row) => &row.external_id,
            ImportRow::Refused(line) => &line.external_id,
        }
    }

    fn reasons(rows: &[ImportRow]) -> Vec<&str> {
        rows.iter()
            .map(|row| match row {
                ImportRow::Refused(ResultLine {
                    result: RowResult::Refused { reason },
                    ..
                }) => reason.as_str(),
                _ => "good",
            })
            .collect()
    }

    #[test]
    fn a_bad_row_is_refused_with_its_id_and_the_next_one_is_read() {
        let rows = rows(
            b"https://a.test/,1,public,,\nhttps://a.test/,2\nhttps://a.test/\xff,3,public,,\n\
              https://a.test/,4,post,,\nhttps://a.test/,5,report_remove,13_15,2026-03-01T00:00:49.146972+00:00\n\
              https://a.test/,6,public,,yesterday\nhttps://a.test/,7,public,13_15,\nhttps://a.test/,8,public,,\n",
        );
        assert_eq!(
            reasons(&rows),
            [
                "good",
                "row_malformed",
                "row_not_utf8",
                "value_unknown",
                "good",
                "time_malformed",
                "report_remove_not_here",
                "good"
            ]
        );
        let ids: Vec<&str> = rows.iter().map(external_id).collect();
        assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }

    #[test]
    fn a_repeated_row_is_two_reports_with_the_same_two_keys_in_each_run() {
        let keys = |rows: Vec<ImportRow>| -> Vec<String> {
            rows.into_iter()
                .map(|row| match row {
                    ImportRow::Valid(row) => row.request.idempotency_key,
                    ImportRow::Refused(_) => panic!("refused"),
                })
                .collect()
        };
        let body = b"https://a.test/,1,public,,\nhttps://a.test/,1,public,,\n";
        let first = keys(rows(body));
        assert_ne!(first[0], first[1]);
        assert_eq!(first, keys(rows(body)));
        assert!(first[0].len() <= 128);
    }

    #[test]
    fn columns_are_found_by_name_and_optional_ones_may_be_missing() {
        let read = |text: &str| {
            let mut rows = Rows::new(text.as_bytes()).unwrap();
            match rows.next().unwrap().unwrap() {
                ImportRow::Valid(row) => row.request,
                ImportRow::Refused(_) => panic!("refused: {text}"),
            }
        };
        let few = read("\u{feff}url,channel,external_id\r\nhttps://a.test/,public,1\r\n");
        assert_eq!(
            (few.reports[0].url.as_str(), few.reporter_country.as_str()),
            ("https://a.test/", "")
        );
        let all = read(
            "reporter_country,received_at,media,age_band,sha256,url,channel,external_id,other\n\
             GB,2026-03-01T00:00:49Z,image,,,https://a.test/,public,1,x\n",
        );
        assert_eq!(
            (all.reporter_country.as_str(), all.reports[0].media),
            ("GB", Media::Image.wire())
        );
        assert!(all.reports[0].received_at.is_some());
    }

    #[test]
    fn two_rows_with_one_id_are_two_rows() {
        let rows = rows(b"https://a.test/,1,public,,\nhttps://b.test/,1,public,,\n");
        let keys: Vec<&str> = rows
            .iter()
            .map(|row| match row {
                ImportRow::Valid(row) => row.request.idempotency_key.as_str(),
                ImportRow::Refused(_) => panic!("refused"),
            })
            .collect();
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_the_import_at_its_line() {
        let first = b"https://a.test/,1,public,,\n";
        for rest in [
            &b"https://b.test/,\"2,public,,\nhttps://c.test/,3,public,,\n"[..],
            b"https://b.test/,\"2,public,,\nhttps://c.test/,3\",public,,\n",
            b"\"https://b.test/,2,public,,\nhttps://c.test/,\"3\",public,,\n",
        ] {
            let source = [HEADINGS.as_bytes(), first, rest].concat();
            let mut rows = Rows::new(source.as_slice()).unwrap();
            assert!(matches!(rows.next().unwrap(), Some(ImportRow::Valid(_))));
            let error = rows.next().err().unwrap().downcast::<Problem>().unwrap();
            assert_eq!(error.code, "row_unclosed");
            assert!(error.detail.contains("line 3"), "{}", error.detail);
        }
    }

    #[test]
    fn a_column_that_is_not_used_may_span_lines_and_a_long_row_is_refused() {
        let long = "x".repeat(MAX_ROW);
        let text = format!(
            "url,channel,external_id,note\nhttps://a.test/,public,1,\"a, \"\"b\"\"\n\nc\"\r\n\
             https://b.test/,public,2,{long}\nhttps://c.test/,public,3,\n"
        );
        let mut rows = Rows::new(text.as_bytes()).unwrap();
        let rows: Vec<ImportRow> = std::iter::from_fn(|| rows.next().unwrap()).collect();
        assert_eq!(reasons(&rows), ["good", "row_too_long", "good"]);
    }

    #[test]
    fn a_file_without_the_required_columns_is_refused() {
        let error = Rows::new(b"a,b\n1,2\n".as_slice()).err().unwrap();
        assert_eq!(error.downcast::<Problem>().unwrap().code, "column_missing");
    }
}
