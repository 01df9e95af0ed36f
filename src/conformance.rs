//! The suite that any reclamation scheme must pass.
//!
//! Implement [`Scheme`], call one macro, and know:
//!
//! ```
//! use sexton::{Domain, Epoch};
//!
//! // An owned domain: each test makes one of its own.
//! sexton::conformance!(epoch_owned, Domain::<Epoch>::new);
//! // The process-wide one, which all tests share.
//! sexton::conformance!(epoch_global, || Epoch);
//! # fn main() {}
//! ```
//!
//! [`conformance!`](crate::conformance!) makes a module of that name, with one `#[test]` for each
//! promise. A promise is a public function of this module, so that a scheme's author can run one of
//! them alone, in a loop, or in a debugger:
//!
//! ```
//! use sexton::conformance::{self, Subject};
//! use sexton::{Domain, Epoch};
//!
//! conformance::tags_are_kept(&Subject::new(Domain::<Epoch>::new));
//! ```
//!
//! # How it knows
//!
//! Values are [`Tracked`]: each is entered in a [`Ledger`] at its birth and its death, and carries
//! a word that its `Drop` overwrites. A promise asks the ledger *first* and reads the value *then*:
//! so a scheme that frees too early is told so by a panic, where that is possible, and not by a
//! crash. The word is plain memory, written in `Drop` and read by readers, so that Miri and
//! ThreadSanitizer see a missing ordering as a data race even when all went well.
//!
//! # How to run it
//!
//! As it is; with `--release`; under Miri with many seeds, where all sizes are smaller; and with
//! the address and thread sanitizers. It does not replace a model checker: an interleaving that is
//! rare on the machine is rare here too.
//!
//! # What it cannot ask
//!
//! That `retire` loses nothing when memory is short, that a header arrives at `retire` as it was
//! made (the scheme alone can see that: assert it there), and that what is promised holds under
//! every interleaving.

mod bounds;
mod ledger;
mod protection;
mod reclamation;
mod subject;
mod threads;
mod tools;
mod user_code;

pub use bounds::*;
pub use ledger::{Ledger, Tracked};
pub use protection::*;
pub use reclamation::*;
pub use subject::Subject;
pub use threads::*;
pub use user_code::*;

#[cfg(doc)]
use crate::Scheme;

/// Makes a module with one `#[test]` for each promise of the [suite](mod@crate::conformance).
///
/// The first argument is the module's name. The second makes a handle to a domain: a fresh owned
/// [`Domain`](crate::Domain) at each call, or always the process-wide one. What else is said of the
/// scheme follows as calls of [`Subject`]'s methods. Attributes before the name are those of each test.
///
/// ```
/// use sexton::{Domain, Epoch, Leak};
///
/// sexton::conformance!(epoch, || Epoch);
/// sexton::conformance!(epoch_owned, Domain::<Epoch>::new);
/// sexton::conformance!(
///     #[cfg_attr(miri, ignore = "it frees nothing that Miri could look at")]
///     leak_owned,
///     Domain::<Leak>::new,
///     frees_with_its_domain(),
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    (
        $(#[$attribute:meta])*
        $name:ident, $make:expr $(, $setting:ident($($value:expr),*))* $(,)?
    ) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::conformance!(
                @tests { $crate::conformance::Subject::new($make)$(.$setting($($value),*))* }
                [$(#[$attribute])*]

                what_a_shield_covers_is_not_freed
                what_a_guard_protects_is_not_freed_before_it_ends
                what_a_ref_refers_to_is_not_freed
                guards_nest_and_end_in_any_order
                many_shields_in_one_guard_cover_one_object_each
                swapped_shields_take_their_protection_along
                protecting_anew_covers_the_new_object
                a_null_source_protects_nothing
                tags_are_kept
                a_failed_announcement_covers_nothing
                a_valid_announcement_protects
                a_guard_of_another_domain_is_refused

                each_value_is_dropped_exactly_once
                everything_is_freed_in_the_end
                one_collect_empties_a_quiet_domain
                the_last_handle_frees_everything
                a_domain_does_not_wait_for_another
                values_of_any_size_and_alignment
                stats_add_up
                a_long_guard_puts_off_but_does_not_lose

                a_cleared_shield_keeps_nothing
                pending_is_bounded_while_a_thread_sleeps
                pending_is_bounded_in_one_long_guard
                a_collect_ends_though_more_is_retired

                retiring_runs_no_user_code
                a_drop_may_pin_retire_and_collect
                drops_do_not_nest_without_end
                a_drop_may_use_the_guard_it_is_reclaimed_in
                a_domain_may_go_in_a_drop
                a_panic_in_a_drop_stops_nothing
                a_forgotten_guard_keeps_memory_at_worst
                a_forgotten_shield_keeps_memory_at_worst

                readers_and_writers_agree_on_who_lives
                another_thread_may_retire
                an_exiting_thread_leaves_its_garbage_to_others
                a_thread_local_destructor_may_pin
                many_short_threads_leave_nothing_behind
                a_stack_loses_and_doubles_nothing
            );
        }
    };
    (@tests $subject:tt $attributes:tt $($promise:ident)*) => {
        $($crate::conformance!(@test $subject $attributes $promise);)*
    };
    (@test $subject:tt [$($attribute:tt)*] $promise:ident) => {
        #[test]
        $($attribute)*
        fn $promise() {
            $crate::conformance::$promise(&$subject);
        }
    };
}
