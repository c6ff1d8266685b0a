//! The hybrid of run-length and bit-packed runs, in which levels, dictionary codes and booleans are written.
//!
//! ```text
//! run           = header value                  header even: header / 2 times the value, in as few bytes as the width needs
//!               | header groups                 header odd: header / 2 groups of eight values, bit-packed
//! dictionary    = width (one byte) run*
//! boolean page  = length (four bytes) run*      width 1
//! ```

use super::error::ReadError;
use super::unpack::{packed_len, unpack};
use super::varint::Cursor;

/// One run, cut to the values that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run<'a> {
    /// The value, `len` times.
    Repeated { value: u32, len: usize },
    /// `len` bit-packed values; the bytes hold at least these.
    Packed { bytes: &'a [u8], len: usize },
}

/// The runs of a known number of values.
#[derive(Clone)]
pub(super) struct Runs<'a> {
    cursor: Cursor<'a>,
    width: usize,
    remaining: usize,
}

impl<'a> Runs<'a> {
    /// Error: `CorruptPage` if the width exceeds 32 bits.
    pub(super) fn new(bytes: &'a [u8], width: u8, num_values: usize) -> Result<Self, ReadError> {
        if width > 32 {
            return Err(ReadError::corrupt(format!("values of {width} bits")));
        }
        Ok(Self { cursor: Cursor::new(bytes), width: usize::from(width), remaining: num_values })
    }

    /// The runs of a page of dictionary codes, which begins with the width.
    pub(super) fn of_codes(bytes: &'a [u8], num_values: usize) -> Result<Self, ReadError> {
        match bytes.split_first() {
            Some((&width, runs)) => Self::new(runs, width, num_values),
            None if num_values == 0 => Self::new(&[], 0, 0),
            None => Err(ReadError::corrupt("page of dictionary codes without a width")),
        }
    }

    /// Bits of a value.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The next run; `None` once all values were given.
    ///
    /// Error: `CorruptPage` if the bytes end before that.
    pub(super) fn next_run(&mut self) -> Result<Option<Run<'a>>, ReadError> {
        while self.remaining > 0 {
            let header = self.cursor.size()?;
            let is_packed = header & 1 == 1;
            let declared = if is_packed { (header >> 1).saturating_mul(8) } else { header >> 1 };
            let len = declared.min(self.remaining);
            let run = if is_packed { self.packed(declared, len)? } else { self.repeated(len)? };
            self.remaining -= len;
            if len > 0 {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    fn packed(&mut self, declared: usize, len: usize) -> Result<Run<'a>, ReadError> {
        // Some writers cut the padding of the last group off.
        let bytes = self.cursor.take_up_to((declared / 8).saturating_mul(self.width));
        if bytes.len() < packed_len(len, self.width) {
            return Err(ReadError::corrupt("bit-packed run ends early"));
        }
        Ok(Run::Packed { bytes, len })
    }

    fn repeated(&mut self, len: usize) -> Result<Run<'a>, ReadError> {
        let value = match self.width.div_ceil(8) {
            0 => 0,
            num_bytes => self.cursor.word_of(num_bytes)?,
        };
        if value >> self.width != 0 {
            return Err(ReadError::corrupt(format!("value {value} in a run of {} bits", self.width)));
        }
        Ok(Run::Repeated { value: value as u32, len })
    }
}

/// Gives the runs of values `skip..skip + take`; of a packed run also where in it the values start.
pub(super) fn visit_runs(
    mut runs: Runs<'_>,
    mut skip: usize,
    mut take: usize,
    mut visit: impl FnMut(Run<'_>, usize) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    while take > 0 {
        let run = runs.next_run()?.ok_or_else(|| ReadError::corrupt("page with fewer values than rows that have one"))?;
        let (Run::Repeated { len, .. } | Run::Packed { len, .. }) = run;
        if skip >= len {
            skip -= len;
            continue;
        }
        let wanted = (len - skip).min(take);
        match run {
            Run::Repeated { value, .. } => visit(Run::Repeated { value, len: wanted }, 0)?,
            Run::Packed { bytes, .. } => visit(Run::Packed { bytes, len: wanted }, skip)?,
        }
        take -= wanted;
        skip = 0;
    }
    Ok(())
}

/// Appends the dictionary codes `skip..skip + take` of a page.
///
/// Error: `CorruptPage` if a code is not below `dictionary_len`.
pub(super) fn decode_codes(page: &[u8], skip: usize, take: usize, dictionary_len: usize, codes: &mut Vec<u32>) -> Result<(), ReadError> {
    let runs = Runs::of_codes(page, skip + take)?;
    let width = runs.width();
    let start = codes.len();
    visit_runs(runs, skip, take, |run, first| {
        match run {
            Run::Repeated { value, len } => codes.resize(codes.len() + len, value),
            Run::Packed { bytes, len } => {
                let at = codes.len();
                codes.resize(at + len, 0);
                unpack(bytes, width, first, &mut codes[at..]);
            }
        }
        Ok(())
    })?;
    check_codes(&codes[start..], width, dictionary_len)
}

