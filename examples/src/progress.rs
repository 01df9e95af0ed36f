//! Progress bars on standard error; nothing where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts to `len` (0: not known yet).
pub fn bar(what: &'static str, len: u64) -> ProgressBar {
    styled(what, len, "{msg:26} {wide_bar} {human_pos}/{human_len} {eta:>3}")
}

/// A bar for the bytes of a file that is read.
pub fn bytes(what: &'static str, len: u64) -> ProgressBar {
    styled(what, len, "{msg:26} {wide_bar} {bytes}/{total_bytes} {eta:>3}")
}

/// A bar for a time that passes, in milliseconds.
pub fn time(what: &'static str, time: Duration) -> ProgressBar {
    styled(what, time.as_millis() as u64, "{msg:26} {wide_bar} {eta:>3}")
}

fn styled(what: &'static str, len: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("a template of ours");
    ProgressBar::new(len).with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for bar in [bar("rows", 3), bytes("bytes", 3), time("time", Duration::from_millis(3))] {
            bar.inc(3);
            assert_eq!((bar.length(), bar.position()), (Some(3), 3));
            bar.finish_and_clear();
        }
    }
}
