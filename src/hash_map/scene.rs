//! Scenes for models: what an operation does too deep inside to be met, in a table of four slots, by
//! the few operations that a model can have.

use super::HashMap;
use super::table::Admission;
use crate::domain::Reclaimer;

#[doc(hidden)]
impl<K, V, S, R: Reclaimer> HashMap<K, V, S, R> {
    /// Has a key admitted to the root table, which takes its slot later; says whether it was.
    pub fn admit_one(&self) -> bool {
        let guard = self.reclaimer.pin();
        let root = self.tables.root(&guard).expect("there is a table");
        matches!(root.admit(false), Admission::Granted { .. })
    }

    /// Proposes a table of the same size; says whether it was accepted.
    pub fn propose_the_same_size(&self) -> bool {
        let guard = self.reclaimer.pin();
        let root = self.tables.root(&guard).expect("there is a table");
        self.tables.start(&guard, Some(&root), root.len()).expect("there is memory");
        self.tables.next(&guard, &root).is_some()
    }
}
