//! From the codes of several sources to the codes of one dictionary, in order of first use.

use super::dictionary_chunk::Entries;
use crate::columns::Dictionary;
use foldhash::fast::FixedState;
use std::collections::HashMap;

const UNKNOWN: u32 = u32::MAX;

/// Byte strings one after another: the end of each, and the bytes.
pub type StringsRef<'a> = (&'a [u32], &'a [u8]);

/// The code spaces of several dictionaries, one after the other: a position is a source's base plus its code.
pub struct CodeSpace<'a> {
    strings: Vec<StringsRef<'a>>,
    bases: Vec<u32>,
    len: usize,
}

impl<'a> CodeSpace<'a> {
    /// The joint space of these dictionaries.
    pub fn new(dictionaries: Vec<&'a Dictionary>) -> Self {
        Self::of_strings(dictionaries.into_iter().map(Dictionary::parts).collect())
    }

    /// The joint space of these tables of strings.
    pub fn of_strings(strings: Vec<StringsRef<'a>>) -> Self {
        let mut len = 0;
        let mut base = |(ends, _): &StringsRef<'_>| {
            let base = len as u32;
            len += ends.len();
            base
        };
        let bases = strings.iter().map(&mut base).collect();
        CodeSpace { strings, bases, len }
    }

    /// Where the codes of a source start.
    pub fn base(&self, source: usize) -> u32 {
        self.bases[source]
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The source of a position, and where its string lies among the source's bytes.
    pub fn locate(&self, position: u32) -> (usize, std::ops::Range<usize>) {
        // Empty dictionaries share a base with the next one; the last with this base has the position.
        let source = self.bases.partition_point(|&base| base <= position) - 1;
        let (ends, _) = self.strings[source];
        let at = (position - self.bases[source]) as usize;
        let start = if at == 0 { 0 } else { ends[at - 1] as usize };
        (source, start..ends[at] as usize)
    }

    /// The string at a position.
    pub fn get(&self, position: u32) -> &'a [u8] {
        let (source, range) = self.locate(position);
        &self.strings[source].1[range]
    }
}

/// Gives the strings of a code space new codes, equal ones the same.
#[derive(Default)]
pub struct Recoder {
    /// New code of each position, once it was met.
    known: Vec<u32>,
    strings: Dictionary,
}

impl Recoder {
    /// Forgets everything and prepares for a space.
    pub fn start(&mut self, space: &CodeSpace<'_>) {
        self.strings = Dictionary::default();
        self.enter(space);
    }

    /// Goes on with another space, whose strings get the same codes as equal ones before.
    pub fn enter(&mut self, space: &CodeSpace<'_>) {
        self.known.clear();
        self.known.resize(space.len(), UNKNOWN);
    }

    /// The new code of a position of the space.
    #[inline]
    pub fn code(&mut self, space: &CodeSpace<'_>, position: u32) -> u32 {
        let known = self.known[position as usize];
        if known != UNKNOWN {
            return known;
        }
        let code = self.strings.intern(space.get(position));
        self.known[position as usize] = code;
        code
    }

    /// The strings that have codes.
    pub fn entries(&self) -> Entries {
        Entries::strings(self.strings.iter())
    }

    /// The string of a code that was given out.
    pub fn string(&self, code: u32) -> &[u8] {
        self.strings.get(code)
    }

    /// Number of codes given out.
    pub fn num_codes(&self) -> usize {
        self.strings.len()
    }

    /// Numbers the codes in the order in which they occur here, and gives what they stand for then.
    pub fn in_order_of_use(mut self, codes: &mut [u32]) -> Entries {
        self.known.clear();
        self.known.resize(self.strings.len(), UNKNOWN);
        let mut order = Vec::with_capacity(self.strings.len());
        for code in codes {
            let known = &mut self.known[*code as usize];
            if *known == UNKNOWN {
                *known = order.len() as u32;
                order.push(*code);
            }
            *code = *known;
        }
        Entries::strings(order.into_iter().map(|code| self.strings.get(code)))
    }
}

/// Most distinct numbers that a dictionary is made for where they are more than half of all.
const MAX_MOSTLY_UNIQUE: usize = 16 * 1024;

