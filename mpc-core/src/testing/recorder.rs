//! A security mode that keeps every claim for a test to inspect.

use crate::error::Result;
use crate::link::Link;
use crate::security::{Claim, Security};

/// Keeps the claims and checks none; [`Party::take_claims`](crate::party::Party::take_claims) hands them over.
#[derive(Default)]
pub struct Recorder(Vec<Claim>);

impl Security for Recorder {
    fn wants_claims(&self) -> bool {
        true
    }

    fn record(&mut self, claim: Claim) {
        self.0.push(claim);
    }

    fn branch(&self) -> Box<dyn Security> {
        Box::new(Recorder::default())
    }

    fn take(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.0)
    }

    fn verify(&mut self, _: &mut Link) -> Result<()> {
        Ok(())
    }
}
