//! One word for one thing: the repository uses the terms of `docs/GLOSSARY.md` and none of their banned synonyms, and a
//! type name has one meaning.
//!
//! The list of banned words is [`BANNED`]. What is read (`language/source_text.rs`): the names that Rust, proto and SQL
//! sources declare (not the names they use from libraries), comments, the texts of pages and commands, alerts, scripts
//! and documents. Each finding names the file and the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use source_text::{SourceText, TextScope, occurrences, split_into_parts};

#[path = "language/source_text.rs"]
mod source_text;

/// Words that are not used for a thing, because the glossary has another term for it.
struct Banned {
    /// The term to use instead.
    term: &'static str,
    scopes: Vec<TextScope>,
    /// Beginnings of the paths in which the words are banned; everywhere if there is none.
    paths: Vec<&'static str>,
    /// Phrases of one or more words; in a name, words are the parts between underscores and capitals.
    phrases: Vec<&'static str>,
    /// Phrases in which the word means something else.
    allowed: Vec<&'static str>,
}

/// The list: the term to use; where the words are banned (code, pages, prose or all, `in` which paths); the words; phrases
/// in which they are allowed.
const BANNED: &str = "\
reported URL | code, pages | spelling, spellings, plain | plain english, plain text, text plain
reporter | all | teller, tellers |
reporter | all in services/intake/src services/verification services/ledger docs/CONSOLE.md | sender, senders | cached sender
report | all | sealed item, report item, reported item |
case | all | case file, case files |
claim | all | in hand |
claim | code | hold, holds | police hold, police holds, legal hold, hold case, release hold
second opinion | all | second look, second looks | analyst second look
outcome | all | fate, fates |
provider | all | house, houses, resident, residents | resident memory
attribution | all | stands for it |
contact | code | way, ways, reach |
notice | all | parcel, parcels |
notice | all | letter, letters | letters and digits, digits and letters, letters digits, letters a f, latin letter, latin letters, ascii letters, lower case letters, capital letters, second letter, letter of the alphabet
message | all | saying, sayings |
message | code | word, words |
bundle | all | notice digest, mail digest, daily digest |
deadline | all | clock ran out, clock runs out, clocks run out, clock pauses, clock goes on |
ladder | code | turn, turns |
check | all | look, looks, looked, looking | look up, looks up, looked up, looking up, analyst second look
content status | code, pages | live, gone | aria live, 410 gone, status gone
content status | all | still up |
fingerprint | code | mark, marks, prints | order mark, mark alive, mark opened
locked case | code | dossier |
shard lane | code | lane, lanes | shard lane, shard lanes
consumer | all | ear, ears, heed, heeds, heeded, hear, hears, heard, hearing |
wake-up | all | bell, bells |
wake-up | code in services/platform/src/log services/platform/src/bus | ring, rings, rang |
worker | all | courier, couriers, watcher, watchers, player, players |
gauge | code, pages | signs |
simulator | all | street, streets, town, theatre |
test kit | all | bench, benches, plant, plants, planted |
a verb that names the act | code | say, says, said, tell, tells, told, asked, judge, judged, judgement, mend, hurry, hurried |
the glossary's term | code | misfit, doorkeeper, reception, seeker, roster, speaker, premises, neighbour, neighbours, mishap, further up |
the glossary's term | code | way out, desk, desks, clerk, whoever, nobody, somebody |
plain English | pages, prose | whoever, whomever, nobody says, stands there, stand there, what stands, the house, so often, thereof |
";

impl Banned {
    fn applies(&self, scope: TextScope, path: &str) -> bool {
        let is_in = |start: &&str| path.starts_with(*start);
        self.scopes.contains(&scope) && (self.paths.is_empty() || self.paths.iter().any(is_in))
    }
}

fn banned_list() -> Vec<Banned> {
    let phrases = |list: &'static str| {
        list.split(',')
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .collect()
    };
    let scope = |name: &str| match name.trim() {
        "code" => vec![TextScope::Code],
        "pages" => vec![TextScope::Page],
        "prose" => vec![TextScope::Prose],
        "all" => vec![TextScope::Code, TextScope::Page, TextScope::Prose],
        other => panic!("no scope {other}"),
    };
    let row = |line: &'static str| {
        let mut columns = line.split('|').map(str::trim);
        let mut next = || columns.next().expect("four columns");
        let (term, extent) = (next(), next());
        let (scopes, paths) = extent.split_once(" in ").unwrap_or((extent, ""));
        Banned {
            term,
            scopes: scopes.split(',').flat_map(scope).collect(),
            paths: paths.split_whitespace().collect(),
            phrases: phrases(next()),
            allowed: phrases(next()),
        }
    };
    BANNED.lines().map(row).collect()
}

/// Function names that are too vague.
const VAGUE_FUNCTIONS: [&str; 5] = ["look", "say", "tell", "put", "of"];

/// Type names that may occur more than twice: each service and module has its own.
const SHARED_TYPES: [&str; 5] = ["Error", "Config", "State", "Command", "Deps"];

/// Files whose text is not ours.
const FOREIGN: [&str; 5] = [
    "/vendor/",
    "package-lock.json",
    "Cargo.lock",
    "LICENSE",
    ".csv",
];

