// SPDX-License-Identifier: MIT
//! What bench/engine/opening.c does: opening a store whose file is in the page cache.
use std::time::Instant;

use simd_r_drive::traits::DataStoreReader;

use crate::common::{Bench, ENTRY_COUNT, fill, sync_disks};

fn open_again(bench: &mut Bench, row: &'static str, count: u64) {
    fill(&bench.open(true), count);
    sync_disks();
    let began = Instant::now();
    let store = bench.open(false);
    bench.result(row, began.elapsed().as_secs_f64());
    assert_eq!(store.len().expect("the store counts"), count as usize);
}

pub fn run(bench: &mut Bench) {
    open_again(bench, "open_1m", ENTRY_COUNT);
    open_again(bench, "open_5m", 5 * ENTRY_COUNT);
}
