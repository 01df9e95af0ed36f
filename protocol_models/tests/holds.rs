//! The protocol keeps its promises, in each of these configurations; and what is particular to each
//! does happen in it.
//!
//! What it takes stands at each: states, and seconds on one core of a machine of 2024 that had other
//! things to do.

mod configurations;

use std::time::Instant;

use sexton_protocol_models::Protocol;
use stateright::{Checker, Expectation, Model};

/// Explores all states.
fn holds(protocol: Protocol, happens: &[&'static str]) {
    let start = Instant::now();
    let checker = protocol.checker().spawn_bfs().join();
    let seconds = start.elapsed().as_secs_f32();
    println!("{} states, {seconds:.1} s", checker.unique_state_count());
    for property in checker.model().properties() {
        if property.expectation != Expectation::Sometimes {
            checker.assert_no_discovery(property.name);
        }
    }
    for name in ["all end"].iter().chain(happens) {
        checker.assert_any_discovery(name);
    }
}

const FINDS_COPY: &str = "a mover finds another's copy";
const IS_MOVED: &str = "a mover finds that it is moved, before he copies";
const PATH: &str = "a writer migrates its path";
const READER: &str = "a reader goes on in the next table";
const TOMB: &str = "a tombstone takes its key in again";
const MORE: &str = "a writer gives MORE";
const MOVER_MORE: &str = "a mover gives MORE";
const IN_VAIN: &str = "a mover gives MORE in vain";
const AGAIN: &str = "an address is used again";
const THIRD: &str = "the map is in the third table";

#[test]
fn replace() {
    // 350 thousand states, 2.8 s.
    holds(configurations::replace(), &[FINDS_COPY, IS_MOVED, PATH, READER]);
}

#[test]
fn replace_with_tags_that_differ() {
    // 190 thousand states, 1.3 s.
    let protocol = Protocol { one_tag: false, ..configurations::replace() };
    holds(protocol, &[FINDS_COPY, IS_MOVED, PATH, READER]);
}

#[test]
fn remove_and_insert() {
    // 120 thousand states, 0.7 s.
    holds(configurations::remove_and_insert(), &[FINDS_COPY, IS_MOVED, PATH, READER, AGAIN]);
}

#[test]
fn insert() {
    // 300 thousand states, 3.1 s.
    holds(configurations::insert(), &[FINDS_COPY, PATH, READER]);
}

#[test]
fn first_comes() {
    // 260 thousand states, 2.2 s.
    holds(configurations::first_comes(), &[TOMB, FINDS_COPY, IS_MOVED, PATH, READER, AGAIN]);
}

#[test]
fn two_writers() {
    // 240 thousand states, 1.8 s.
    holds(configurations::two_writers(), &[FINDS_COPY, IS_MOVED, PATH, READER, AGAIN]);
}

#[test]
fn two_keys() {
    // 180 thousand states, 1.6 s.
    holds(configurations::two_keys(), &[FINDS_COPY, PATH, READER, AGAIN]);
}

#[test]
fn addresses_come_back() {
    // 760 thousand states, 7.0 s.
    holds(configurations::addresses_come_back(), &[FINDS_COPY, IS_MOVED, PATH, READER, AGAIN]);
}

#[test]
fn paths_merge() {
    // 100 thousand states, 0.6 s.
    holds(configurations::paths_merge(), &[FINDS_COPY, IS_MOVED, PATH, READER, AGAIN]);
}

#[test]
fn chained() {
    // 380 thousand states, 4.1 s.
    holds(configurations::chained(), &[FINDS_COPY, IS_MOVED, PATH, READER, THIRD]);
}

#[test]
fn chained_remove_and_insert() {
    // 76 thousand states, 0.7 s.
    holds(configurations::chained_remove_and_insert(), &[FINDS_COPY, PATH, AGAIN, THIRD]);
}

#[test]
fn comes_and_goes() {
    // 65 thousand states, 0.3 s.
    holds(configurations::comes_and_goes(), &[TOMB, AGAIN]);
}

#[test]
fn comes_and_goes_and_moves() {
    // 170 thousand states, 1.4 s.
    holds(
        configurations::comes_and_goes_and_moves(),
        &[TOMB, FINDS_COPY, IS_MOVED, PATH, READER, AGAIN],
    );
}

#[test]
fn one_mark() {
    // 440 thousand states, 2.6 s.
    holds(configurations::one_mark(), &[TOMB, MORE, AGAIN]);
}

#[test]
fn three_of_one_mark() {
    // 530 thousand states, 3.6 s.
    holds(configurations::three_of_one_mark(), &[TOMB, MORE, AGAIN]);
}

#[test]
fn one_mark_moves() {
    // 390 thousand states, 3.4 s.
    holds(configurations::one_mark_moves(), &[MOVER_MORE, FINDS_COPY, PATH, READER]);
}

#[test]
fn one_mark_grows() {
    // 300 thousand states, 2.3 s.
    holds(configurations::one_mark_grows(), &[TOMB, MORE, MOVER_MORE, PATH, AGAIN]);
}

#[test]
fn one_mark_returns() {
    // 230 thousand states, 2.6 s.
    holds(configurations::one_mark_returns(), &[TOMB, MORE, MOVER_MORE, PATH, READER, AGAIN]);
}

#[test]
fn one_mark_sleeps() {
    // 360 thousand states, 3.2 s.
    holds(
        configurations::one_mark_sleeps(),
        &[TOMB, MORE, IN_VAIN, FINDS_COPY, IS_MOVED, AGAIN, THIRD],
    );
}

#[test]
fn one_mark_chained() {
    // 550 thousand states, 5.7 s.
    holds(configurations::one_mark_chained(), &[MORE, MOVER_MORE, FINDS_COPY, PATH, AGAIN, THIRD]);
}
