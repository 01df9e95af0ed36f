//! An error as a person wants to read it: one line that says what, where and why.

use std::fmt;
use std::path::Path;

/// Something the user gave us is no good, or the machine let us down.
///
/// Displays as `what: where: why`, always on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: &'static str,
    place: String,
    why: String,
}

impl Error {
    /// `what` was at fault at `place`, because of `why`.
    pub fn new(what: &'static str, place: impl fmt::Display, why: impl fmt::Display) -> Self {
        Error { what, place: place.to_string(), why: why.to_string() }
    }

    /// `what` was at fault in a file, because of `why`.
    pub fn in_file(what: &'static str, file: &Path, why: impl fmt::Display) -> Self {
        Error::new(what, file.display(), why)
    }

    /// `what` was at fault on a line (counted from 1) of a file, because of `why`.
    pub fn at_line(what: &'static str, file: &Path, line: u64, why: impl fmt::Display) -> Self {
        Error::new(what, format_args!("{}:{line}", file.display()), why)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {}: {}", self.what, self.place, self.why);
        // A file's name, and the message of a library, may hold line breaks.
        for (i, part) in line.split(['\n', '\r']).map(str::trim).enumerate() {
            f.write_str(if i > 0 && !part.is_empty() { " " } else { "" })?;
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_place() {
        let error = Error::at_line("trace", Path::new("a\nb.csv"), 7, "five fields\n\n  wanted");
        assert_eq!(error.to_string(), "trace: a b.csv:7: five fields wanted");
    }
}
