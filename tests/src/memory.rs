//! What a process holds, read from outside (proc(5)), and the search for what it must not hold.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};

use data_encoding::{BASE32, BASE64, HEXLOWER, HEXUPPER};

/// What a process can write and read of its own.
///
/// # Errors
/// The kernel's, where it does not let us look.
pub fn memory(pid: u32) -> io::Result<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut bytes = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (range, _) = line.split_once(' ').expect("a range");
        let (from, to) = range.split_once('-').expect("a range");
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).expect("an address"));
        let before = bytes.len();
        bytes.resize(before + usize::try_from(to - from).expect("it is mapped"), 0);
        memory.seek(SeekFrom::Start(from))?;
        // Regions of devices cannot be read; a region may go while it is being read.
        if memory.read_exact(&mut bytes[before..]).is_err() {
            bytes.truncate(before);
        }
    }
    Ok(bytes)
}

/// So many bytes of a secret in a row are its, by no chance.
const RUN: usize = 8;

/// How many places hold `run` bytes of a needle in a row.
fn runs_of(needles: &[Vec<u8>], hay: &[u8], run: usize) -> usize {
    let begin = |run: &[u8]| usize::from(u16::from_be_bytes([run[0], run[1]]));
    let mut runs: Vec<&[u8]> = needles.iter().flat_map(|needle| needle.windows(run)).collect();
    runs.sort_unstable();
    let mut begins = vec![false; 1 << 16];
    runs.iter().for_each(|run| begins[begin(run)] = true);
    hay.windows(run).filter(|window| begins[begin(window)] && runs.binary_search(window).is_ok()).count()
}

/// How many places hold eight bytes in a row of one of the secrets: as they are, or as hex, Base32 or Base64.
pub fn traces_of(secrets: &[&[u8]], hay: &[u8]) -> usize {
    let plain: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.to_vec()).collect();
    let spelt = |secret: &&[u8]| {
        [HEXLOWER.encode(secret), HEXUPPER.encode(secret), BASE32.encode(secret), BASE64.encode(secret)]
            .map(String::into_bytes)
    };
    let texts: Vec<Vec<u8>> = secrets.iter().flat_map(spelt).collect();
    // Twice as many characters: a text has fewer of them that could stand there by chance.
    runs_of(&plain, hay, RUN) + runs_of(&texts, hay, 2 * RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_in_a_row_are_found_and_seven_are_not() {
        let secret: Vec<u8> = (1..=32).collect();
        let hay = |from: usize, len: usize| [&[0; 9], &secret[from..from + len], &[0; 9]].concat();
        assert_eq!(traces_of(&[&secret], &hay(5, 8)), 1);
        assert_eq!(traces_of(&[&secret], &hay(0, 32)), 25);
        assert_eq!(traces_of(&[&secret], &hay(5, 7)), 0);
        assert!(traces_of(&[&secret], HEXLOWER.encode(&secret).as_bytes()) > 0);
        assert!(traces_of(&[&secret], BASE32.encode(&secret).as_bytes()) > 0);
    }
}
