//! Many threads fill a map at once, and what is in it is worked on in parallel: each entry once.

mod common;

use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Domain, Hazard, Ledger, Reclaimer, Tracked, sized};
use rayon::prelude::*;
use sexton::{HashMap, HashSet};

fn many() -> u32 {
    sized(10_000, 50) as u32
}

/// On what rayon stands: so Miri is told to be lenient (the module's name tells it).
mod on_crossbeam {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "rayon stands on crossbeam-epoch; see xtask")]
    fn a_map_is_filled_and_taken_apart() {
        let map: HashMap<u32, u32> =
            (0..many()).into_par_iter().map(|key| (key, key * 2)).collect();
        assert_eq!(map.len(), many() as usize);
        assert!((0..many()).into_par_iter().all(|key| map.get(&key) == Some(key * 2)));
        let mut entries: Vec<_> = map.into_par_iter().collect();
        entries.par_sort_unstable();
        assert!(entries.into_iter().eq((0..many()).map(|key| (key, key * 2))));
    }

    #[test]
    #[cfg_attr(miri, ignore = "rayon stands on crossbeam-epoch; see xtask")]
    fn a_set_is_filled_and_taken_apart() {
        // Each of them by several threads.
        let set: HashSet<u32, RandomState, Hazard> =
            (0..many() * 3).into_par_iter().map(|number| number / 3).collect();
        assert_eq!(set.len(), many() as usize);
        assert_eq!(set.into_par_iter().map(u64::from).sum::<u64>(), (0..u64::from(many())).sum());
    }

    #[test]
    #[cfg_attr(miri, ignore = "rayon stands on crossbeam-epoch; see xtask")]
    fn values_are_changed_in_parallel() {
        let mut map: HashMap<u32, u32> = (0..many()).map(|key| (key, 0)).collect();
        map.par_iter_mut().for_each(|(key, value)| *value += key);
        assert!(map.iter_mut().all(|(key, value)| key == value));
    }

    #[test]
    #[cfg_attr(miri, ignore = "rayon stands on crossbeam-epoch; see xtask")]
    fn an_iteration_that_panics_loses_nothing() {
        let (domain, ledger) = (Domain::<Hazard>::new(), Ledger::new());
        let mut map = HashMap::with_reclaimer(domain.clone());
        let panics = catch_unwind(AssertUnwindSafe(|| {
            map.par_extend((0..many()).into_par_iter().map(|key| {
                assert!(key != many() / 2, "in the middle");
                (key, Tracked::new(&ledger, u64::from(key)))
            }));
        }));
        assert!(panics.is_err());
        assert_eq!(map.len(), map.pin().iter().count());
        assert_eq!(map.len(), ledger.living());
        drop(map);
        domain.collect();
        ledger.assert_all_dead();
    }
}
