//! The `haphazard` adapter, with hazard pointers that are kept by the thread that took them.
//!
//! haphazard 0.1.8 leases hazard pointers from a list under a spin lock, and who finds it locked
//! spins without yielding (`Domain::try_acquire_available`). loom, which may let a load return the
//! same old value again and again, never gets out of that loop. So in the models of the structures
//! a slot that is freed is only cleared, and is handed out again to the thread that had it: the list
//! stays empty, and what remains of haphazard (making, publishing, retiring, scanning) is its own.
//!
//! The models of the adapter itself, in `scheme`, lease no slot where another thread does, and run
//! on the adapter as it is.

use std::sync::Mutex;

use loom::thread::ThreadId;
use sexton::scheme::{Protection, Scheme, Stats};
use sexton::sync::AtomicPtr;
use sexton::{Haphazard, Retired, Vtable};

type Slot = <Haphazard as Scheme>::Slot;
type Section = <Haphazard as Scheme>::Section;

/// Hazard pointers of haphazard's, kept.
#[derive(Debug)]
pub(crate) struct Kept;

/// haphazard's domain, and the slots that no shield uses at the moment.
#[derive(Debug)]
pub(crate) struct Domain {
    inner: <Haphazard as Scheme>::Domain,
    /// Of the machine: loom does not see it, and it orders nothing in a model.
    free: Mutex<Vec<(ThreadId, Slot)>>,
}

// SAFETY: as the adapter. A slot is cleared before it is handed out again, by the same thread.
unsafe impl Scheme for Kept {
    const PROTECTION: Protection = Haphazard::PROTECTION;
    const BOUNDED: bool = Haphazard::BOUNDED;

    type Header = <Haphazard as Scheme>::Header;
    type Domain = Domain;
    type Section = Section;
    type Slot = Slot;

    fn new_domain() -> Domain {
        Domain { inner: Haphazard::new_domain(), free: Mutex::default() }
    }

    fn enter(domain: &Domain) -> Section {
        Haphazard::enter(&domain.inner)
    }

    unsafe fn leave(domain: &Domain, section: Section) {
        // SAFETY: the caller's, here and below.
        unsafe { Haphazard::leave(&domain.inner, section) }
    }

    unsafe fn header(domain: &Domain, section: &Section, vtable: &'static Vtable) -> Self::Header {
        // SAFETY: as above.
        unsafe { Haphazard::header(&domain.inner, section, vtable) }
    }

    unsafe fn slot(domain: &Domain, section: &Section) -> Slot {
        let me = loom::thread::current().id();
        let mut free = domain.free.lock().unwrap();
        let kept = free.iter().position(|(owner, _)| *owner == me).map(|at| free.swap_remove(at).1);
        drop(free);
        // SAFETY: as above.
        kept.unwrap_or_else(|| unsafe { Haphazard::slot(&domain.inner, section) })
    }

    unsafe fn free_slot(domain: &Domain, section: &Section, mut slot: Slot) {
        // SAFETY: as above.
        unsafe { Haphazard::clear(&domain.inner, section, &mut slot) };
        domain.free.lock().unwrap().push((loom::thread::current().id(), slot));
    }

    unsafe fn protect<T>(
        domain: &Domain,
        section: &Section,
        slot: &mut Slot,
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T {
        // SAFETY: as above.
        unsafe { Haphazard::protect(&domain.inner, section, slot, source, tag_mask) }
    }

    unsafe fn announce(domain: &Domain, section: &Section, slot: &mut Slot, address: *mut u8) {
        // SAFETY: as above.
        unsafe { Haphazard::announce(&domain.inner, section, slot, address) }
    }

    unsafe fn clear(domain: &Domain, section: &Section, slot: &mut Slot) {
        // SAFETY: as above.
        unsafe { Haphazard::clear(&domain.inner, section, slot) }
    }

    unsafe fn retire(domain: &Domain, section: &Section, retired: Retired) {
        // SAFETY: as above.
        unsafe { Haphazard::retire(&domain.inner, section, retired) }
    }

    unsafe fn reclaim(domain: &Domain, section: &Section, budget: usize) -> usize {
        // SAFETY: as above.
        unsafe { Haphazard::reclaim(&domain.inner, section, budget) }
    }

    fn collect(domain: &Domain) -> usize {
        Haphazard::collect(&domain.inner)
    }

    fn drain(domain: &mut Domain) {
        // They refer to haphazard's domain.
        domain.free.get_mut().unwrap().clear();
        Haphazard::drain(&mut domain.inner);
    }

    fn stats(domain: &Domain) -> Stats {
        Haphazard::stats(&domain.inner)
    }
}
