use proptest::prelude::*;

use super::*;
use crate::ingester::wal::files::faulty::FaultyFiles;

fn tenant() -> TenantId {
    TenantId::single()
}

fn ids(numbers: &[u8]) -> impl Iterator<Item = TraceId> {
    numbers.iter().map(|number| TraceId([*number; 16]))
}

#[test]
fn sequences_become_ranges() {
    let ledger = Ledger::new(BlockId::random(), tenant(), [7, 3, 4, 4, 9, 5], ids(&[2, 1, 2]));
    assert_eq!(ledger.ranges, [3..6, 7..8, 9..10]);
    assert_eq!(ledger.carried.len(), 2);
    assert_eq!(ledger.end_sequence(), 10);
    let covered: Vec<u64> = (0..12).filter(|sequence| ledger.covers(*sequence)).collect();
    assert_eq!(covered, [3, 4, 5, 7, 9]);
    assert!(ledger.carries(&TraceId([1; 16])) && !ledger.carries(&TraceId([3; 16])));
    assert_eq!(Ledger::new(BlockId::random(), tenant(), [], []).end_sequence(), 0);
}

#[test]
fn layout_is_pinned() {
    let block = BlockId::parse("00112233-4455-6677-8899-aabbccddeeff").expect("an id");
    let bytes = Ledger::new(block, TenantId::parse("ab").expect("a name"), [3, 4], ids(&[9])).encode().expect("small");
    assert_eq!(&bytes[..24], b"CONMOLDG\x01\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0\0");
    assert_eq!(&bytes[24..62], b"00112233-4455-6677-8899-aabbccddeeffab");
    assert_eq!(bytes[62..78], [3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[78..94], [9; 16]);
    assert_eq!(bytes.len(), 98);
}

#[test]
fn a_ledger_is_read_under_its_own_name_only() {
    let (files, dir) = (FaultyFiles::new(1), Path::new("/wal"));
    let ledger = Ledger::new(BlockId::random(), tenant(), [1], []);
    write(&files, dir, &ledger).expect("no faults");
    write(&files, dir, &ledger).expect("twice is once");
    assert_eq!(files.names(), [format!("flush-{}.ledger", ledger.block)]);
    let own = path(dir, &ledger.block, Standing::Depends);
    assert!(matches!(read(&files, &own), Ok(Found::Intact(found)) if found == ledger));
    let other = path(dir, &BlockId::random(), Standing::Depends);
    files.rename(&own, &other).expect("no faults");
    assert!(matches!(read(&files, &other), Ok(Found::Damaged)));
}

#[test]
fn names_are_strict() {
    let block = BlockId::random();
    let names = [format!("flush-{block}.ledger"), format!("flush-{block}.ledger.tmp"), format!("flush-{block}.ledger.corrupt")];
    let upper = format!("flush-{}.ledger", block.to_string().to_uppercase());
    let settled = format!("flush-{block}.settled");
    let all: Vec<String> = names.iter().cloned().chain([upper, "flush-1.ledger".to_string(), settled.clone()]).collect();
    let (ledgers, unfinished) = list(Path::new(""), &all);
    let expected = vec![(PathBuf::from(&names[0]), Standing::Depends), (PathBuf::from(&settled), Standing::Settled)];
    assert_eq!((ledgers, unfinished), (expected, vec![PathBuf::from(&names[1])]));
}

#[test]
fn versions_are_told_from_damage() {
    let mut bytes = Ledger::new(BlockId::random(), tenant(), [1], []).encode().expect("small");
    bytes[8] = 2;
    assert_eq!(Ledger::decode(&bytes), Err(LedgerDamage::Torn));
    let content = bytes.len() - CHECKSUM_BYTES;
    let checksum = crc32c::crc32c(&bytes[..content]);
    bytes[content..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(Ledger::decode(&bytes), Err(LedgerDamage::UnknownVersion(2)));
}

#[test]
fn disordered_lists_are_malformed() {
    let mut ledger = Ledger::new(BlockId::random(), tenant(), [1, 5], ids(&[1, 2]));
    ledger.ranges.swap(0, 1);
    let bytes = ledger.encode().expect("small");
    assert_eq!(Ledger::decode(&bytes), Err(LedgerDamage::Malformed));
}

proptest! {
    #[test]
    fn round_trip(
        name in "[a-z]{1,150}",
        sequences in proptest::collection::vec(1u64..500, 0..100),
        carried in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let tenant = TenantId::parse(&name).expect("allowed characters");
        let ledger = Ledger::new(BlockId::random(), tenant, sequences.iter().copied(), ids(&carried));
        let decoded = Ledger::decode(&ledger.encode().expect("small"));
        prop_assert_eq!(decoded.as_ref(), Ok(&ledger));
        prop_assert!((0..501).all(|sequence| ledger.covers(sequence) == sequences.contains(&sequence)));
    }

    #[test]
    fn a_flipped_bit_is_noticed(sequences in proptest::collection::vec(1u64..500, 0..50), at: prop::sample::Index) {
        let mut bytes = Ledger::new(BlockId::random(), tenant(), sequences, ids(&[1, 2])).encode().expect("small");
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Ledger::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_with_a_right_checksum_are_safe(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), is_ours: bool) {
        if is_ours && bytes.len() > 24 {
            bytes[..12].copy_from_slice(b"CONMOLDG\x01\0\0\0");
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        prop_assert!(Ledger::decode(&bytes).is_err());
    }
}
