//! Each program in `cases/` compiles and runs without the lines that are marked `WRONG`, and fails to
//! compile with them, for the reason that its first line says:
//!
//! ```text
//! // E0277: cannot be sent between threads safely
//! ```
//!
//! That is an error's code, and a part of its message. All errors that the compiler reports must have
//! this code. Nothing else of what it prints is compared, so that the test holds for all versions of
//! the compiler.

use std::path::{Path, PathBuf};
use std::{env, fs};

struct Case {
    code: String,
    message: String,
    /// The program, where trybuild writes what the compiler says beside it.
    wrong: PathBuf,
    /// The same without the wrong lines.
    right: PathBuf,
}

impl Case {
    fn prepare(source: &Path, directory: &Path) -> Self {
        let text = fs::read_to_string(source).expect("a case can be read");
        let name = source.file_stem().expect("a case has a name").to_string_lossy();
        let first = text.lines().next().and_then(|line| line.strip_prefix("// "));
        let (code, message) = first
            .and_then(|reason| reason.split_once(": "))
            .unwrap_or_else(|| panic!("{name} does not begin with the reason why it is wrong"));
        let right: Vec<_> = text.lines().filter(|line| !line.ends_with("// WRONG")).collect();
        assert!(right.len() < text.lines().count(), "nothing in {name} is marked WRONG");
        let case = Self {
            code: format!("error[{code}]"),
            message: message.to_owned(),
            wrong: directory.join(format!("{name}.rs")),
            right: directory.join(format!("{name}_right.rs")),
        };
        fs::write(&case.wrong, &text).expect("the directory is ours");
        fs::write(&case.right, right.join("\n")).expect("the directory is ours");
        case
    }

    /// What is not as it should be in what the compiler has said.
    fn fault(&self) -> Option<String> {
        let said = fs::read_to_string(self.wrong.with_extension("stderr"));
        let said = said.expect("trybuild has written what the compiler says");
        let errors = said.lines().filter(|line| line.starts_with("error["));
        let others: Vec<_> = errors.clone().filter(|line| !line.starts_with(&self.code)).collect();
        if errors.count() == 0 || !others.is_empty() || !said.contains(&self.message) {
            let (code, message) = (&self.code, &self.message);
            return Some(format!("{}: not {code} and {message}:\n{said}", self.wrong.display()));
        }
        None
    }
}

fn main() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases");
    // What the compiler said the last time must not be there.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the directory is ours");
    // SAFETY: there is no other thread. It tells trybuild to write down what the compiler says, not to
    // compare it.
    unsafe { env::set_var("TRYBUILD", "overwrite") };

    let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"));
    let sources = sources.expect("there are cases").map(|entry| entry.expect("it is there").path());
    let cases: Vec<_> = sources.map(|source| Case::prepare(&source, &directory)).collect();
    assert!(cases.len() >= 12, "cases are missing");
    {
        // It runs them when it is dropped.
        let compiler = trybuild::TestCases::new();
        for case in &cases {
            compiler.pass(&case.right);
            compiler.compile_fail(&case.wrong);
        }
    }
    let faults: Vec<_> = cases.iter().filter_map(Case::fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    println!("{} cases fail to compile, each for its reason", cases.len());
}
