//! What is written is read again, and bad input is an error and no loss.

mod common;

use std::hash::RandomState;

use common::{Hazard, sized};
use serde_test::{Configure, Token, assert_de_tokens_error, assert_tokens};
use sexton::{HashMap, HashSet, Queue, RcuCell, Stack};

type OnHazards = HashMap<u32, String, RandomState, Hazard>;

#[test]
fn a_map_is_written_and_read() {
    let map: OnHazards = (0..sized(1000, 20) as u32).map(|key| (key, key.to_string())).collect();
    let json = serde_json::to_string(&map).unwrap();
    let back: OnHazards = serde_json::from_str(&json).unwrap();
    assert_eq!(back, map);
    let std: std::collections::HashMap<u32, String> = serde_json::from_str(&json).unwrap();
    assert_eq!(std.len(), map.len());
}

#[test]
fn a_set_is_written_and_read() {
    let set: HashSet<u32> = (0..sized(1000, 20) as u32).collect();
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<HashSet<u32>>(&json).unwrap(), set);
}

/// Formats that do not describe themselves need it.
#[test]
fn the_number_of_entries_is_written_where_a_format_needs_it() {
    let map = OnHazards::from([(1, "one".into())]);
    let entry = [Token::U32(1), Token::Str("one"), Token::MapEnd];
    let tokens = |len| [&[Token::Map { len }], &entry[..]].concat();
    assert_tokens(&map.clone().compact(), &tokens(Some(1)));
    assert_tokens(&map.readable(), &tokens(None));

    let set = HashSet::<u32>::from([1]);
    let tokens = |len| [Token::Seq { len }, Token::U32(1), Token::SeqEnd];
    assert_tokens(&set.clone().compact(), &tokens(Some(1)));
    assert_tokens(&set.readable(), &tokens(None));
}

#[test]
fn a_cell_is_written_as_its_value() {
    let cell = RcuCell::<_>::new(vec![1, 2]);
    let json = serde_json::to_string(&cell).unwrap();
    assert_eq!(json, "[1,2]");
    assert_eq!(serde_json::from_str::<RcuCell<Vec<i32>>>(&json).unwrap().load(), [1, 2]);
}

#[test]
fn a_stack_and_a_queue_are_read_in_order() {
    let stack: Stack<u8> = serde_json::from_str("[1,2,3]").unwrap();
    assert_eq!(stack.into_iter().collect::<Vec<_>>(), [3, 2, 1]);
    let queue: Queue<u8, Hazard> = serde_json::from_str("[1,2,3]").unwrap();
    assert_eq!(queue.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let map: HashMap<String, u8> = serde_json::from_str(r#"{"a":1,"a":2}"#).unwrap();
    assert_eq!((map.len(), map.get("a")), (1, Some(2)));
}

/// An input that promises more than there is memory for.
#[test]
fn a_length_that_lies_makes_no_room() {
    let tokens = [Token::Map { len: Some(usize::MAX) }, Token::U8(1), Token::Bool(true)];
    let error = "invalid type: boolean `true`, expected u8";
    assert_de_tokens_error::<HashMap<u8, u8>>(&tokens, error);
}

#[test]
fn input_of_another_kind_is_an_error() {
    assert!(serde_json::from_str::<HashMap<u8, u8>>("[1]").is_err());
    assert!(serde_json::from_str::<HashSet<u8>>("{}").is_err());
    assert!(serde_json::from_str::<HashSet<u8>>("[1,256]").is_err());
    assert!(serde_json::from_str::<Queue<u8>>("[1,").is_err());
}
