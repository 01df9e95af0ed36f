//! What goes wrong when a step is left out: the shortest counterexample of a configuration.

mod configurations;

use sexton_protocol_models::{ENDS_ALONE, Fault, LeftOut, Protocol};
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
    let protocol = configurations::remove_and_insert();
    goes_wrong(LeftOut::EmptyFrozen, protocol, Fault::WrongAnswer(0));
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
fn without_a_commit_what_was_removed_is_still_in_the_old_table() {
    goes_wrong(LeftOut::Commit, configurations::remove_and_insert(), Fault::Changed(0));
}

#[test]
fn a_writer_that_does_not_migrate_its_path_misses_its_key() {
    goes_wrong(LeftOut::WriterMigratesPath, configurations::replace(), Fault::WrongAnswer(0));
}

#[test]
fn a_writer_that_leaves_the_empty_lets_others_insert_in_the_old_table() {
    let protocol = configurations::two_writers();
    goes_wrong(LeftOut::WriterMigratesEmpty, protocol, Fault::WrongAnswer(0));
}

#[test]
fn a_reader_that_stops_after_a_moved_misses_its_key() {
    goes_wrong(LeftOut::ReaderFollowsMoved, configurations::replace(), Fault::WrongAnswer(0));
}

#[test]
fn a_reader_that_stops_at_a_frozen_empty_misses_its_key() {
    let protocol = configurations::remove_and_insert();
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

/// What is still to come finds no EMPTY in a table that is frozen itself.
#[test]
fn two_migrations_at_a_time_stop_each_other() {
    let failure = first_failure(LeftOut::OneMigrationAtATime, configurations::chained());
    assert_eq!(failure, Some((ENDS_ALONE, None)));
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
