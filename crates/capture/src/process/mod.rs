//! A device in a process of its own: a driver that hangs or crashes takes nothing with it.
//!
//! The daemon starts a capture process for each device, gives it a ring of shared memory for samples and a
//! pipe for frames, and [watches](supervisor) it. The process [reads](worker) its device for ever. Samples
//! are written and read by file calls, not by mapped pointers: a process that is killed in the middle leaves a slot that
//! no frame speaks of, and nothing else.

pub(crate) mod frame;
pub(crate) mod ring;
pub mod supervisor;
pub mod worker;
