//! The protocol keeps its promises, in each of these configurations.

mod configurations;
use sexton_protocol_models::Protocol;
use stateright::{Checker, Expectation, Model};

fn holds(protocol: Protocol) {
    let begun = std::time::Instant::now();
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    println!("{} states, {:?}", checker.unique_state_count(), begun.elapsed());
    for property in checker.model().properties() {
        match property.expectation {
            Expectation::Sometimes => println!("{}: {}", property.name, checker.discovery(property.name).is_some()),
            _ => if let Some(path) = checker.discovery(property.name) { 
                println!("{:?}", path.last_state());
                panic!("{} {:?}", property.name, path.into_actions());
 },
        }
    }
}

#[test]
fn all() {
    let which = std::env::var("W").unwrap_or_default();
    for (name, protocol) in configurations::all() {
        if !name.contains(&which) { continue; }
        for (adopts, one_tag) in [(true, true)] {
            println!("-- {name} adopts {adopts} one_tag {one_tag}");
            holds(Protocol { adopts, one_tag, ..protocol.clone() });
        }
    }
}
