//! Whatever a peer or a client sends first is refused or understood, and what is understood is written the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mpc_core::model::Graph;
use mpc_core::wire::codec::{decode, encode};
use mpc_core::wire::frame;
use mpc_core::wire::message::{MAX_CONTROL, ModelInfo, Reply, Request, Versioned};
use mpc_core::wire::peer::{Catalog, Decision, PeerRequest, Verdict};
use serde::{Serialize, de::DeserializeOwned};

/// One message prefixed with its length, as it comes from a stream.
fn message<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Some((prefix, rest)) = bytes.split_first_chunk() else { return };
    let Ok(length) = frame::body_length(*prefix, MAX_CONTROL) else { return };
    if let Some(body) = rest.get(..length)
        && let Ok(message) = decode::<T>(body)
    {
        let again = encode(&message).expect("what was read can be written");
        decode::<T>(&again).expect("what was written can be read");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => message::<Versioned<Request>>(bytes),
        1 => message::<Reply>(bytes),
        2 => message::<Versioned<PeerRequest>>(bytes),
        3 => message::<Verdict>(bytes),
        4 => message::<Decision>(bytes),
        5 => message::<Catalog>(bytes),
        6 => message::<ModelInfo>(bytes),
        _ => {
            if let Ok(graph) = decode::<Graph>(bytes)
                && graph.validate().is_ok()
            {
                graph.outputs.iter().for_each(|&output| drop(graph.nodes[output].facts.full_shape(2)));
                assert!(graph.check_served().is_err() || graph.output().full_shape(2)[0] == 2);
            }
        }
    }
});
