//! Lines of a file as records (RFC 4180). A quoted field may run over several lines; a quote that only looks like the
//! beginning of one costs the row that it stands in, and no row after it.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

/// A longer row is no report; it is refused here, before it could fill a message.
const LONGEST: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with a record as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    TooLong,
    Malformed,
}

#[derive(Debug)]
pub(super) struct Record {
    /// As far as they can be told where there is a flaw.
    pub(super) fields: Vec<Vec<u8>>,
    pub(super) flaw: Option<Flaw>,
}

pub(super) struct Records<R> {
    source: BufReader<R>,
    /// Read already, as a part of what was no record.
    ahead: VecDeque<Vec<u8>>,
    /// Fields of the line of headings.
    width: usize,
}

impl<R: Read> Records<R> {
    /// Reads the line of headings.
    pub(super) fn new(source: R) -> io::Result<(Self, Vec<Vec<u8>>)> {
        let mut records = Self {
            source: BufReader::new(source),
            ahead: VecDeque::new(),
            width: 0,
        };
        let first = records.line()?.unwrap_or_default();
        let first = first.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&first);
        let headings = split(first).fields;
        records.width = headings.len();
        Ok((records, headings))
    }

    /// The next record; empty lines are none.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let line = loop {
            match self.line()? {
                None => return Ok(None),
                Some(line) if without_break(&line).is_empty() => {}
                Some(line) => break line,
            }
        };
        let alone = split(&line);
        let flaw = if line.len() > LONGEST {
            Some(Flaw::TooLong)
        } else if alone.is_closed {
            (alone.fields.len() != self.width).then_some(Flaw::Malformed)
        } else if let Some(fields) = self.over_several_lines(line)? {
            return Ok(Some(Record { fields, flaw: None }));
        } else {
            Some(Flaw::Malformed)
        };
        let fields = alone.fields;
        Ok(Some(Record { fields, flaw }))
    }

    /// The record that begins in this line and ends in another. None where there is no such record: then the lines after
    /// this one are still to come.
    fn over_several_lines(&mut self, mut text: Vec<u8>) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut taken = Vec::new();
        while text.len() <= LONGEST
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
                if is_strict && fields.len() == self.width && !self.has_a_row(&taken) {
                    return Ok(Some(fields));
                }
                break;
            }
        }
        for line in taken.into_iter().rev() {
            self.ahead.push_front(line);
        }
        Ok(None)
    }

    /// Whether one of these lines is a row by itself, which no field has swallowed.
    fn has_a_row(&self, lines: &[Vec<u8>]) -> bool {
        lines
            .iter()
            .any(|line| !line.contains(&b'"') && split(line).fields.len() == self.width)
    }

    /// A line with its break. Of a line that is too long only so much that this can be told.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let limit = LONGEST as u64 + 1;
        self.source
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)?;
        if line.len() > LONGEST && !line.ends_with(b"\n") {
            self.source.skip_until(b'\n')?;
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

struct Split {
    fields: Vec<Vec<u8>>,
    /// No quote is open at the end.
    is_closed: bool,
    /// After each closing quote the field was over.
    is_strict: bool,
}

fn split(text: &[u8]) -> Split {
    enum At {
        Start,
        Plain,
        Quoted,
        /// After a quote within quotes: the end, or the first of two that stand for one.
        Quote,
    }
    let mut fields = Vec::new();
    let mut field = Vec::new();
    let mut at = At::Start;
    let mut is_strict = true;
    for byte in without_break(text) {
        at = match (at, byte) {
            (At::Start, b'"') => At::Quoted,
            (At::Start | At::Plain | At::Quote, b',') => {
                fields.push(std::mem::take(&mut field));
                At::Start
            }
            (At::Quoted, b'"') => At::Quote,
            (before, byte) => {
                field.push(*byte);
                match before {
                    At::Start | At::Plain => At::Plain,
                    At::Quoted => At::Quoted,
                    At::Quote if *byte == b'"' => At::Quoted,
                    At::Quote => {
                        is_strict = false;
                        At::Plain
                    }
                }
            }
        };
    }
    fields.push(field);
    Split {
        fields,
        is_closed: !matches!(at, At::Quoted),
        is_strict,
    }
}

fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a file of three columns, `!` before the fields of those that have a flaw.
    fn read(body: &str) -> Vec<String> {
        let text = format!("a,b,c\n{body}");
        let (mut records, _) = Records::new(text.as_bytes()).unwrap();
        let next = || records.next().unwrap();
        std::iter::from_fn(next)
            .map(|record| {
                let mark = if record.flaw.is_some() { "!" } else { "" };
                let fields = record.fields.join(&b'|');
                format!("{mark}{}", String::from_utf8(fields).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_file_of_another_system_reads_the_same() {
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
    fn a_stray_quote_costs_its_own_row_alone() {
        for (body, wanted) in [
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
            assert_eq!(read(body), wanted, "{body:?}");
        }
    }

    #[test]
    fn a_row_of_any_length_is_passed_by_without_being_held() {
        let long = "x".repeat(3 * LONGEST);
        let records = read(&format!("1,\"{long},3\n2,{long}\n3,4,5\n"));
        assert_eq!(records.len(), 3);
        assert!(records[0].starts_with("!1|x") && records[1].starts_with("!2|x"));
        assert_eq!(records[2], "3|4|5");
    }
}
