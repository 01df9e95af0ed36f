// E0597: `pinned` does not live long enough

use sexton::hash_map::Entry;
use sexton::{Hazard, HashMap, Ref};

fn main() {
    let map = HashMap::<_, _, std::hash::RandomState, Hazard>::from([(1, "one")]);
    let mut kept: Vec<Ref<'_, Entry<i32, &str>, Hazard>> = Vec::new();
    {
        let pinned = map.pin();
        assert_eq!(pinned.iter().count(), 1);
        kept.extend(pinned.iter()); // WRONG
    }
    kept.clear();
}
