//! `PLAIN`: values one after another; byte strings after their length in four bytes, booleans as bits.

use super::error::ReadError;

/// Ends and bytes of strings that are being collected.
pub(super) type StringParts = (Vec<u32>, Vec<u8>);

/// Appends the numbers `skip..skip + take`, each of `N` bytes.
pub(super) fn decode_numbers<T, const N: usize>(
    page: &[u8],
    skip: usize,
    take: usize,
    from_bytes: impl Fn([u8; N]) -> T,
    out: &mut Vec<T>,
) -> Result<(), ReadError> {
    let (numbers, _) = fixed(page, N, skip, take)?.as_chunks::<N>();
    out.extend(numbers.iter().map(|&bytes| from_bytes(bytes)));
    Ok(())
}

/// The bytes of the values `skip..skip + take` of `width` bytes each.
pub(super) fn fixed(page: &[u8], width: usize, skip: usize, take: usize) -> Result<&[u8], ReadError> {
    let bounds = skip.checked_mul(width).zip((skip + take).checked_mul(width));
    bounds.and_then(|(start, end)| page.get(start..end)).ok_or_else(|| ReadError::corrupt("plain page ends early"))
}

/// Calls with the booleans `skip..skip + take`, with their number from 0.
pub(super) fn visit_booleans(page: &[u8], skip: usize, take: usize, mut visit: impl FnMut(usize, bool)) -> Result<(), ReadError> {
    if page.len() < (skip + take).div_ceil(8) {
        return Err(ReadError::corrupt("plain page ends early"));
    }
    for index in 0..take {
        let bit = skip + index;
        visit(index, page[bit / 8] >> (bit % 8) & 1 == 1);
    }
    Ok(())
}

/// Calls with the byte strings `skip..skip + take`.
pub(super) fn visit_strings<'a>(
    page: &'a [u8],
    skip: usize,
    take: usize,
    mut visit: impl FnMut(&'a [u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut rest = page;
    for index in 0..skip + take {
        let (len, following) = rest.split_first_chunk::<4>().ok_or_else(|| ReadError::corrupt("string without its length"))?;
        let len = u32::from_le_bytes(*len) as usize;
        let (string, following) = following.split_at_checked(len).ok_or_else(|| ReadError::corrupt("string ends early"))?;
        if index >= skip {
            visit(string)?;
        }
        rest = following;
    }
    Ok(())
}

/// Appends the byte strings `skip..skip + take`.
pub(super) fn decode_strings(page: &[u8], skip: usize, take: usize, (ends, bytes): &mut StringParts) -> Result<(), ReadError> {
    // A string takes at least four bytes of the page, so a false count reserves little. The bytes are an estimate from the mean length.
    ends.reserve(take.min(page.len() / 4));
    let all = skip + take;
    bytes.reserve(page.len().saturating_sub(all.saturating_mul(4)).checked_div(all).unwrap_or(0) * take);
    visit_strings(page, skip, take, |string| push_string(string, (ends, bytes)))
}

/// Appends a string.
#[inline]
pub(super) fn push_string(string: &[u8], (ends, bytes): (&mut Vec<u32>, &mut Vec<u8>)) -> Result<(), ReadError> {
    bytes.extend_from_slice(string);
    ends.push(u32::try_from(bytes.len()).map_err(|_| ReadError::corrupt("strings of more than 4 GiB"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn noise_never_panics(page in prop::collection::vec(any::<u8>(), 0..40), skip in 0usize..20, take in 0usize..20) {
            let mut parts = StringParts::default();
            let _ = decode_strings(&page, skip, take, &mut parts);
            let _ = visit_booleans(&page, skip, take, |_, _| ());
            let _ = fixed(&page, usize::MAX, skip, take);
            let mut out = Vec::new();
            prop_assert_eq!(decode_numbers(&page, skip, take, i64::from_le_bytes, &mut out).is_ok(), page.len() >= (skip + take) * 8);
        }
    }
}
