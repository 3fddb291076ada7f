use super::*;

const LINES: &[u8] = b"{\"kind\":\"mark\",\"mark\":\"finished\"}\n";

fn frame() -> Vec<u8> {
    Encoder::new().unwrap().encode(7, LINES).unwrap()
}

#[test]
fn a_frame_comes_back() {
    let mut bytes = frame();
    let len = bytes.len();
    bytes.extend_from_slice(&[0; 100]);
    let lines = LINES.to_vec();
    assert_eq!(decode(7, 0, &bytes), Ok(NextFrame::Whole { lines, len }));
    assert_eq!(decode(7, 0, &bytes[len..]), Ok(NextFrame::End));
}

#[test]
fn every_cut_is_seen_as_torn() {
    let bytes = frame();
    for cut in 1..bytes.len() {
        assert_eq!(
            decode(7, 0, &bytes[..cut]),
            Ok(NextFrame::Torn),
            "cut at {cut}"
        );
    }
}

#[test]
fn every_cut_with_zeros_after_it_is_seen_as_torn() {
    let whole = frame();
    for cut in 1..whole.len() - 4 {
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        bytes.extend_from_slice(&[0; 64]);
        // Cutting off bytes that are zero anyway leaves the frame whole.
        if bytes[..whole.len()] != whole {
            assert_eq!(decode(7, 0, &bytes), Ok(NextFrame::Torn), "cut at {cut}");
        }
    }
}

/// A frame of several sectors, as it lies at this offset of a file with space behind it.
fn long_frame() -> Vec<u8> {
    let mut numbers = 1u64;
    let mut lines = Vec::new();
    for _ in 0..400 {
        numbers = numbers
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        lines.extend_from_slice(format!("{numbers:x}").as_bytes());
    }
    Encoder::new().unwrap().encode(7, &lines).unwrap()
}

#[test]
fn a_frame_that_lost_any_sectors_is_torn() {
    let whole = long_frame();
    assert!(whole.len() > 5 * 512, "{}", whole.len());
    for offset in (0..512).step_by(7).chain([500, 508, 511]) {
        let pieces: Vec<usize> = sectors(&whole, offset).map(<[u8]>::len).collect();
        for lost in 1u32..1 << pieces.len() {
            let mut bytes = whole.clone();
            let mut at = 0;
            for (i, len) in pieces.iter().enumerate() {
                if lost & 1 << i != 0 {
                    bytes[at..at + len].fill(0);
                }
                at += len;
            }
            bytes.extend_from_slice(&[0; 1000]);
            let found = decode(7, offset, &bytes);
            let expected = match bytes.iter().all(|&byte| byte == 0) {
                true => NextFrame::End,
                false => NextFrame::Torn,
            };
            assert_eq!(found, Ok(expected), "at {offset}: {lost:b} of {pieces:?}");
        }
    }
}

#[test]
fn a_lost_sector_before_a_later_frame_is_damage() {
    let mut bytes = long_frame();
    let later = Encoder::new().unwrap().encode(8, LINES).unwrap();
    bytes.extend_from_slice(&later);
    bytes.extend_from_slice(&[0; 1000]);
    for lost in [0..512, 512..1024, 1024..1536] {
        let mut bytes = bytes.clone();
        bytes[lost.clone()].fill(0);
        assert!(decode(7, 0, &bytes).is_err(), "{lost:?}");
    }
}

#[test]
fn every_flipped_bit_is_damage_or_means_nothing() {
    let whole = frame();
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            // zstd has a bit in its frame header that decoders must not look at (RFC 8878).
            match decode(7, 0, &bytes) {
                Err(_) => {}
                Ok(NextFrame::Whole { lines, .. }) => assert_eq!(lines, LINES),
                Ok(found) => panic!("bit {bit} of byte {place}: {found:?}"),
            }
        }
    }
}
