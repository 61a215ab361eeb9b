//! Words that names and paths on the street are made of, and the generator's own source of chance: the same seed gives
//! the same bytes, on every machine and with every version of every library.

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

/// Percent-encoded and literal paths that need care.
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

/// Rows that nobody can use; each must be refused.
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

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same forever.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True `share` times in a thousand.
    pub(super) fn in_thousand(&mut self, share: usize) -> bool {
        self.below(1000) < share
    }

    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
