//! One word for one thing: the repository uses the terms of `docs/GLOSSARY.md` and none of their banned synonyms, and a
//! type name has one meaning.
//!
//! The list of banned words is [`BANNED`]. What is read: the names that Rust, proto and SQL sources declare (not the
//! names they use from libraries), comments, the texts of pages and commands, alerts, scripts and documents. Each
//! finding names the file and the line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::Ident;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use syn::visit::{self, Visit};

/// Where a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// A name declared in Rust, proto or SQL; a metric.
    Code,
    /// A text that pages or commands show.
    Page,
    /// A comment or a document.
    Prose,
}

/// Words that are not used for a thing, because the glossary has another term for it.
struct Banned {
    /// The term to use instead.
    term: &'static str,
    scopes: Vec<Scope>,
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
    fn applies(&self, scope: Scope, path: &str) -> bool {
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
        "code" => vec![Scope::Code],
        "pages" => vec![Scope::Page],
        "prose" => vec![Scope::Prose],
        "all" => vec![Scope::Code, Scope::Page, Scope::Prose],
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

/// Names that a function does not have: a verb would say what it does.
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

/// What one source declares and writes, with lines.
#[derive(Default)]
struct Source {
    path: String,
    texts: Vec<(Scope, usize, String)>,
    functions: Vec<(usize, String)>,
    types: Vec<(usize, String)>,
}

impl Source {
    fn read(path: &str, text: &str) -> Self {
        let mut source = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        match Path::new(path).extension().and_then(|e| e.to_str()) {
            Some("rs") => source.read_rust(path, text),
            Some("proto") => source.read_with_comments(text, "//"),
            Some("sql") => source.read_with_comments(text, "--"),
            Some("html") => source.read_lines(Scope::Page, text),
            _ => source.read_lines(Scope::Prose, text),
        }
        source
    }

    fn read_lines(&mut self, scope: Scope, text: &str) {
        let lines = text.lines().enumerate();
        self.texts
            .extend(lines.map(|(n, line)| (scope, n + 1, line.to_owned())));
    }

    /// Proto and SQL: names before the comment mark, prose behind it and between quotes.
    fn read_with_comments(&mut self, text: &str, comment: &str) {
        for (n, line) in text.lines().enumerate() {
            let (code, prose) = line.split_once(comment).unwrap_or((line, ""));
            self.texts.push((Scope::Prose, n + 1, prose.to_owned()));
            for (i, part) in code.split('\'').enumerate() {
                if i % 2 == 1 && part.contains(' ') {
                    self.texts.push((Scope::Prose, n + 1, part.to_owned()));
                } else {
                    let names = part.split(|c: char| !c.is_alphanumeric() && c != '_');
                    self.texts
                        .extend(names.map(|name| (Scope::Code, n + 1, name.to_owned())));
                }
            }
        }
    }

    fn read_rust(&mut self, path: &str, text: &str) {
        let is_test = path.contains("tests/") || path.ends_with("tests.rs");
        let (mut at, mut line) = (0, 1);
        for token in tokenize(text, FrontmatterAllowed::Yes) {
            let end = at + token.len as usize;
            let scope = match token.kind {
                TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {
                    Some(Scope::Prose)
                }
                TokenKind::Literal {
                    kind: LiteralKind::Str { .. } | LiteralKind::RawStr { .. },
                    ..
                } if !is_test => Some(Scope::Page),
                _ => None,
            };
            // A text without a blank is a key or a code. SQL opens with the name of its function.
            let written = &text[at..end];
            if let Some(scope) = scope
                && (scope == Scope::Prose || written.trim_matches('"').contains(' '))
                && !written
                    .trim_start_matches(['r', '#', '"'])
                    .starts_with("-- ")
            {
                for (n, text) in written.lines().enumerate() {
                    self.texts.push((scope, line + n, text.to_owned()));
                }
            }
            line += written.matches('\n').count();
            at = end;
        }
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Declarations(self).visit_file(&file);
    }
}

/// Collects the names that a Rust source declares.
struct Declarations<'a>(&'a mut Source);

impl Declarations<'_> {
    fn name(&mut self, ident: &Ident) -> (usize, String) {
        let named = (ident.span().start().line, ident.to_string());
        self.0.texts.push((Scope::Code, named.0, named.1.clone()));
        named
    }

    fn type_name(&mut self, ident: &Ident) {
        let named = self.name(ident);
        self.0.types.push(named);
    }

    fn function(&mut self, ident: &Ident) {
        let named = self.name(ident);
        self.0.functions.push(named);
    }
}

impl<'ast> Visit<'ast> for Declarations<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.type_name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.type_name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.type_name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.type_name(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.name(&item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.name(&item.ident);
        visit::visit_item_const(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.name(&item.ident);
        visit::visit_item_static(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        item.ident.iter().for_each(|ident| _ = self.name(ident));
        visit::visit_item_macro(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident);
        visit::visit_item_fn(self, item);
    }

    // The functions of a library's trait have the library's names.
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        for inner in &item.items {
            if let (syn::ImplItem::Fn(function), None) = (inner, &item.trait_) {
                self.function(&function.sig.ident);
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig.ident);
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.name(&variant.ident);
        visit::visit_variant(self, variant);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        field.ident.iter().for_each(|ident| _ = self.name(ident));
        visit::visit_field(self, field);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.name(&pattern.ident);
        visit::visit_pat_ident(self, pattern);
    }
}

/// The words of a name or of a text, in lower case: parted at capitals, underscores and punctuation.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let opens = c.is_uppercase()
            && (before.is_lowercase()
                || before.is_uppercase() && letters.peek().is_some_and(|c| c.is_lowercase()));
        if opens || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("one").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Where a phrase begins in a row of words.
fn occurrences(row: &[String], phrase: &str) -> Vec<std::ops::Range<usize>> {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    row.windows(phrase.len())
        .enumerate()
        .filter(|(_, window)| window.iter().eq(phrase.iter()))
        .map(|(at, _)| at..at + phrase.len())
        .collect()
}

/// Banned words in a source.
fn banned_words(source: &Source) -> Vec<Finding> {
    let list = banned_list();
    let mut found = Vec::new();
    for (scope, line, text) in &source.texts {
        let row = words(text);
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
        // Pictures and binary descriptors are no text; a deleted file is no file.
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
        for finding in banned_words(&Source::read(path, text)) {
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
        for (line, name) in Source::read(&path, &text).types {
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
        let found = banned_words(&Source::read(path, text));
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
        let found = banned_words(&Source::read(path, text));
        assert_eq!(found, Vec::new(), "{path}: {text}");
    }
}
