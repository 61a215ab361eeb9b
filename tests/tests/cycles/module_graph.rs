//! The graph of a crate's files: which file names something that another file defines.
//!
//! Names are resolved as far as syntax alone allows: through `use`, `pub use`, `self`, `super` and `crate`. Names that a
//! macro declares and calls of methods are not seen.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A name in the file `from` of something that the file `to` defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileDependency {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Where `from` first names it.
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// What a name means in a module because of a `use`.
struct Import {
    /// The name; `*` for all names of a module.
    name: String,
    path: Vec<String>,
    is_public: bool,
    line: usize,
}

#[derive(Default)]
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// Names that the module defines itself.
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in the module's code.
    paths: Vec<(usize, Vec<String>)>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    /// Something that the module defines.
    ItemOf(usize),
}

struct Crate<'a> {
    sources: &'a BTreeMap<String, String>,
    modules: Vec<Module>,
}

/// The dependencies between the files of a crate, given its root and all texts by path below `src`. Tests are left out.
///
/// # Panics
///
/// A declared module without a file, or a file that does not parse.
pub(crate) fn file_dependencies(
    root: &str,
    sources: &BTreeMap<String, String>,
) -> Vec<FileDependency> {
    let mut tree = Crate {
        sources,
        modules: Vec::new(),
    };
    tree.read_file(root, "", None);
    let mut dependencies = BTreeMap::new();
    for (id, module) in tree.modules.iter().enumerate() {
        let imports = module.imports.iter().filter_map(|import| {
            let mut path = import.path.clone();
            path.retain(|segment| segment != "*");
            let target = tree.resolve(id, &path, 0)?;
            let definer = match target {
                // Importing a module is no use of it yet: what is named through it is.
                Target::Module(to) if import.name == "*" => to,
                Target::Module(_) => return None,
                Target::ItemOf(to) => to,
            };
            let is_re_export = import.is_public && tree.is_within(definer, id);
            (!is_re_export).then(|| (definer, import.line, path.join("::")))
        });
        let paths =
            module
                .paths
                .iter()
                .filter_map(|(line, path)| match tree.resolve(id, path, 0)? {
                    Target::ItemOf(to) => Some((to, *line, path.join("::"))),
                    Target::Module(_) => None,
                });
        for (to, line, name) in imports.chain(paths) {
            let ends = (module.file.clone(), tree.modules[to].file.clone());
            if ends.0 != ends.1 {
                let first = dependencies.entry(ends).or_insert((line, name.clone()));
                *first = (line, name).min(first.clone());
            }
        }
    }
    dependencies
        .into_iter()
        .map(|((from, to), (line, name))| FileDependency {
            from,
            to,
            line,
            name,
        })
        .collect()
}