/// Codes for 64-bit patterns, and the patterns in order of first use; `None` if they mostly differ.
pub fn number_codes(values: impl ExactSizeIterator<Item = u64>) -> Option<(Vec<u32>, Vec<u64>)> {
    let num_values = values.len();
    let mut known: HashMap<u64, u32, FixedState> = HashMap::with_hasher(FixedState::with_seed(0));
    let (mut codes, mut distinct) = (Vec::with_capacity(num_values), Vec::new());
    let mut last = None;
    for value in values {
        // Neighbours are often equal.
        let code = match last {
            Some((same, code)) if same == value => code,
            _ => *known.entry(value).or_insert_with(|| {
                distinct.push(value);
                distinct.len() as u32 - 1
            }),
        };
        last = Some((value, code));
        codes.push(code);
        if distinct.len() > MAX_MOSTLY_UNIQUE && 2 * distinct.len() > codes.len() {
            return None;
        }
    }
    Some((codes, distinct))
}

/// Codes and dictionary of 32-bit numbers.
pub fn i32_codes(values: &[i32]) -> (Vec<u32>, Entries) {
    let patterns = values.iter().map(|&value| u64::from(value as u32));
    match number_codes(patterns) {
        Some((codes, distinct)) => (codes, Entries::fixed(distinct.into_iter().map(|pattern| (pattern as u32).to_le_bytes()))),
        // Numbers of resources in a block that has more of them than half its rows: each is its own entry.
        None => ((0..values.len() as u32).collect(), Entries::fixed(values.iter().map(|value| value.to_le_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_strings_of_all_sources_share_a_code(sources: Vec<Vec<Vec<u8>>>) {
            let dictionaries: Vec<Dictionary> = sources
                .iter()
                .map(|strings| {
                    let mut dictionary = Dictionary::default();
                    for string in strings {
                        dictionary.intern(string);
                    }
                    dictionary
                })
                .collect();
            let space = CodeSpace::new(dictionaries.iter().collect());
            let mut recoder = Recoder::default();
            recoder.start(&space);
            for (source, dictionary) in dictionaries.iter().enumerate() {
                for code in 0..dictionary.len() as u32 {
                    let new = recoder.code(&space, space.base(source) + code);
                    prop_assert_eq!(recoder.strings.get(new), dictionary.get(code));
                }
            }
            let distinct: std::collections::HashSet<_> = sources.iter().flatten().collect();
            prop_assert_eq!(recoder.strings.len(), distinct.len());
        }

        #[test]
        fn codes_are_numbered_in_the_order_of_their_use(sources: Vec<Vec<u8>>, picks: Vec<prop::sample::Index>) {
            let mut recoder = Recoder::default();
            let mut given: Vec<(u32, u8)> = Vec::new();
            for source in &sources {
                let mut dictionary = Dictionary::default();
                let codes: Vec<u32> = source.iter().map(|byte| dictionary.intern(&[*byte])).collect();
                let space = CodeSpace::new(vec![&dictionary]);
                recoder.enter(&space);
                given.extend(codes.iter().map(|code| recoder.code(&space, *code)).zip(source.iter().copied()));
            }
            let used: Vec<(u32, u8)> = if given.is_empty() { Vec::new() } else { picks.iter().map(|pick| *pick.get(&given)).collect() };
            let mut codes: Vec<u32> = used.iter().map(|(code, _)| *code).collect();
            let entries = recoder.in_order_of_use(&mut codes);
            let mut first_uses = Vec::new();
            used.iter().for_each(|(_, byte)| if !first_uses.contains(byte) { first_uses.push(*byte) });
            prop_assert_eq!(entries.plain, first_uses.iter().flat_map(|byte| [1, 0, 0, 0, *byte]).collect::<Vec<_>>());
            for ((_, byte), code) in used.iter().zip(codes) {
                prop_assert_eq!(first_uses[code as usize], *byte);
            }
        }

        #[test]
        fn numbers_get_their_codes(values: Vec<i32>) {
            let (codes, entries) = i32_codes(&values);
            let read = |code: u32| i32::from_le_bytes(entries.plain[4 * code as usize..4 * code as usize + 4].try_into().expect("four bytes"));
            prop_assert_eq!(codes.into_iter().map(read).collect::<Vec<_>>(), values);
        }
    }
}
