//! Parts of generated names, URLs and paths.

pub(super) const NAMES: [&str; 48] = [
    "alder", "anchor", "basalt", "bramble", "brook", "cairn", "clover", "cobalt", "cove", "crest",
    "dune", "elder", "fern", "fjord", "flint", "gorse", "granite", "grove", "hedge", "heron",
    "hollow", "islet", "jasper", "kelp", "knoll", "lichen", "linden", "marsh", "mesa", "moor",
    "moss", "osier", "otter", "pier", "quarry", "quill", "rill", "rush", "sedge", "shale",
    "sorrel", "spring", "swift", "tarn", "thistle", "weir", "wren", "yarrow",
];

pub(super) const KINDS: [&str; 6] = ["hosting", "servers", "pages", "space", "racks", "stack"];

pub(super) const SUBDOMAINS: [&str; 6] = ["www", "img", "static", "m", "f2", "media"];

pub(super) const IDN_LABELS: [&str; 4] = ["gärten", "høst", "niño", "żuraw"];

pub(super) const EXTENSIONS: [&str; 6] = ["jpg", "png", "webm", "mp4", "html", "gif"];

/// Paths whose canonical form is not obvious: percent-encoding, non-ASCII characters, queries, fragments.
pub(super) const ODD_PATHS: [&str; 5] = [
    "/c d/{}?q=%7Emoss&x=",
    "/na%C3%AFve/{}",
    "/%E5%9B%BE/{}",
    "/list.php?id={}&page=3",
    "/t/{}#p12",
];

pub(super) const COUNTRIES: [&str; 16] = [
    "GB", "NL", "DE", "FR", "US", "CA", "SE", "RO", "UA", "JP", "AU", "LU", "BG", "HK", "MY", "IE",
];

/// URLs that intake must refuse.
pub(super) const UNUSABLE: [&str; 14] = [
    "",
    "https://",
    "just some words",
    "http://localhost/a",
    "http://10.1.2.3/a",
    "http://192.168.0.1/",
    "http://169.254.169.254/latest",
    "http://[::1",
    "http://two words.test/a",
    "ftp://files.example/a",
    "mailto:abuse@a.example",
    "javascript:alert(2)",
    "data:text/plain,hello",
    "https://name:word@a.example/b",
];
