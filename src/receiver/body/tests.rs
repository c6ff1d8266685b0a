//! Round trips through every encoding, and bodies that lie.

use std::io::Write;

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn compress(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
    fn finish<W>(mut writer: W, plain: &[u8], end: impl FnOnce(W) -> Vec<u8>) -> Vec<u8>
    where
        W: Write,
    {
        writer.write_all(plain).expect("writing to memory works");
        end(writer)
    }
    let level = flate2::Compression::default();
    match encoding {
        Encoding::Identity => plain.to_vec(),
        Encoding::Gzip => finish(flate2::write::GzEncoder::new(Vec::new(), level), plain, |w| w.finish().expect("memory")),
        Encoding::Zlib | Encoding::Deflate => {
            finish(flate2::write::ZlibEncoder::new(Vec::new(), level), plain, |w| w.finish().expect("memory"))
        }
        Encoding::Zstd => zstd::encode_all(plain, 3).expect("memory"),
        Encoding::Snappy => snap::raw::Encoder::new().compress_vec(plain).expect("memory"),
        Encoding::SnappyFramed => finish(snap::write::FrameEncoder::new(Vec::new()), plain, |w| w.into_inner().expect("memory")),
        Encoding::Lz4 => finish(lz4_flex::frame::FrameEncoder::new(Vec::new()), plain, |w| w.finish().expect("memory")),
    }
}

const ALL: [Encoding; 8] = [
    Encoding::Identity,
    Encoding::Gzip,
    Encoding::Zstd,
    Encoding::Zlib,
    Encoding::Deflate,
    Encoding::Snappy,
    Encoding::SnappyFramed,
    Encoding::Lz4,
];

fn text() -> Vec<u8> {
    b"{\"resourceSpans\":[]} and so on, ".repeat(500)
}

#[test]
fn every_encoding_is_read_under_its_name() {
    for encoding in ALL {
        let body = Bytes::from(compress(encoding, &text()));
        let read = decompress(encoding, body, LIMIT).unwrap_or_else(|error| panic!("{encoding:?}: {error}"));
        assert_eq!(read, text(), "{encoding:?}");
        assert_eq!(Encoding::from_header(Some(encoding.name())).expect("a known name"), encoding);
    }
}

#[test]
fn header_names_are_read_in_any_case() {
    assert_eq!(Encoding::from_header(None).expect("identity"), Encoding::Identity);
    assert_eq!(Encoding::from_header(Some("")).expect("identity"), Encoding::Identity);
    assert_eq!(Encoding::from_header(Some("GZip")).expect("gzip"), Encoding::Gzip);
    for name in ["br", "gzip, gzip", "compress"] {
        let error = Encoding::from_header(Some(name)).expect_err("unknown");
        assert_eq!(error.to_string(), format!("unsupported Content-Encoding: {name}"));
    }
}

#[test]
fn an_uncompressed_body_is_not_copied() {
    let body = Bytes::from(text());
    let read = decompress(Encoding::Identity, body.clone(), LIMIT).expect("small enough");
    assert_eq!(read.as_ptr(), body.as_ptr());
}

#[test]
fn deflate_may_come_without_its_zlib_header() {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&text()).expect("memory");
    let body = Bytes::from(encoder.finish().expect("memory"));
    assert_eq!(decompress(Encoding::Deflate, body, LIMIT).expect("raw deflate"), text());
}

#[test]
fn snappy_is_told_apart_by_its_magic() {
    let body = Bytes::from(compress(Encoding::SnappyFramed, &text()));
    assert_eq!(decompress(Encoding::Snappy, body, LIMIT).expect("framed"), text());
}

#[test]
fn a_body_as_large_as_the_limit_passes_and_one_byte_more_does_not() {
    for encoding in ALL {
        let body = Bytes::from(compress(encoding, &text()));
        assert!(decompress(encoding, body.clone(), text().len()).is_ok(), "{encoding:?}");
        let error = decompress(encoding, body, text().len() - 1).expect_err("too large");
        assert!(matches!(error, BodyError::TooLarge), "{encoding:?}: {error}");
        assert_eq!(error.to_string(), "http: request body too large");
    }
}

#[test]
fn bombs_are_refused_as_too_large() {
    let zeros = vec![0; 8 * LIMIT];
    for encoding in ALL {
        let body = Bytes::from(compress(encoding, &zeros));
        assert!(matches!(decompress(encoding, body, LIMIT), Err(BodyError::TooLarge)), "{encoding:?}");
    }
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused_before_it_is_allocated() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(27).expect("a legal window");
    encoder.write_all(&text()).expect("memory");
    let body = Bytes::from(encoder.finish().expect("memory"));
    assert!(decompress(Encoding::Zstd, body.clone(), LIMIT).is_err());
    assert!(decompress(Encoding::Zstd, body, 1 << 27).is_ok());
}

#[test]
fn broken_bodies_are_refused() {
    for encoding in ALL.into_iter().filter(|&encoding| encoding != Encoding::Identity) {
        let mut truncated = compress(encoding, &text());
        truncated.truncate(truncated.len() / 2);
        assert!(matches!(decompress(encoding, truncated.into(), LIMIT), Err(BodyError::Broken { .. })), "{encoding:?}");
        assert!(decompress(encoding, Bytes::from_static(b"{\"resourceSpans\":[]}"), LIMIT).is_err(), "{encoding:?}");
    }
    assert!(decompress(Encoding::Gzip, Bytes::new(), LIMIT).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_nor_pass_the_limit(body: Vec<u8>, at in 0..ALL.len(), limit in 0usize..1000) {
        if let Ok(read) = decompress(ALL[at], body.into(), limit) {
            prop_assert!(read.len() <= limit);
        }
    }

    #[test]
    fn flipped_bytes_never_panic(at in 0..ALL.len(), position: prop::sample::Index, value: u8) {
        let mut body = compress(ALL[at], &text());
        let position = position.index(body.len());
        body[position] = value;
        if let Ok(read) = decompress(ALL[at], body.into(), LIMIT) {
            prop_assert!(read.len() <= LIMIT);
        }
    }
}

/// A frame of zstd that repeats one byte in blocks of 128 KiB, as many as are asked for.
fn repeated(num_blocks: usize) -> Vec<u8> {
    let block = |is_last: u32| [&((128_u32 << 10) << 3 | 0b010 | is_last).to_le_bytes()[..3], b" "].concat();
    // Magic, no checks, a window of 128 KiB.
    let start = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3];
    [start, block(0).repeat(num_blocks - 1), block(1)].concat()
}

#[test]
fn zstd_that_repeats_itself() {
    assert_eq!(decompress(Encoding::Zstd, repeated(2).into(), 1 << 20).expect("256 KiB").len(), 256 << 10);
    let ten_gibibytes = repeated((10 << 30) / (128 << 10));
    assert!(ten_gibibytes.len() < 512 << 10);
    assert!(matches!(decompress(Encoding::Zstd, ten_gibibytes.into(), 20 << 20), Err(BodyError::TooLarge)));
}
