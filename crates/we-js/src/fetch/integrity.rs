//! Subresource integrity: <https://w3c.github.io/webappsec-subresource-integrity/>

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

/// A hash that the bytes may have.
pub(super) struct Hash {
    algorithm: &'static Algorithm,
    value: Vec<u8>,
}

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// [Parses metadata](https://w3c.github.io/webappsec-subresource-integrity/#parse-metadata) and
/// [gets the strongest](https://w3c.github.io/webappsec-subresource-integrity/#get-the-strongest-metadata) of it. None
/// means that anything will do.
pub(super) fn parse(metadata: &str) -> Vec<Hash> {
    let mut hashes: Vec<Hash> = metadata
        .split_ascii_whitespace()
        .filter_map(|item| {
            let item = item.split('?').next().unwrap_or(item);
            let (name, value) = item.split_once('-').unwrap_or((item, ""));
            let algorithm = match name.to_ascii_lowercase().as_str() {
                "sha256" => &SHA256,
                "sha384" => &SHA384,
                "sha512" => &SHA512,
                _ => return None,
            };
            // A value that is no base64 is none that any bytes have. Both alphabets are used.
            let value = value.replace('-', "+").replace('_', "/");
            let value = BASE64.decode(value).unwrap_or_default();
            Some(Hash { algorithm, value })
        })
        .collect();
    let length = |hash: &Hash| hash.algorithm.output_len();
    let strongest = hashes.iter().map(length).max();
    hashes.retain(|hash| Some(length(hash)) == strongest);
    hashes
}

/// Whether the bytes have one of the hashes.
pub(super) fn matches(bytes: &[u8], hashes: &[Hash]) -> bool {
    hashes
        .iter()
        .any(|hash| digest(hash.algorithm, bytes).as_ref() == hash.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_hash_counts() {
        let of_empty = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(matches(b"", &parse(of_empty)));
        assert!(matches(b"", &parse(&format!("sha256-x {of_empty}?option"))));
        let unpadded = "sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        assert!(matches(b"", &parse(unpadded)));
        assert!(!matches(b"x", &parse(of_empty)));
        assert!(!matches(b"", &parse(&format!("{of_empty} SHA512-eA=="))));
        assert!(parse("md5-x unknown").is_empty());
    }
}
