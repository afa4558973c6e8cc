//! The hash against values computed by a PostgreSQL 15 server.

use dbhaul_rows::hash_bytes_extended;

/// Lines of `characters seed hash`; the hashed text is that many characters of `TEXT`.
/// Made by `SELECT n, s, hashtextextended(substr(TEXT, 1, n) COLLATE "C", s)` in a UTF8 database.
const VECTORS: &str = include_str!("hash_vectors.txt");
const TEXT: &str = "The quick brown fox jumps over the lazy dog. Zwölf Boxkämpfer; ";

#[test]
fn agrees_with_the_server_for_every_length_and_seed() {
    let mut checked = 0;
    for line in VECTORS.lines() {
        let numbers: Vec<i64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let [characters, seed, expected] = numbers[..] else { panic!("{line}") };
        let text: String = TEXT.chars().take(characters as usize).collect();
        assert_eq!(hash_bytes_extended(text.as_bytes(), seed as u64) as i64, expected, "{line}");
        checked += 1;
    }
    assert_eq!(checked, (41 + 16) * 5);
}
