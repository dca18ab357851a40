//! Memory that is overwritten when its last owner gives it back.

use std::alloc::{GlobalAlloc, Layout, System};

use zeroize::{optimization_barrier, zeroize_stack};

/// The system's allocator, but every block is filled with zeros before it is freed, and a block that grows or shrinks
/// moves, so that its old place is wiped too.
///
/// Shares, seeds, key streams and encoded inputs pass through many owners, most of them in other crates: tensors that
/// several nodes share, vectors that grow, buffers of the transport. An allocator meets them all where the last one
/// lets go. A program that holds secrets installs it:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: mpc_core::kernel::WipingAllocator = mpc_core::kernel::WipingAllocator;
/// ```
///
/// What it does not reach: stacks ([`wipe_stack`]), registers, and what the kernel holds.
#[derive(Debug, Clone, Copy)]
pub struct WipingAllocator;

// SAFETY: blocks come from `System` and go back to it as they came; `realloc` is the trait's own, made of the others.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this function, which is that of `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller owns the whole block, and nobody looks at it any more.
        unsafe {
            block.write_bytes(0, layout.size());
            // Nobody will read these zeros: without this the compiler would leave them out.
            optimization_barrier(&*block);
            System.dealloc(block, layout);
        }
    }
}

/// Overwrites what finished functions have left on the stack below the caller: the last thing that a thread does which
/// computed on secrets, and what one that goes on does after it.
///
/// The reach is what handling a share takes, with a margin. glibc keeps the stacks of threads for later ones, but gives
/// back to the kernel what lies deeper.
pub fn wipe_stack() {
    const REACH: usize = 128 << 10;
    zeroize_stack::<REACH>();
}