impl Crate<'_> {
    fn read_file(&mut self, file: &str, dir: &str, parent: Option<usize>) -> usize {
        let text = &self.sources[file];
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.read_items(file, dir, parent, &parsed.items)
    }

    fn read_items(
        &mut self,
        file: &str,
        dir: &str,
        parent: Option<usize>,
        items: &[syn::Item],
    ) -> usize {
        let id = self.modules.len();
        let mut module = Module {
            file: file.to_owned(),
            parent,
            ..Module::default()
        };
        let mut reader = ModuleReader(&mut module);
        for item in items {
            reader.visit_item(item);
        }
        module.items.extend(items.iter().filter_map(item_name));
        self.modules.push(module);
        for item in items {
            let syn::Item::Mod(child) = item else {
                continue;
            };
            if is_test(&child.attrs) {
                continue;
            }
            let name = child.ident.to_string();
            let child_dir = format!("{dir}{name}/");
            let child_id = if let Some((_, items)) = &child.content {
                self.read_items(file, &child_dir, Some(id), items)
            } else {
                let files = [format!("{dir}{name}.rs"), format!("{child_dir}mod.rs")];
                let found = files.iter().find(|f| self.sources.contains_key(*f));
                let found = found.unwrap_or_else(|| panic!("{file}: no file for mod {name}"));
                self.read_file(found, &child_dir, Some(id))
            };
            self.modules[id].children.insert(name, child_id);
        }
        id
    }

    fn is_within(&self, module: usize, ancestor: usize) -> bool {
        let mut at = Some(module);
        while let Some(id) = at {
            if id == ancestor {
                return true;
            }
            at = self.modules[id].parent;
        }
        false
    }

    /// What a path leads to from within a module; `None` if to another crate or to a local name.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(0, rest, depth),
            "self" => self.walk(module, rest, depth),
            "super" => self.resolve_super(self.modules[module].parent?, rest, depth),
            _ => self.walk(module, path, depth),
        }
    }

    fn resolve_super(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        match path.split_first() {
            Some((first, rest)) if first == "super" => {
                self.resolve_super(self.modules[module].parent?, rest, depth)
            }
            _ => self.walk(module, path, depth),
        }
    }

    fn walk(&self, id: usize, path: &[String], depth: usize) -> Option<Target> {
        // A `use` of its own name, as macros need it.
        if depth > 16 {
            return None;
        }
        let module = &self.modules[id];
        let Some((name, rest)) = path.split_first() else {
            return Some(Target::Module(id));
        };
        let is_item = module.items.contains(name);
        // A module and a function may have the same name.
        if is_item && rest.is_empty() {
            return Some(Target::ItemOf(id));
        }
        if let Some(child) = module.children.get(name) {
            return self.walk(*child, rest, depth);
        }
        if is_item {
            return Some(Target::ItemOf(id));
        }
        let named = module.imports.iter().filter(|i| i.name == *name);
        let globs = module.imports.iter().filter(|i| i.name == "*");
        named
            .map(|import| import.path.clone())
            .chain(globs.map(|glob| {
                let mut path = glob.path.clone();
                path.pop();
                path.push(name.clone());
                path
            }))
            .find_map(|mut path| {
                path.extend(rest.iter().cloned());
                self.resolve(id, &path, depth + 1)
            })
    }
}

/// The name that an item gives to something, modules aside.
fn item_name(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::TraitAlias(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|condition| condition == "test")
    })
}

/// Collects the imports and paths of a module, without its child modules.
struct ModuleReader<'a>(&'a mut Module);

impl ModuleReader<'_> {
    fn import(&mut self, tree: &syn::UseTree, before: &[String], is_public: bool) {
        let mut path = before.to_vec();
        let (ident, name) = match tree {
            syn::UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                return self.import(&tree.tree, &path, is_public);
            }
            syn::UseTree::Group(group) => {
                return group
                    .items
                    .iter()
                    .for_each(|tree| self.import(tree, before, is_public));
            }
            syn::UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                path.push("*".to_owned());
                return self.push(path, "*".to_owned(), is_public, line);
            }
            syn::UseTree::Name(name) => (&name.ident, &name.ident),
            syn::UseTree::Rename(rename) => (&rename.ident, &rename.rename),
        };
        let mut name = name.to_string();
        if ident == "self" {
            if name == "self" {
                name = path.last().cloned().unwrap_or_default();
            }
        } else {
            path.push(ident.to_string());
        }
        self.push(path, name, is_public, ident.span().start().line);
    }

    fn push(&mut self, path: Vec<String>, name: String, is_public: bool, line: usize) {
        self.0.imports.push(Import {
            name,
            path,
            is_public,
            line,
        });
    }

    /// Paths in the tokens of a macro.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident);
                    colons = 0;
                }
                other => {
                    self.push_path(&path);
                    path.clear();
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident),
                        TokenTree::Group(group) => self.read_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.push_path(&path);
    }

    fn push_path(&mut self, path: &[Ident]) {
        if let Some(first) = path.first() {
            let line = first.span().start().line;
            let path = path.iter().map(ToString::to_string).collect();
            self.0.paths.push((line, path));
        }
    }
}

impl<'ast> Visit<'ast> for ModuleReader<'_> {
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() && !is_test(&item.attrs) {
            let is_public = !matches!(item.vis, syn::Visibility::Inherited);
            self.import(&item.tree, &[], is_public);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let idents: Vec<Ident> = path.segments.iter().map(|s| s.ident.clone()).collect();
            self.push_path(&idents);
        }
        visit::visit_path(self, path);
    }

    // `pub(in path)` names no item.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        visit::visit_macro(self, item);
        self.read_tokens(item.tokens.clone());
    }
}
