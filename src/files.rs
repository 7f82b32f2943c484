//! Reading files that an operator names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A whole file of at most `max` bytes; otherwise what is wrong, for a message that names the file.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // One more than is wanted: neither a file that grows nor one without a length, such as a pipe, is read further.
    let read = File::open(path).and_then(|file| file.take(max.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > max => Err(format!("it is longer than {max} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}
