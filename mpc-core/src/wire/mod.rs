//! Messages as bytes, without I/O: control messages, framed and size-limited, shares, and the file that names the
//! parties.

pub mod cluster;
pub mod codec;
pub mod frame;
pub mod message;
pub mod peer;
pub mod share;
