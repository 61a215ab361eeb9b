//! An in-memory index of PDQ hashes by Hamming distance: finds every stored hash that differs from a given
//! one in at most 31 of 256 bits.

use std::collections::HashMap;

use domain::hash::Pdq;

/// A hash is split into sixteen bands of sixteen bits. Among 31 differing bits at least one band has at most
/// one of them, so the candidates are the hashes that have a band in common up to one bit.
const BANDS: usize = 16;

#[derive(Default)]
pub(super) struct PdqIndex {
    hashes: Vec<Pdq>,
    bands: HashMap<(u8, u16), Vec<u32>>,
}

impl PdqIndex {
    pub(super) fn new(hashes: Vec<Pdq>) -> Self {
        let mut bands: HashMap<(u8, u16), Vec<u32>> = HashMap::new();
        for (position, hash) in hashes.iter().enumerate() {
            for (band, bits) in bands_of(hash) {
                bands.entry((band, bits)).or_default().push(position as u32);
            }
        }
        Self { hashes, bands }
    }

    /// The positions of all hashes within the distance of this one.
    pub(super) fn find_near(&self, hash: &Pdq) -> Vec<usize> {
        if self.hashes.is_empty() {
            return Vec::new();
        }
        let mut candidates: Vec<u32> = Vec::new();
        for (band, bits) in bands_of(hash) {
            let one_off = (0..16).map(|bit| bits ^ (1 << bit));
            for value in std::iter::once(bits).chain(one_off) {
                if let Some(positions) = self.bands.get(&(band, value)) {
                    candidates.extend(positions);
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .map(|position| position as usize)
            .filter(|position| self.hashes[*position].is_match(hash))
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

    /// A hash that differs in `distance` bits, spread evenly over the bands: the hardest case for the index.
    fn at_distance(from: Pdq, distance: usize) -> Pdq {
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
        let index = PdqIndex::new(vec![far, stored]);
        for distance in 0..=31 {
            assert_eq!(
                index.find_near(&at_distance(stored, distance)),
                [1],
                "{distance}"
            );
        }
        assert!(index.find_near(&at_distance(stored, 32)).is_empty());
    }
}
