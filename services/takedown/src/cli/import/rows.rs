//! Rows of a reports file, by the names of its columns. A row that cannot be read is refused with a reason of its own,
//! and the next one is read.

use std::collections::HashMap;
use std::io::Read;

use anyhow::Result;
use domain::word::{AgeBand, HashKind, Media, ReportChannel};
use platform::error::{Kind, Problem};
use proto::v1::{Hash, ReportItem, ReportRemoveFacts, SubmitReportsRequest};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lines::{Became, Line};
use super::records::{Flaw, Record, Records};

/// What a row says: two rows with the same one say the same.
pub(super) type Content = [u8; 32];

pub(super) enum Row {
    Good(Submission),
    /// Refused where it stands.
    Bad(Line),
}

impl Row {
    pub(super) fn external_id(&self) -> &str {
        match self {
            Self::Good(row) => &row.external_id,
            Self::Bad(line) => &line.external_id,
        }
    }

    pub(super) fn content(&self) -> Content {
        match self {
            Self::Good(row) => row.content,
            Self::Bad(line) => line.content,
        }
    }
}

pub(super) struct Submission {
    pub(super) external_id: String,
    pub(super) content: Content,
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
}

pub(super) struct Rows<R> {
    records: Records<R>,
    columns: Columns,
    /// How often a row came already.
    seen: HashMap<Content, u32>,
}

impl<R: Read> Rows<R> {
    /// Reads the line of headings.
    pub(super) fn new(source: R) -> Result<Self> {
        let (records, headings) = Records::new(source)?;
        Ok(Self {
            records,
            columns: Columns::of(&headings)?,
            seen: HashMap::new(),
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        let Some(record) = self.records.next()? else {
            return Ok(None);
        };
        let external_id = record.fields.get(self.columns.external_id);
        let external_id =
            String::from_utf8_lossy(external_id.map_or(&[][..], Vec::as_slice)).into_owned();
        let content = content(&record);
        let seen = self.seen.entry(content).or_default();
        *seen += 1;
        Ok(Some(match self.columns.parse(&record) {
            Ok(mut request) => {
                // Follows from the row's content and from how often the very same row came before it.
                request.idempotency_key = format!("import-{}-{seen}", hex::encode(content));
                Row::Good(Submission {
                    external_id,
                    content,
                    request,
                })
            }
            Err(reason) => Row::Bad(Line {
                external_id,
                content,
                became: Became::Refused {
                    reason: reason.to_owned(),
                },
            }),
        }))
    }
}

fn content(record: &Record) -> Content {
    let mut digest = Sha256::new();
    for field in &record.fields {
        digest.update((field.len() as u64).to_be_bytes());
        digest.update(field);
    }
    digest.finalize().into()
}

impl Columns {
    fn of(headings: &[Vec<u8>]) -> Result<Self> {
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
        })
    }

    /// The row as a submission, or why it is none.
    fn parse(&self, record: &Record) -> Result<SubmitReportsRequest, &'static str> {
        match record.flaw {
            Some(Flaw::TooLong) => return Err("row_too_long"),
            Some(Flaw::Malformed) => return Err("row_malformed"),
            None => {}
        }
        let text = |place: usize| {
            let field = record.fields.get(place).map_or(&[][..], Vec::as_slice);
            std::str::from_utf8(field).map_err(|_| "row_not_utf8")
        };
        let maybe = |place: Option<usize>| place.map_or(Ok(""), text);

        let channel: ReportChannel = word(text(self.channel)?)?;
        let media: Option<Media> = optional(maybe(self.media)?)?;
        let age_band: Option<AgeBand> = optional(maybe(self.age_band)?)?;
        let external_id = text(self.external_id)?.to_owned();
        let remove = channel == ReportChannel::ReportRemove;
        if !remove && age_band.is_some() {
            // Facts about a child belong to that channel alone; intake would never see that they were dropped here.
            return Err("report_remove_not_here");
        }
        let hashes = match maybe(self.sha256)? {
            "" => Vec::new(),
            value => vec![Hash {
                kind: HashKind::Sha256.wire(),
                value: value.to_owned(),
            }],
        };
        let received_at = match maybe(self.received_at)? {
            "" => None,
            at => Some(OffsetDateTime::parse(at, &Rfc3339).map_err(|_| "time_malformed")?),
        };
        Ok(SubmitReportsRequest {
            idempotency_key: String::new(),
            channel: channel.wire(),
            reporter_country: maybe(self.reporter_country)?.to_owned(),
            // The number that the helpline gave is what it calls the report by.
            report_remove: remove.then(|| ReportRemoveFacts {
                under_18: true,
                age_band: age_band.map_or(0, AgeBand::wire),
                unique_number: external_id.clone(),
            }),
            items: vec![ReportItem {
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
                Row::Bad(Line {
                    became: Became::Refused { reason },
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
    fn columns_are_found_by_name_wherever_they_stand_and_may_be_missing() {
        let read = |text: &str| {
            let mut rows = Rows::new(text.as_bytes()).unwrap();
            match rows.next().unwrap().unwrap() {
                Row::Good(row) => row.request,
                Row::Bad(_) => panic!("refused: {text}"),
            }
        };
        let few = read("\u{feff}url,channel,external_id\r\nhttps://a.test/,public,1\r\n");
        assert_eq!(
            (few.items[0].url.as_str(), few.reporter_country.as_str()),
            ("https://a.test/", "")
        );
        let all = read(
            "reporter_country,received_at,media,age_band,sha256,url,channel,external_id,other\n\
             GB,2026-03-01T00:00:49Z,image,,,https://a.test/,public,1,x\n",
        );
        assert_eq!(
            (all.reporter_country.as_str(), all.items[0].media),
            ("GB", Media::Image.wire())
        );
        assert!(all.items[0].received_at.is_some());
    }

    #[test]
    fn two_rows_with_one_id_are_two_rows() {
        let rows = rows(b"https://a.test/,1,public,,\nhttps://b.test/,1,public,,\n");
        assert_eq!(reasons(&rows), ["good", "good"]);
        assert_ne!(rows[0].content(), rows[1].content());
    }

    #[test]
    fn a_file_without_its_columns_is_no_reports_file() {
        let error = Rows::new(b"a,b\n1,2\n".as_slice()).err().unwrap();
        assert_eq!(error.downcast::<Problem>().unwrap().code, "column_missing");
    }
}
