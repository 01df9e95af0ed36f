//! A hint to the processor: this will be looked at soon.

use crate::sync::MODEL;

/// Whether there are means to give it. If not, looking for what to hint at is in vain; and in a model
/// each look is a step.
pub(crate) const PREFETCHES: bool = cfg!(all(target_arch = "x86_64", not(miri))) && !MODEL;

/// Has the cache line fetched, where there are means to. Nothing is accessed: whatever the address is,
/// and whether or not its memory was freed.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: a hint, for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
