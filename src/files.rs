//! Reading files that an operator names.

use std::path::Path;

/// A whole file of at most `max` bytes; otherwise what is wrong, for a message that names the file.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > max {
        return Err(format!("it is longer than {max} bytes"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
