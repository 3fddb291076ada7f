//! Records of an extended header: `LENGTH KEY=VALUE\n` (POSIX.1-2001, pax).

use std::collections::BTreeMap;

use super::fault::TarFault;

const XATTR: &str = "SCHILY.xattr.";

/// The records; of a repeated key, the last.
#[derive(Debug, Default)]
pub struct Pax {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Offset and length, one after the other, of sparse version 0.0: the only keys that repeat.
    pub sparse: Vec<Vec<u8>>,
}

impl Pax {
    /// Adds those of this header; what is wrong with it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), TarFault> {
        const BAD: TarFault = TarFault::NotPax;
        let mut left = bytes;
        while !left.is_empty() {
            let space = left
                .iter()
                .take(20)
                .position(|&byte| byte == b' ')
                .ok_or(BAD)?;
            let digits = std::str::from_utf8(&left[..space]).map_err(|_| BAD)?;
            let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
            let length = digits.parse::<usize>().ok().filter(|_| is_number);
            let length = length
                .filter(|&it| it > space + 1 && it <= left.len())
                .ok_or(BAD)?;
            let (record, rest) = left.split_at(length);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or(BAD)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or(BAD)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.push(value.to_vec()),
                _ => {
                    self.records.insert(key.to_vec(), value.to_vec());
                }
            }
            left = rest;
        }
        Ok(())
    }

    /// The value; an empty one is none.
    pub fn take(&mut self, key: &str) -> Option<Vec<u8>> {
        let value = self.records.remove(key.as_bytes())?;
        (!value.is_empty()).then_some(value)
    }

    /// A value in decimal digits.
    pub fn number(&mut self, key: &str) -> Result<Option<u64>, TarFault> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match decimal(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(TarFault::PaxNumber(key.to_string())),
        }
    }

    /// Seconds with a fraction, rounded down to nanoseconds.
    pub fn time(&mut self, key: &str) -> Result<Option<(i64, u32)>, TarFault> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match time(&value) {
            Some(time) => Ok(Some(time)),
            None => Err(TarFault::PaxTime(key.to_string())),
        }
    }

    /// Extended attributes.
    pub fn take_xattrs(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = std::mem::take(&mut self.records);
        let is_xattr = |key: &Vec<u8>| key.starts_with(XATTR.as_bytes());
        let (xattrs, rest) = all.into_iter().partition(|(key, _)| is_xattr(key));
        self.records = rest;
        let xattrs: BTreeMap<Vec<u8>, Vec<u8>> = xattrs;
        xattrs
            .into_iter()
            .map(|(key, value)| (key[XATTR.len()..].to_vec(), value))
            .collect()
    }
}

pub fn decimal(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_number)?;
    text.parse().ok()
}

fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i64::try_from(decimal(whole.as_bytes())?).ok()?;
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(match (is_negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_anything() {
        let mut pax = Pax::default();
        pax.read(b"12 path=a\nb\n22 SCHILY.xattr.u=\n=\0\n12 path=c\nd\n7 uid=\n")
            .unwrap();
        assert_eq!(pax.take_xattrs(), [(b"u".to_vec(), b"\n=\0".to_vec())]);
        assert_eq!(pax.take("path").unwrap(), b"c\nd");
        assert!(matches!(pax.number("uid"), Ok(None)));
    }

    #[test]
    fn broken_records_are_errors() {
        for bad in [
            "1", "x", "6 a=b", "7 a=b\n", "5 a=b\n", "-6 a=b\n", "+6 a=b\n", "4 a\n", "99 a=b\n",
            "0 a=b\n",
        ] {
            assert!(Pax::default().read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Pax::default().read(b"6 a=b\n").is_ok());
    }

    #[test]
    fn times_before_1970_count_downwards() {
        for (text, told) in [
            ("1.5", Some((1, 500_000_000))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-3", Some((-3, 0))),
            ("1.0000000019", Some((1, 1))),
            ("", None),
            ("1.x", None),
            ("1e3", None),
        ] {
            assert_eq!(time(text.as_bytes()), told, "{text}");
        }
    }
}
