mod configurations;
use sexton_protocol_models::{LeftOut, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

#[test]
fn survey() {
    use LeftOut::*;
    for step in [TombFrozen, EntryFrozen, GhostFrozen, LoserTakesAway, TakenAwayWhileProtected, OneMigrationAtATime, EmptyFrozen] {
        for (name, protocol) in configurations::all() {
            let protocol = Protocol { left_out: Some(step), ..protocol };
            let checker = protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
            let found: Vec<_> = checker.model().properties().into_iter().filter(|p| p.expectation.discovery_is_failure()).filter_map(|p| checker.discovery(p.name).map(|d| (p.name, d.last_state().fault, d.into_actions().len()))).collect();
            println!("{step:?} / {name}: {found:?}  {} states", checker.unique_state_count());
        }
    }
}