/// The file that must name the banned words.
const THIS_FILE: &str = "tests/tests/language.rs";

#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    text: String,
}

/// Banned words in a source.
fn banned_words(source: &SourceText) -> Vec<Finding> {
    let list = banned_list();
    let mut found = Vec::new();
    for (scope, line, text) in &source.texts {
        let row = split_into_parts(text);
        for banned in list.iter().filter(|b| b.applies(*scope, &source.path)) {
            let allowed: Vec<_> = banned
                .allowed
                .iter()
                .flat_map(|phrase| occurrences(&row, phrase))
                .collect();
            for phrase in &banned.phrases {
                for at in occurrences(&row, phrase) {
                    if allowed
                        .iter()
                        .any(|a| a.start <= at.start && at.end <= a.end)
                    {
                        continue;
                    }
                    let term = banned.term;
                    found.push(Finding {
                        line: *line,
                        text: format!("`{phrase}` in `{}`: use {term}", text.trim()),
                    });
                }
            }
        }
    }
    for (line, name) in &source.functions {
        if VAGUE_FUNCTIONS.contains(&name.as_str()) {
            found.push(Finding {
                line: *line,
                text: format!("function `{name}`: use a verb that says what it does"),
            });
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The texts that git tracks here, or would track.
fn tracked() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files failed");
    let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    listed
        .lines()
        .filter(|path| *path != THIS_FILE && !FOREIGN.iter().any(|part| path.contains(part)))
        // Skips binary files, and deleted files that git still lists.
        .filter_map(|path| {
            Some((
                path.to_owned(),
                std::fs::read_to_string(root().join(path)).ok()?,
            ))
        })
        .collect()
}

#[test]
fn no_banned_word_is_used() {
    let files = tracked();
    assert!(files.len() > 500, "the repository was not read");
    let mut found = BTreeSet::new();
    for (path, text) in &files {
        for finding in banned_words(&SourceText::read(path, text)) {
            found.insert((path, finding.line, finding.text));
        }
    }
    let lines: Vec<String> = found
        .iter()
        .map(|(path, line, text)| format!("{path}:{line}: {text}"))
        .collect();
    assert!(
        lines.is_empty(),
        "{} findings:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn a_type_name_occurs_at_most_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in tracked() {
        for (line, name) in SourceText::read(&path, &text).types {
            places
                .entry(name)
                .or_default()
                .push(format!("{path}:{line}"));
        }
    }
    places.retain(|name, at| at.len() > 2 && !SHARED_TYPES.contains(&name.as_str()));
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn a_banned_word_is_found_in_each_kind_of_file_with_its_line() {
    for (path, text, line) in [
        ("services/a/src/b.rs", "//! Module.\nstruct Courier;\n", 2),
        (
            "services/a/src/b.rs",
            "//! Module.\nstruct S { next_look: u8 }\n",
            2,
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\nfn f(bell: u8) { let second_look = bell; }\n",
            2,
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\n\n// Whoever hears it.\n",
            3,
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\nconst TEXT: &str = \"Take a second look.\";\n",
            2,
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\nimpl S { fn of() {} }\n",
            2,
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\nwire_enum! { Kind { Courier = 1 } }\n",
            2,
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\nimpl S { const SECOND_LOOK: u8 = 1; }\n",
            2,
        ),
        ("proto/a.proto", "// The fate of it.\n", 1),
        (
            "proto/a.proto",
            "message M {\n  string second_look = 1;\n}\n",
            2,
        ),
        (
            "services/a/migrations/1.sql",
            "create table t (\n    gone_prints text\n);\n",
            2,
        ),
        (
            "services/a/migrations/1.sql",
            "comment on table t is\n    'What a courier took.';\n",
            2,
        ),
        (
            "services/a/templates/a.html",
            "<main>\n<p>3 in hand</p>\n",
            2,
        ),
        (
            "deploy/chart/files/alerts.yaml",
            "a:\n  summary: a look is due\n",
            2,
        ),
        ("docs/A.md", "# A\n\nThe house hears it.\n", 3),
    ] {
        let found = banned_words(&SourceText::read(path, text));
        assert!(!found.is_empty(), "{path}: {text}");
        assert!(found.iter().all(|f| f.line == line), "{path}: {found:?}");
    }
}

#[test]
fn allowed_uses_and_the_names_of_libraries_are_not_reported() {
    for (path, text) in [
        (
            "services/a/src/b.rs",
            "//! Module.\nfn f() { map.put(ring::digest(outer)); }\n",
        ),
        (
            "services/a/src/b.rs",
            "//! A police hold; a lookup.\nstruct PoliceHold { legal_hold: u8 }\n",
        ),
        (
            "services/a/src/b.rs",
            "//! Module.\nimpl Library for S { fn put(&self) {} type Error = u8; }\n",
        ),
        (
            "services/a/templates/a.html",
            "<div aria-live=\"polite\">lower-case letters</div>\n",
        ),
        (
            "docs/A.md",
            "Answers 410 Gone. Letters and digits. The key ring.\n",
        ),
    ] {
        let found = banned_words(&SourceText::read(path, text));
        assert_eq!(found, Vec::new(), "{path}: {text}");
    }
}
