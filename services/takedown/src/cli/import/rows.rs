//! Rows of a reports file, by the names of its columns. A row that cannot be read is refused with a reason of its own,
//! and the next one is read.

use std::collections::HashMap;
use std::io::Read;

use anyhow::Result;
use csv::ByteRecord;
use domain::word::{AgeBand, HashKind, Media, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{Hash, ReportItem, ReportRemoveFacts, SubmitReportsRequest};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lines::Line;

/// A longer row is no report; it is refused here, before it could fill a message.
const LONGEST: usize = 64 * 1024;

pub(super) enum Row {
    Good(Submission),
    /// Refused where it stands.
    Bad(Line),
}

impl Row {
    pub(super) fn external_id(&self) -> &str {
        match self {
            Self::Good(row) => &row.external_id,
            Self::Bad(Line::Accepted { external_id, .. } | Line::Refused { external_id, .. }) => {
                external_id
            }
        }
    }
}

pub(super) struct Submission {
    pub(super) external_id: String,
    pub(super) request: SubmitReportsRequest,
}

/// Places of the columns.
struct Columns {
    external_id: usize,
    channel: usize,
    url: usize,
    sha256: Option<usize>,
    age_band: Option<usize>,
    media: Option<usize>,
    received_at: Option<usize>,
    reporter_country: Option<usize>,
    count: usize,
}

pub(super) struct Rows<R> {
    reader: csv::Reader<R>,
    columns: Columns,
    record: ByteRecord,
    /// How often a row came already, by its digest.
    seen: HashMap<[u8; 32], u32>,
}

impl<R: Read> Rows<R> {
    /// Reads the line of headings.
    pub(super) fn new(source: R) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
        let columns = Columns::of(reader.byte_headers()?)?;
        Ok(Self {
            reader,
            columns,
            record: ByteRecord::new(),
            seen: HashMap::new(),
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        if !self.reader.read_byte_record(&mut self.record)? {
            return Ok(None);
        }
        let text = |place: usize| {
            String::from_utf8_lossy(self.record.get(place).unwrap_or_default()).into_owned()
        };
        let external_id = text(self.columns.external_id);
        Ok(Some(match self.parse() {
            Ok(mut request) => {
                request.idempotency_key = self.key();
                Row::Good(Submission {
                    external_id,
                    request,
                })
            }
            Err(reason) => Row::Bad(Line::Refused {
                external_id,
                reason: reason.to_owned(),
            }),
        }))
    }

    /// The row as a submission, or why it is none.
    fn parse(&self) -> Result<SubmitReportsRequest, &'static str> {
        if self.record.as_slice().len() > LONGEST {
            return Err("row_too_long");
        }
        if self.record.len() != self.columns.count {
            return Err("row_malformed");
        }
        let text = |place: usize| {
            std::str::from_utf8(self.record.get(place).unwrap_or_default())
                .map_err(|_| "row_not_utf8")
        };
        let maybe = |place: Option<usize>| place.map_or(Ok(""), text);

        let channel: ReportChannel = word(text(self.columns.channel)?)?;
        let media: Option<Media> = optional(maybe(self.columns.media)?)?;
        let age_band: Option<AgeBand> = optional(maybe(self.columns.age_band)?)?;
        let external_id = text(self.columns.external_id)?.to_owned();
        let remove = channel == ReportChannel::ReportRemove;
        if !remove && age_band.is_some() {
            // Facts about a child belong to that channel alone; intake would never see that they were dropped here.
            return Err("report_remove_not_here");
        }
        let hashes = match maybe(self.columns.sha256)? {
            "" => Vec::new(),
            value => vec![Hash {
                kind: HashKind::Sha256.wire(),
                value: value.to_owned(),
            }],
        };
        let received_at = match maybe(self.columns.received_at)? {
            "" => None,
            at => Some(OffsetDateTime::parse(at, &Rfc3339).map_err(|_| "time_malformed")?),
        };
        Ok(SubmitReportsRequest {
            idempotency_key: String::new(),
            channel: channel.wire(),
            reporter_country: maybe(self.columns.reporter_country)?.to_owned(),
            // The number that the helpline gave is what it calls the report by.
            report_remove: remove.then(|| ReportRemoveFacts {
                under_18: true,
                age_band: age_band.map_or(0, AgeBand::wire),
                unique_number: external_id.clone(),
            }),
            items: vec![ReportItem {
                external_id,
                url: text(self.columns.url)?.to_owned(),
                hashes,
                media: media.map_or(0, Media::wire),
                received_at: received_at.map(domain::wire::timestamp),
            }],
            ..SubmitReportsRequest::default()
        })
    }

    /// Follows from the row's content and from how often the very same row came before it.
    fn key(&mut self) -> String {
        let mut digest = Sha256::new();
        for field in &self.record {
            digest.update((field.len() as u64).to_be_bytes());
            digest.update(field);
        }
        let content: [u8; 32] = digest.finalize().into();
        let seen = self.seen.entry(content).or_default();
        *seen += 1;
        format!("import-{}-{seen}", hex::encode(content))
    }
}

impl Columns {
    fn of(headings: &ByteRecord) -> Result<Self> {
        let place = |name: &str| {
            headings
                .iter()
                .position(|h| h.trim_ascii() == name.as_bytes())
        };
        let needed = |name: &'static str| {
            place(name).ok_or_else(|| {
                Problem::new(
                    Kind::Invalid,
                    "column_missing",
                    format!("The file has no column `{name}`; its first line names the columns, among them external_id, channel and url."),
                )
            })
        };
        Ok(Self {
            external_id: needed("external_id")?,
            channel: needed("channel")?,
            url: needed("url")?,
            sha256: place("sha256"),
            age_band: place("age_band"),
            media: place("media"),
            received_at: place("received_at"),
            reporter_country: place("reporter_country"),
            count: headings.len(),
        })
    }
}

fn word<T: std::str::FromStr<Err = domain::Invalid>>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|invalid: domain::Invalid| invalid.code)
}

fn optional<T: std::str::FromStr<Err = domain::Invalid>>(
    text: &str,
) -> Result<Option<T>, &'static str> {
    if text.is_empty() {
        Ok(None)
    } else {
        word(text).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "url,external_id,channel,age_band,received_at\n";

    fn rows(body: &[u8]) -> Vec<Row> {
        let source = [HEADINGS.as_bytes(), body].concat();
        let mut rows = Rows::new(source.as_slice()).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).collect()
    }

    fn reasons(rows: &[Row]) -> Vec<&str> {
        rows.iter()
            .map(|row| match row {
                Row::Bad(Line::Refused { reason, .. }) => reason.as_str(),
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
                "word_unknown",
                "good",
                "time_malformed",
                "report_remove_not_here",
                "good"
            ]
        );
        let ids: Vec<&str> = rows.iter().map(Row::external_id).collect();
        assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }

    #[test]
    fn the_same_row_twice_is_two_reports_and_the_same_two_in_another_run() {
        let keys = |rows: Vec<Row>| -> Vec<String> {
            rows.into_iter()
                .map(|row| match row {
                    Row::Good(row) => row.request.idempotency_key,
                    Row::Bad(_) => panic!("refused"),
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
    fn a_file_without_its_columns_is_no_reports_file() {
        let error = Rows::new(b"a,b\n1,2\n".as_slice()).err().unwrap();
        assert_eq!(error.downcast::<Problem>().unwrap().code, "column_missing");
    }
}
