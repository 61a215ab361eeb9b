//! Finds URLs in files, in any of these forms: raw, percent-encoded, base64 (any alignment, both alphabets), hexadecimal,
//! UTF-16, and each of these inside gzip or zlib streams.
//!
//! It must not print the searched text: a finding contains the file, the offset and the form.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that browsers percent-encode when a URL is part of another URL's path or query.
const COMPONENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'/')
    .add(b':')
    .add(b'?')
    .add(b'&')
    .add(b'=')
    .add(b'%');

/// Bytes that are inflated of one compressed stream at most.
const MAX_INFLATED: u64 = 256 << 20;

/// One occurrence of a searched text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UrlFinding {
    pub file: PathBuf,
    pub offset: usize,
    pub form: &'static str,
    pub compressed: bool,
}

/// A search for every form of several texts.
pub struct UrlSearch {
    automaton: AhoCorasick,
    forms: Vec<&'static str>,
}

impl UrlSearch {
    /// # Errors
    /// A text is shorter than 12 bytes; it would occur by accident.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut patterns: BTreeSet<(Vec<u8>, &'static str)> = BTreeSet::new();
        for text in texts {
            anyhow::ensure!(text.len() >= 12, "a searched text is shorter than 12 bytes");
            add_forms(text, &mut patterns);
        }
        let (patterns, forms): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        Ok(Self {
            automaton: AhoCorasick::new(patterns)?,
            forms,
        })
    }

    /// Searches these folders recursively; returns the findings and the number of files. Symbolic links are not followed,
    /// and files that disappear during the search are skipped.
    pub fn search_folders(&self, folders: &[PathBuf]) -> Result<(Vec<UrlFinding>, usize)> {
        let (mut findings, mut files) = (Vec::new(), 0);
        let mut pending: Vec<PathBuf> = folders.to_vec();
        while let Some(path) = pending.pop() {
            let Ok(kind) = fs::symlink_metadata(&path) else {
                continue;
            };
            if kind.is_dir() {
                for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
                    pending.push(entry?.path());
                }
            } else if kind.is_file() {
                files += 1;
                if let Ok(bytes) = fs::read(&path) {
                    self.search_file(&path, &bytes, &mut findings);
                }
            }
        }
        findings.sort();
        Ok((findings, files))
    }

    fn search_file(&self, file: &Path, bytes: &[u8], findings: &mut Vec<UrlFinding>) {
        self.search_bytes(file, bytes, 0, false, findings);
        for start in 0..bytes.len().saturating_sub(2) {
            if let Some(inflated) = inflate(&bytes[start..]) {
                self.search_bytes(file, &inflated, start, true, findings);
            }
        }
    }

    fn search_bytes(
        &self,
        file: &Path,
        bytes: &[u8],
        stream_offset: usize,
        compressed: bool,
        findings: &mut Vec<UrlFinding>,
    ) {
        for found in self.automaton.find_iter(bytes) {
            findings.push(UrlFinding {
                file: file.to_owned(),
                offset: if compressed {
                    stream_offset
                } else {
                    found.start()
                },
                form: self.forms[found.pattern().as_usize()],
                compressed,
            });
        }
    }
}

/// Inflates a compressed stream at the beginning of these bytes, if there is one.
fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match bytes {
        [0x1f, 0x8b, 0x08, ..] => {
            // The part of a truncated stream that can be inflated is searched as well.
            let _ = MultiGzDecoder::new(bytes)
                .take(MAX_INFLATED)
                .read_to_end(&mut out);
        }
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
            let _ = ZlibDecoder::new(bytes)
                .take(MAX_INFLATED)
                .read_to_end(&mut out);
        }
        _ => return None,
    }
    if out.is_empty() && bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() > 10 {
        let _ = DeflateDecoder::new(&bytes[10..])
            .take(MAX_INFLATED)
            .read_to_end(&mut out);
    }
    (!out.is_empty()).then_some(out)
}

fn add_forms(text: &str, into: &mut BTreeSet<(Vec<u8>, &'static str)>) {
    let bytes = text.as_bytes();
    into.insert((bytes.to_vec(), "raw"));
    for set in [COMPONENT, NON_ALPHANUMERIC] {
        let encoded = utf8_percent_encode(text, set).to_string();
        into.insert((encoded.to_lowercase().into_bytes(), "percent"));
        into.insert((encoded.into_bytes(), "percent"));
    }
    into.insert((hex::encode(bytes).into_bytes(), "hexadecimal"));
    into.insert((hex::encode_upper(bytes).into_bytes(), "hexadecimal"));
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    into.insert((wide, "utf-16"));
    for alphabet in [STANDARD, URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, NO_PAD);
        // The three alignments of the text to groups of three octets, without the characters that also encode adjacent
        // octets.
        for before in 0..3_usize {
            let mut padded = vec![0_u8; before];
            padded.extend_from_slice(bytes);
            let encoded = engine.encode(&padded);
            let from = [0, 2, 3][before];
            let until = encoded.len() - usize::from(padded.len() % 3 != 0);
            into.insert((encoded.as_bytes()[from..until].to_vec(), "base64"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    const URL: &str = "img.lotus.test/a/b?c=1";

    #[test]
    fn every_form_is_found_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let engine = GeneralPurpose::new(&STANDARD, NO_PAD);
        write("raw", format!("noise https://{URL} noise").as_bytes());
        write(
            "percent",
            b"u=https%3A%2F%2Fimg.lotus.test%2Fa%2Fb%3Fc%3D1&v",
        );
        for before in ["", "x", "xy"] {
            let text = engine.encode(format!("{before}{URL} and more"));
            write(&format!("base64-{}", before.len()), text.as_bytes());
        }
        let mut gzip = GzEncoder::new(b"lead".to_vec(), Compression::default());
        gzip.write_all(format!("a log line with https://{URL}").as_bytes())
            .unwrap();
        write("gzip", &gzip.finish().unwrap());
        write("clean", b"nothing of img.lotus.test here");

        let search = UrlSearch::new([URL]).unwrap();
        let (findings, files) = search.search_folders(&[folder.path().to_owned()]).unwrap();
        let found: BTreeSet<String> = findings
            .iter()
            .map(|f| f.file.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(files, 7);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["base64-0", "base64-1", "base64-2", "gzip", "percent", "raw"]
        );
        assert!(findings.iter().any(|f| f.compressed));
    }
}