/// Appends the dictionary codes at some ascending positions of a page: one by one, so they should be few.
///
/// Error: `CorruptPage` if one of them is not below `dictionary_len`.
pub(super) fn decode_some_codes(page: &[u8], positions: &[usize], dictionary_len: usize, codes: &mut Vec<u32>) -> Result<(), ReadError> {
    let mut runs = Runs::of_codes(page, positions.last().map_or(0, |last| last + 1))?;
    let (width, start) = (runs.width(), codes.len());
    let (mut end, mut next) = (0, positions.iter().copied().peekable());
    while next.peek().is_some() {
        let run = runs.next_run()?.ok_or_else(|| ReadError::corrupt("page with fewer values than rows that have one"))?;
        let (Run::Repeated { len, .. } | Run::Packed { len, .. }) = run;
        let first = end;
        end += len;
        while let Some(position) = next.next_if(|position| *position < end) {
            let mut code = [0];
            match run {
                Run::Repeated { value, .. } => code = [value],
                Run::Packed { bytes, .. } => unpack(bytes, width, position - first, &mut code),
            }
            codes.extend(code);
        }
    }
    check_codes(&codes[start..], width, dictionary_len)
}

/// Error: `CorruptPage` if a code is not below `dictionary_len`.
pub(super) fn check_codes(codes: &[u32], width: usize, dictionary_len: usize) -> Result<(), ReadError> {
    let every_code_exists = width < 32 && 1usize << width <= dictionary_len;
    // Pages count their values in 31 bits, so no dictionary is longer.
    let Some(highest) = dictionary_len.min(1 << 31).checked_sub(1) else {
        return if codes.is_empty() { Ok(()) } else { Err(ReadError::corrupt("codes of an empty dictionary")) };
    };
    if every_code_exists {
        return Ok(());
    }
    // The highest bit of a code or of its distance to the highest one tells; unlike a maximum this needs no comparison of unsigned numbers,
    // which the base instruction set has no vector form of.
    let bits = codes.iter().fold(0, |bits, &code| bits | code | (highest as u32).wrapping_sub(code));
    if bits >> 31 == 1 {
        return Err(ReadError::corrupt(format!("code past the end of a dictionary of {dictionary_len}")));
    }
    Ok(())
}

/// The runs of a page of booleans in this encoding.
pub(super) fn boolean_runs(page: &[u8], num_values: usize) -> Result<Runs<'_>, ReadError> {
    Runs::new(length_prefixed(page)?.0, 1, num_values)
}

/// Splits bytes that begin with their length in four bytes; also gives what follows.
pub(super) fn length_prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), ReadError> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| ReadError::corrupt("levels without their length"))?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(|| ReadError::corrupt("levels end early"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::unpack::tests::pack;
    use super::*;
    use proptest::prelude::*;

    /// A run to write: repeated, or packed (then of a multiple of eight values, except the last).
    #[derive(Debug, Clone)]
    pub(in super::super) enum Written {
        Repeated(u32, usize),
        Packed(Vec<u32>),
    }

    pub(in super::super) fn write(runs: &[Written], width: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for run in runs {
            match run {
                Written::Repeated(value, len) => {
                    varint(&mut bytes, (*len as u64) << 1);
                    bytes.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8)]);
                }
                Written::Packed(values) => {
                    let mut values: Vec<u64> = values.iter().map(|&value| u64::from(value)).collect();
                    values.resize(values.len().next_multiple_of(8), 0);
                    varint(&mut bytes, (values.len() as u64 / 8) << 1 | 1);
                    bytes.extend(pack(&values, width));
                }
            }
        }
        bytes
    }

    pub(in super::super) fn varint(bytes: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }

    pub(in super::super) fn runs(width: usize) -> impl Strategy<Value = Vec<Written>> {
        let max = if width == 32 { u32::MAX } else { (1 << width) - 1 };
        let packed = prop::collection::vec(0..=max, 1..6).prop_map(|seed| {
            let len = seed.len() * 8;
            Written::Packed(seed.into_iter().cycle().take(len).collect())
        });
        prop::collection::vec(prop_oneof![(0..=max, 0usize..40).prop_map(|(value, len)| Written::Repeated(value, len)), packed], 0..8)
    }

    pub(in super::super) fn values(runs: &[Written]) -> Vec<u32> {
        let values = |run: &Written| match run {
            Written::Repeated(value, len) => vec![*value; *len],
            Written::Packed(values) => values.clone(),
        };
        runs.iter().flat_map(values).collect()
    }

    proptest! {
        #[test]
        fn decodes_any_part(
            (width, runs) in (0usize..32).prop_flat_map(|width| (Just(width), runs(width))),
            skip in 0usize..100,
            take in 0usize..100,
        ) {
            let values = values(&runs);
            let mut page = vec![width as u8];
            page.extend(write(&runs, width));
            let mut codes = Vec::new();
            let result = decode_codes(&page, skip, take, usize::MAX, &mut codes);
            if skip + take <= values.len() {
                prop_assert!(result.is_ok());
                prop_assert_eq!(&codes[..], &values[skip..skip + take]);
                let highest = codes.iter().max().copied().unwrap_or_default() as usize;
                prop_assert!(take == 0 || decode_codes(&page, skip, take, highest, &mut codes).is_err());
            } else if take > 0 {
                prop_assert!(result.is_err());
            }
        }

        #[test]
        fn noise_never_panics(page in prop::collection::vec(any::<u8>(), 0..40), skip in 0usize..100, take in 0usize..10_000) {
            let mut codes = Vec::new();
            let _ = decode_codes(&page, skip, take, 20, &mut codes);
            prop_assert!(codes.len() <= take);
        }
    }
}
