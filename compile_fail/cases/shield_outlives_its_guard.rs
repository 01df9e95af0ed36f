// E0597: `guard` does not live long enough

use sexton::{Atomic, Hazard, Reclaimer, Shield};

fn main() {
    let link = Atomic::<u32>::null();
    let mut shields: Vec<Shield<'_, u32, Hazard>> = Vec::new();
    {
        let guard = Hazard.pin();
        guard.shield().protect(&link);
        shields.push(guard.shield()); // WRONG
    }
    shields.clear();
}
