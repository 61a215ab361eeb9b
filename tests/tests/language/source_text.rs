//! Reads what a file of the repository declares and writes: names, comments and texts, each with its line.
//!
//! In Rust the names are those that the file declares, not those that it uses from libraries.

use std::path::Path;

use proc_macro2::{Ident, TokenStream, TokenTree};
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use syn::visit::{self, Visit};

/// Where a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextScope {
    /// A name declared in Rust, proto or SQL; a metric.
    Code,
    /// A text that pages or commands show.
    Page,
    /// A comment or a document.
    Prose,
}

/// The names and texts of one file, with their lines.
#[derive(Default)]
pub(crate) struct SourceText {
    pub(crate) path: String,
    /// Names, comments and texts: scope, line, text.
    pub(crate) texts: Vec<(TextScope, usize, String)>,
    /// Declared functions: line, name.
    pub(crate) functions: Vec<(usize, String)>,
    /// Declared types: line, name.
    pub(crate) types: Vec<(usize, String)>,
}

impl SourceText {
    /// Reads a file as its extension says: Rust, proto, SQL, HTML, or else text.
    ///
    /// # Panics
    ///
    /// A Rust file that does not parse.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let mut source = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        match Path::new(path).extension().and_then(|e| e.to_str()) {
            Some("rs") => source.read_rust(path, text),
            Some("proto") => source.read_with_comments(text, "//"),
            Some("sql") => source.read_with_comments(text, "--"),
            Some("html") => source.read_lines(TextScope::Page, text),
            _ => source.read_lines(TextScope::Prose, text),
        }
        source
    }

    fn read_lines(&mut self, scope: TextScope, text: &str) {
        let lines = text.lines().enumerate();
        self.texts
            .extend(lines.map(|(n, line)| (scope, n + 1, line.to_owned())));
    }

    /// Proto and SQL: names before the comment mark, prose behind it and between quotes.
    fn read_with_comments(&mut self, text: &str, comment: &str) {
        for (n, line) in text.lines().enumerate() {
            let (code, prose) = line.split_once(comment).unwrap_or((line, ""));
            self.texts.push((TextScope::Prose, n + 1, prose.to_owned()));
            for (i, part) in code.split('\'').enumerate() {
                if i % 2 == 1 && part.contains(' ') {
                    self.texts.push((TextScope::Prose, n + 1, part.to_owned()));
                } else {
                    let names = part.split(|c: char| !c.is_alphanumeric() && c != '_');
                    self.texts
                        .extend(names.map(|name| (TextScope::Code, n + 1, name.to_owned())));
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
                    Some(TextScope::Prose)
                }
                TokenKind::Literal {
                    kind: LiteralKind::Str { .. } | LiteralKind::RawStr { .. },
                    ..
                } if !is_test => Some(TextScope::Page),
                _ => None,
            };
            // A string without a space is a key or a code. SQL opens with the name of its function.
            let written = &text[at..end];
            if let Some(scope) = scope
                && (scope == TextScope::Prose || written.trim_matches('"').contains(' '))
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
struct Declarations<'a>(&'a mut SourceText);

impl Declarations<'_> {
    fn name(&mut self, ident: &Ident) -> (usize, String) {
        let named = (ident.span().start().line, ident.to_string());
        self.0
            .texts
            .push((TextScope::Code, named.0, named.1.clone()));
        named
    }

    /// Names every identifier in the tokens of a macro.
    fn names_in(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => _ = self.name(&ident),
                TokenTree::Group(group) => self.names_in(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
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

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.name(&item.ident);
        visit::visit_impl_item_const(self, item);
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.name(&item.ident);
        visit::visit_trait_item_const(self, item);
    }

    // The declarations of `macro_rules!` use names of its own; those of other macros are among their tokens.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        item.ident.iter().for_each(|ident| _ = self.name(ident));
        if !item.mac.path.is_ident("macro_rules") {
            self.names_in(item.mac.tokens.clone());
        }
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

/// The words of a name or of a text, in lower case: split at capitals, underscores and punctuation.
pub(crate) fn split_into_parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let opens = c.is_uppercase()
            && (before.is_lowercase()
                || before.is_uppercase() && characters.peek().is_some_and(|c| c.is_lowercase()));
        if opens || !c.is_alphanumeric() {
            parts.push(String::new());
        }
        if c.is_alphanumeric() {
            parts.last_mut().expect("one").extend(c.to_lowercase());
        }
        before = c;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The ranges of words at which a phrase occurs.
pub(crate) fn occurrences(row: &[String], phrase: &str) -> Vec<std::ops::Range<usize>> {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    row.windows(phrase.len())
        .enumerate()
        .filter(|(_, window)| window.iter().eq(phrase.iter()))
        .map(|(at, _)| at..at + phrase.len())
        .collect()
}
