//! CSV records (RFC 4180). A quoted field may span lines; an unmatched quote invalidates only the row that
//! contains it.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

/// Maximum length of a row, in bytes. Longer rows are refused before they can exceed the size of a message.
const MAX_ROW: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    TooLong,
    Malformed,
}

#[derive(Debug)]
pub(super) struct Record {
    /// With a flaw, as far as they could be parsed.
    pub(super) fields: Vec<Vec<u8>>,
    pub(super) flaw: Option<Flaw>,
}

pub(super) struct Records<R> {
    source: BufReader<R>,
    /// Lines that were read ahead and did not belong to the record.
    lookahead: VecDeque<Vec<u8>>,
    /// Number of columns.
    width: usize,
}

impl<R: Read> Records<R> {
    /// Reads the header line.
    pub(super) fn new(source: R) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let mut records = Self {
            source: BufReader::new(source),
            lookahead: VecDeque::new(),
            width: 0,
        };
        let first = records.line()?.unwrap_or_default();
        let first = first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&first);
        let headings = split(first).fields;
        records.width = headings.len();
        Ok((records, headings))
    }

    /// The next record. Skips empty lines.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let line = loop {
            match self.line()? {
                None => return Ok(None),
                Some(line) if without_line_break(&line).is_empty() => {}
                Some(line) => break line,
            }
        };
        let single_line = split(&line);
        let flaw = if line.len() > MAX_ROW {
            Some(Flaw::TooLong)
        } else if single_line.is_closed {
            (single_line.fields.len() != self.width).then_some(Flaw::Malformed)
        } else if let Some(fields) = self.multi_line_record(line)? {
            return Ok(Some(Record { fields, flaw: None }));
        } else {
            Some(Flaw::Malformed)
        };
        let fields = single_line.fields;
        Ok(Some(Record { fields, flaw }))
    }

    /// The record that begins in this line and ends in a later one. If there is none, the later lines are
    /// read again.
    fn multi_line_record(&mut self, mut text: Vec<u8>) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut taken = Vec::new();
        while text.len() <= MAX_ROW
            && let Some(line) = self.line()?
        {
            text.extend_from_slice(&line);
            taken.push(line);
            let Split {
                fields,
                is_closed,
                is_strict,
            } = split(&text);
            if is_closed {
                if is_strict && fields.len() == self.width && !self.contains_row(&taken) {
                    return Ok(Some(fields));
                }
                break;
            }
        }
        for line in taken.into_iter().rev() {
            self.lookahead.push_front(line);
        }
        Ok(None)
    }

    /// Whether one of these lines is a complete row of its own.
    fn contains_row(&self, lines: &[Vec<u8>]) -> bool {
        lines
            .iter()
            .any(|line| !line.contains(&b'"') && split(line).fields.len() == self.width)
    }

    /// The next line with its line break, cut off after `MAX_ROW` + 1 bytes.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.lookahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let limit = MAX_ROW as u64 + 1;
        self.source
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)?;
        if line.len() > MAX_ROW && !line.ends_with(b"\n") {
            self.source.skip_until(b'\n')?;
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

struct Split {
    fields: Vec<Vec<u8>>,
    /// No quote is open at the end.
    is_closed: bool,
    /// Each closing quote is followed by a comma or the end.
    is_strict: bool,
}

fn split(text: &[u8]) -> Split {
    enum ParserState {
        Start,
        Unquoted,
        Quoted,
        /// After a quote in a quoted field: its end, or the first of an escaped pair.
        Quote,
    }
    let mut fields = Vec::new();
    let mut field = Vec::new();
    let mut state = ParserState::Start;
    let mut is_strict = true;
    for byte in without_line_break(text) {
        state = match (state, byte) {
            (ParserState::Start, b'"') => ParserState::Quoted,
            (ParserState::Start | ParserState::Unquoted | ParserState::Quote, b',') => {
                fields.push(std::mem::take(&mut field));
                ParserState::Start
            }
            (ParserState::Quoted, b'"') => ParserState::Quote,
            (before, byte) => {
                field.push(*byte);
                match before {
                    ParserState::Start | ParserState::Unquoted => ParserState::Unquoted,
                    ParserState::Quoted => ParserState::Quoted,
                    ParserState::Quote if *byte == b'"' => ParserState::Quoted,
                    ParserState::Quote => {
                        is_strict = false;
                        ParserState::Unquoted
                    }
                }
            }
        };
    }
    fields.push(field);
    Split {
        fields,
        is_closed: !matches!(state, ParserState::Quoted),
        is_strict,
    }
}

fn without_line_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a file with three columns; those with a flaw are prefixed with `!`.
    fn read(body: &str) -> Vec<String> {
        let text = format!("a,b,c\n{body}");
        let (mut records, _) = Records::new(text.as_bytes()).unwrap();
        let next = || records.next().unwrap();
        std::iter::from_fn(next)
            .map(|record| {
                let prefix = if record.flaw.is_some() { "!" } else { "" };
                let fields = record.fields.join(&b'|');
                format!("{prefix}{}", String::from_utf8(fields).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_accepted() {
        let text = b"\xef\xbb\xbfa,\"b\",c\r\n1,2,3\r\n\r\n4,5,6";
        let (mut records, headings) = Records::new(text.as_slice()).unwrap();
        assert_eq!(headings, [b"a", b"b", b"c"]);
        assert_eq!(records.next().unwrap().unwrap().fields, [b"1", b"2", b"3"]);
        assert_eq!(records.next().unwrap().unwrap().fields, [b"4", b"5", b"6"]);
        assert!(records.next().unwrap().is_none());
    }

    #[test]
    fn a_quoted_field_may_have_commas_quotes_and_line_breaks() {
        assert_eq!(
            read("1,\"a, b\",\"say \"\"x\"\"\"\n\"two\nlines\",2,\"and\n\nthree\"\n3,,\n"),
            ["1|a, b|say \"x\"", "two\nlines|2|and\n\nthree", "3||"]
        );
    }

    #[test]
    fn an_unmatched_quote_invalidates_only_its_own_row() {
        for (body, expected) in [
            ("1,\"x,y\n2,x,y\n3,x,y\n", vec!["!1|x,y", "2|x|y", "3|x|y"]),
            ("1,\"x,y\n2,\"x\",y\n", vec!["!1|x,y", "2|x|y"]),
            (
                "1,\"x,y\n2,x,y\n3,x\",y\n",
                vec!["!1|x,y", "2|x|y", "3|x\"|y"],
            ),
            ("1,\"x,y", vec!["!1|x,y"]),
            ("1,x\"y,z\n", vec!["1|x\"y|z"]),
            ("1,2\n1,2,3,4\n5,6,7\n", vec!["!1|2", "!1|2|3|4", "5|6|7"]),
        ] {
            assert_eq!(read(body), expected, "{body:?}");
        }
    }

    #[test]
    fn an_oversized_row_is_skipped_without_buffering_it() {
        let long = "x".repeat(3 * MAX_ROW);
        let records = read(&format!("1,\"{long},3\n2,{long}\n3,4,5\n"));
        assert_eq!(records.len(), 3);
        assert!(records[0].starts_with("!1|x") && records[1].starts_with("!2|x"));
        assert_eq!(records[2], "3|4|5");
    }
}
