//! PDQ hashes in memory, found by nearness: every stored hash within 31 of 256 bits of the one asked for.
//! Must not say what a match means.

use std::collections::HashMap;

use domain::hash::Pdq;

/// A hash is cut into sixteen bands of sixteen bits. Thirty-one differing bits cannot put two into each of sixteen
/// bands, so that some band differs by at most one bit: the candidates are those that share a band up to one bit.
const BANDS: usize = 16;

#[derive(Default)]
pub(super) struct NearIndex {
    hashes: Vec<Pdq>,
    bands: HashMap<(u8, u16), Vec<u32>>,
}

impl NearIndex {
    pub(super) fn new(hashes: Vec<Pdq>) -> Self {
        let mut bands: HashMap<(u8, u16), Vec<u32>> = HashMap::new();
        for (place, hash) in hashes.iter().enumerate() {
            for (band, bits) in bands_of(hash) {
                bands.entry((band, bits)).or_default().push(place as u32);
            }
        }
        Self { hashes, bands }
    }

    /// The places of all hashes near this one.
    pub(super) fn near(&self, hash: &Pdq) -> Vec<usize> {
        if self.hashes.is_empty() {
            return Vec::new();
        }
        let mut candidates: Vec<u32> = Vec::new();
        for (band, bits) in bands_of(hash) {
            let one_off = (0..16).map(|bit| bits ^ (1 << bit));
            for value in std::iter::once(bits).chain(one_off) {
                if let Some(places) = self.bands.get(&(band, value)) {
                    candidates.extend(places);
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .map(|place| place as usize)
            .filter(|place| self.hashes[*place].is_near(hash))
            .collect()
    }
}

fn bands_of(hash: &Pdq) -> impl Iterator<Item = (u8, u16)> {
    let octets = *hash.reveal_octets();
    (0..BANDS).map(move |band| {
        let bits = u16::from_be_bytes([octets[2 * band], octets[2 * band + 1]]);
        (band as u8, bits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `distance` bits away, spread as evenly as the bands allow: the hardest case for the index.
    fn away(from: Pdq, distance: usize) -> Pdq {
        let mut octets = *from.reveal_octets();
        for n in 0..distance {
            let bit = (n % BANDS) * 16 + n / BANDS * 5;
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        Pdq::from_octets(octets)
    }

    #[test]
    fn thirty_one_bits_are_near_and_thirty_two_are_not() {
        let stored = Pdq::from_octets(std::array::from_fn(|n| (n * 37) as u8));
        let far = Pdq::from_octets([0xff; 32]);
        let index = NearIndex::new(vec![far, stored]);
        for distance in 0..=31 {
            assert_eq!(index.near(&away(stored, distance)), [1], "{distance}");
        }
        assert!(index.near(&away(stored, 32)).is_empty());
    }
}
