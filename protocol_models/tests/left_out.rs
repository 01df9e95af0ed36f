//! What goes wrong when a step is left out: the shortest counterexample of a configuration.

mod configurations;

use sexton_protocol_models::{Fault, LeftOut, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores until a property fails; says which, and with what.
fn first_failure(step: LeftOut, protocol: Protocol) -> Option<(&'static str, Option<Fault>)> {
    let protocol = Protocol { left_out: Some(step), ..protocol };
    // One thread, breadth first: always the same counterexample.
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{step:?}: {} states", checker.unique_state_count());
    let properties = checker.model().properties();
    let failures = properties.iter().filter(|it| it.expectation.discovery_is_failure());
    let name = failures.map(|it| it.name).find(|name| checker.discovery(name).is_some())?;
    let path = checker.discovery(name)?;
    Some((name, path.last_state().fault))
}

/// Without the step, this fault is found.
fn goes_wrong(step: LeftOut, protocol: Protocol, fault: Fault) {
    let failure = first_failure(step, protocol);
    assert_eq!(failure.and_then(|(_, fault)| fault), Some(fault), "found {failure:?}");
}

#[test]
fn an_empty_that_is_not_frozen_is_taken_behind_the_movers_back() {
    let protocol = configurations::first_comes();
    goes_wrong(LeftOut::EmptyFrozen, protocol, Fault::WrongAnswer(0));
}

#[test]
fn a_tombstone_that_is_not_frozen_takes_its_key_in_behind_the_movers_back() {
    goes_wrong(LeftOut::TombFrozen, configurations::two_writers(), Fault::WrongAnswer(0));
    let protocol = configurations::comes_and_goes_and_moves();
    goes_wrong(LeftOut::TombFrozen, protocol, Fault::WrongAnswer(0));
}

/// The other key is behind the frozen slot, not moved yet.
#[test]
fn a_frozen_entry_that_loses_more_hides_the_keys_behind_it() {
    let protocol = configurations::one_mark_moves();
    goes_wrong(LeftOut::FrozenKeepsMore, protocol, Fault::WrongAnswer(1));
}

#[test]
fn an_entry_that_is_not_frozen_is_replaced_when_it_is_copied() {
    goes_wrong(LeftOut::EntryFrozen, configurations::replace(), Fault::Twice(0));
    goes_wrong(LeftOut::EntryFrozen, configurations::remove_and_insert(), Fault::Changed(0));
}

#[test]
fn a_mover_that_does_not_validate_follows_the_dead() {
    goes_wrong(LeftOut::MoverValidates, configurations::replace(), Fault::DeadEntry(1));
}

#[test]
fn a_mover_that_does_not_recognise_the_copy_makes_another() {
    goes_wrong(LeftOut::MoverFindsCopy, configurations::replace(), Fault::Twice(1));
}

/// The copy was made, the old word is MOVED, and a writer has taken the copy out: it comes back.
#[test]
fn a_mover_that_does_not_look_again_revives_what_was_removed() {
    goes_wrong(LeftOut::MoverLooksAgain, configurations::remove_and_insert(), Fault::Changed(0));
    goes_wrong(LeftOut::MoverLooksAgain, configurations::replace(), Fault::Twice(0));
}

#[test]
fn a_mover_that_gives_no_more_hides_the_copy_behind() {
    let protocol = configurations::one_mark_moves();
    goes_wrong(LeftOut::MoverGivesMore, protocol, Fault::WrongAnswer(1));
}

#[test]
fn a_mover_that_does_not_validate_what_it_passes_follows_the_dead() {
    goes_wrong(LeftOut::PassValidates, configurations::one_mark_moves(), Fault::DeadEntry(1));
}

#[test]
fn without_a_commit_what_was_removed_is_still_in_the_old_table() {
    goes_wrong(LeftOut::Commit, configurations::remove_and_insert(), Fault::Changed(0));
}

#[test]
fn a_writer_that_gives_no_more_hides_the_key_behind() {
    goes_wrong(LeftOut::GivesMore, configurations::one_mark(), Fault::WrongAnswer(1));
    goes_wrong(LeftOut::GivesMore, configurations::three_of_one_mark(), Fault::WrongAnswer(2));
}

#[test]
fn without_its_more_a_slot_hides_the_keys_behind() {
    goes_wrong(LeftOut::MoreStays, configurations::one_mark(), Fault::WrongAnswer(1));
    goes_wrong(LeftOut::MoreStays, configurations::three_of_one_mark(), Fault::WrongAnswer(2));
}

/// The key was in a slot before the tombstone, and is in the next table. (It takes two keys of one
/// mark: else the tombstone's slot is the key's only one.)
#[test]
fn a_writer_that_puts_into_a_tombstone_behind_a_moved_slot_misses_its_key() {
    let protocol = configurations::one_mark_returns();
    goes_wrong(LeftOut::TombNeedsNoFrozen, protocol, Fault::WrongAnswer(0));
}

#[test]
fn a_writer_that_does_not_migrate_its_path_misses_its_key() {
    goes_wrong(LeftOut::WriterMigratesPath, configurations::replace(), Fault::WrongAnswer(0));
}

#[test]
fn a_writer_that_leaves_the_empty_lets_others_insert_in_the_old_table() {
    let protocol = configurations::first_comes();
    goes_wrong(LeftOut::WriterMigratesEmpty, protocol, Fault::WrongAnswer(0));
}

#[test]
fn a_reader_that_stops_after_a_moved_misses_its_key() {
    goes_wrong(LeftOut::ReaderFollowsMoved, configurations::replace(), Fault::WrongAnswer(0));
}

#[test]
fn a_reader_that_stops_at_a_frozen_empty_misses_its_key() {
    let protocol = configurations::first_comes();
    goes_wrong(LeftOut::FrozenEmptyLeadsOn, protocol, Fault::WrongAnswer(0));
}

#[test]
fn a_lookup_that_does_not_validate_follows_the_dead() {
    goes_wrong(LeftOut::LookupValidates, configurations::replace(), Fault::DeadEntry(1));
}

/// It takes two migrations: the next table is dead when the root has gone past it.
#[test]
fn who_does_not_look_at_the_root_enters_a_dead_table() {
    goes_wrong(LeftOut::NextTableValidated, configurations::chained(), Fault::DeadTable(1));
}

#[test]
fn a_root_that_is_swung_too_early_leaves_keys_behind() {
    goes_wrong(LeftOut::RootWaitsForAll, configurations::replace(), Fault::WrongAnswer(0));
}

/// A mover takes a frozen slot in the next table for a sign that all of this one was moved.
#[test]
fn two_migrations_at_a_time_lose_what_is_not_moved_yet() {
    goes_wrong(LeftOut::OneMigrationAtATime, configurations::chained(), Fault::Changed(0));
}

/// As long as the old word is not MOVED the entry is in the map, so it has to be protected only
/// while its hash is read; once it is MOVED, neither copying nor committing succeeds. That a mover
/// keeps his protection until then is for the reader of the code.
#[test]
fn nothing_goes_wrong_when_a_mover_protects_no_longer_than_it_takes_to_read_the_hash() {
    use configurations::{addresses_come_back, paths_merge, remove_and_insert};
    for protocol in [addresses_come_back(), paths_merge(), remove_and_insert()] {
        assert_eq!(first_failure(LeftOut::MoverStaysProtected, protocol), None);
    }
}

/// It comes to the frozen EMPTY at last, or finds that its entry was moved. That it ends before
/// saves it the way, and the question whether a frozen entry gets MORE.
#[test]
fn nothing_goes_wrong_when_a_mover_goes_on_behind_a_frozen_slot() {
    use configurations::{chained_remove_and_insert, one_mark_chained};
    for protocol in [one_mark_chained(), chained_remove_and_insert()] {
        assert_eq!(first_failure(LeftOut::MoverEndsAtFrozen, protocol), None);
    }
}
