//! Bytes as people read them.

/// Lines of sixteen bytes that are shown of a binary message.
const DUMP_LINES: usize = 16;

/// How much of a binary message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dump {
    Beginning,
    Full,
}

/// Offset, sixteen bytes, and those of them that are ASCII.
pub(super) fn dump(bytes: &[u8], extent: Dump, out: &mut String) {
    let lines = match extent {
        Dump::Beginning => DUMP_LINES,
        Dump::Full => usize::MAX,
    };
    for (index, line) in bytes.chunks(16).take(lines).enumerate() {
        let (left, right) = line.split_at(line.len().min(8));
        let ascii: String = line.iter().map(|byte| printable(*byte)).collect();
        out.push_str(&format!(
            "  {:08x}  {:23}  {:23}  |{ascii}|\n",
            index * 16,
            spaced(left),
            spaced(right)
        ));
    }
    let left_out = bytes.len().saturating_sub(lines.saturating_mul(16));
    if left_out > 0 {
        out.push_str(&format!("  … {} more; --full shows all\n", count(left_out)));
    }
}

fn printable(byte: u8) -> char {
    match byte {
        b' '..=b'~' => byte.into(),
        _ => '.',
    }
}

fn spaced(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// All bytes in one line.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len() * 2 + 1);
    for byte in bytes {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

/// A number of bytes, in words.
pub(super) fn count(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        n => format!("{n} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(bytes: &[u8], extent: Dump) -> String {
        let mut out = String::new();
        dump(bytes, extent, &mut out);
        out
    }

    #[test]
    fn bytes_are_dumped_with_offset_and_ascii() {
        let bytes: Vec<u8> = (b'A'..=b'R').chain([0, 0x1b]).collect();
        let expected = [
            "  00000000  41 42 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |ABCDEFGHIJKLMNOP|",
            "  00000010  51 52 00 1b                                       |QR..|",
            "",
        ];
        assert_eq!(dumped(&bytes, Dump::Beginning), expected.join("\n"));
        assert_eq!(dumped(&[], Dump::Beginning), "");
    }

    #[test]
    fn a_long_dump_is_cut_and_says_so() {
        let long = vec![0; 16 * DUMP_LINES + 1];
        let text = dumped(&long, Dump::Beginning);
        assert_eq!(text.lines().count(), DUMP_LINES + 1);
        assert!(
            text.ends_with("  … 1 byte more; --full shows all\n"),
            "{text}"
        );
        let text = dumped(&long, Dump::Full);
        assert_eq!(text.lines().count(), DUMP_LINES + 1);
        assert!(text.ends_with("  |.|\n"), "{text}");
        let fits = dumped(&vec![0; 16 * DUMP_LINES], Dump::Beginning);
        assert_eq!(fits.lines().count(), DUMP_LINES);
    }
}
