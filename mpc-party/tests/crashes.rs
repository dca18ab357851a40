//! kill -9 at random instants of publishing: afterwards all three serve the old model or the new one, the same
//! everywhere, and publishing again finishes the work.
//!
//! `MPC_CRASHES` is the number of instants (10 unless set), `MPC_SEED` repeats a run.

#[cfg(test)]
mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Client, Parties, SAMPLES, TestModel, run_within};
use mpc_core::Role;
use mpc_core::session::Id;

/// Steele, Lea and Flood's SplitMix64: enough to choose instants and victims.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Even numbers tell the position of the largest of the first three pixels, odd ones that of the smallest.
fn model(number: u64) -> (TestModel, [u64; 3]) {
    let mut publication = [0; 32];
    publication[..8].copy_from_slice(&number.to_le_bytes());
    let sign = if number.is_multiple_of(2) { 1 } else { u64::MAX };
    let labels = if sign == 1 { [0, 1, 2] } else { [2, 2, 0] };
    (TestModel { publication, ..TestModel::first_three_pixels_times(sign) }, labels)
}

/// What is in service, once all three say the same.
async fn settled(client: &Client) -> Vec<Id> {
    loop {
        let [p0, p1, p2] = client.in_service().await;
        if p0 == p1 && p1 == p2 {
            return p0;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn killed_at_any_instant_of_publishing_all_serve_the_old_model_or_the_new_one() {
    let instants = number("MPC_CRASHES").unwrap_or(10);
    let seed = number("MPC_SEED").unwrap_or_else(|| Instant::now().elapsed().subsec_nanos().into());
    eprintln!("MPC_SEED={seed} MPC_CRASHES={instants}");
    let mut random = Random(seed);
    let mut parties = Parties::start("wait_s = 2");
    run_within(Duration::from_secs(60 + 10 * instants), async {
        let publisher = parties.connect(&parties.publisher).await;
        let start = Instant::now();
        publisher.publish(&model(0).0).await;
        let usual = start.elapsed();
        let (mut current, mut replaced) = (0, 0);
        for instant in 0..instants {
            let (next, _) = model(current + 1);
            let publisher = Arc::new(parties.connect(&parties.publisher).await);
            let publishing = tokio::spawn({
                let (publisher, next) = (publisher.clone(), next.clone());
                async move { publisher.publish(&next).await }
            });
            tokio::time::sleep(usual.mul_f64((random.next() % 1000) as f64 / 900.0)).await;
            let set = random.next() % 7 + 1;
            let victims: Vec<Role> = Role::ALL.into_iter().filter(|role| set >> role.index() & 1 == 1).collect();
            victims.iter().for_each(|role| parties.kill(*role));
            // Whether the publisher heard of its success or of the deaths does not matter.
            publishing.abort();
            drop(publishing.await);
            victims.iter().for_each(|role| parties.restart(*role));

            let client = parties.connect(&parties.client).await;
            let served = settled(&client).await;
            let what = format!("seed {seed}, instant {instant}, victims {victims:?}");
            let arrived = served == [next.publication];
            assert!(arrived || served == [model(current).0.publication], "{what}: {served:?}");
            let (serving, labels) = model(current + u64::from(arrived));
            assert_eq!(client.classify(&serving, &SAMPLES).await, Ok(labels.to_vec()), "{what}");
            replaced += u64::from(arrived);
            // Nothing is lost: the same publication goes on.
            parties.connect(&parties.publisher).await.publish(&next).await;
            current += 1;
            let (serving, labels) = model(current);
            assert_eq!(client.classify(&serving, &SAMPLES).await, Ok(labels.to_vec()), "{what}, published again");
        }
        eprintln!("{instants} instants: the new model was in service after {replaced} of them");
    });
}
