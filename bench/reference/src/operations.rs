// SPDX-License-Identifier: MIT
//! What bench/engine/operations.c does, as far as the library has it: it has no writes that are under way while their
//! caller goes on.
use std::hint::black_box;
use std::time::Instant;

use simd_r_drive::DataStore;
use simd_r_drive::traits::{DataStoreReader, DataStoreWriter};

use crate::common::{BATCH_COUNT, Bench, ENTRY_COUNT, PASSES, Random, fill, key};

const SINGLE_COUNT: u64 = 200_000;
const SINGLE: [u8; 100] = [b'x'; 100];

/// Operations a second.
fn rate(count: u64, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

fn batch_write(bench: &Bench) -> f64 {
    let store = bench.open(true);
    let began = Instant::now();
    fill(&store, ENTRY_COUNT);
    rate(ENTRY_COUNT, began)
}

fn iterate(store: &DataStore) -> f64 {
    let began = Instant::now();
    let mut count = 0;
    let mut sum = 0u64;
    for value in store.iter_entries() {
        sum += u64::from(value.as_slice()[0]);
        count += 1;
    }
    assert_eq!(count, ENTRY_COUNT);
    black_box(sum);
    rate(count, began)
}

fn random_read(store: &DataStore) -> f64 {
    let mut random = Random::new();
    let mut sum = 0u64;
    let began = Instant::now();
    for _ in 0..ENTRY_COUNT {
        let value = store
            .read_with_key_hash(key(random.next() % ENTRY_COUNT))
            .expect("the store is read");
        sum += u64::from(value.expect("the key is there").as_slice()[0]);
    }
    black_box(sum);
    rate(ENTRY_COUNT, began)
}

fn batch_read(store: &DataStore) -> f64 {
    let mut keys = [0u64; BATCH_COUNT];
    let mut random = Random::new();
    let mut sum = 0u64;
    let mut done = 0;
    let began = Instant::now();
    while done < ENTRY_COUNT {
        keys.fill_with(|| key(random.next() % ENTRY_COUNT));
        let values = store
            .batch_read_hashed_keys(&keys, None)
            .expect("the store is read");
        for value in &values {
            sum += u64::from(value.as_ref().expect("the key is there").as_slice()[0]);
        }
        done += BATCH_COUNT as u64;
    }
    black_box(sum);
    rate(done, began)
}

fn single_blocking(bench: &Bench) -> f64 {
    let store = bench.open(true);
    let began = Instant::now();
    for number in 0..SINGLE_COUNT {
        store
            .write_with_key_hash(key(number), &SINGLE)
            .expect("values are written");
    }
    rate(SINGLE_COUNT, began)
}

pub fn run(bench: &mut Bench) {
    bench.warm();
    for _ in 0..PASSES {
        let written = batch_write(bench);
        bench.result("batch_write", written);
        let store = bench.open(false);
        bench.result("iterate", iterate(&store));
        bench.result("random_read", random_read(&store));
        bench.result("batch_read", batch_read(&store));
        drop(store);
        let singles = single_blocking(bench);
        bench.result("single_blocking", singles);
    }
}
