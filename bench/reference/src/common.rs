// SPDX-License-Identifier: MIT
//! What the parts share: a store to work on, keys, and time, each as bench/engine/common.c has it. Whatever fails panics.
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use simd_r_drive::DataStore;
use simd_r_drive::storage_engine::digest::compute_hash;
use simd_r_drive::traits::DataStoreWriter;

pub const ENTRY_COUNT: u64 = 1_000_000;
pub const BATCH_COUNT: usize = 1024;
pub const PASSES: usize = 5;

const STORE_NAME: &str = "bench-reference.rdr";
const WARM: Duration = Duration::from_secs(1);

/// Never 0.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(88_172_645_463_325_252)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Where the parts work, and what they found out: (row, figure in the row's own measure), in the order of time.
pub struct Bench {
    folder: PathBuf,
    pub figures: Vec<(&'static str, f64)>,
}

impl Bench {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            figures: Vec::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn result(&mut self, row: &'static str, figure: f64) {
        self.figures.push((row, figure));
    }

    pub fn open(&self, fresh: bool) -> DataStore {
        if fresh {
            self.clean();
        }
        DataStore::open(&self.path(STORE_NAME)).expect("the store opens")
    }

    pub fn clean(&self) {
        remove(&self.path(STORE_NAME));
    }

    /// Works for a second, as a machine that has rested is slow at first.
    pub fn warm(&self) {
        let began = Instant::now();
        while began.elapsed() < WARM {
            fill(&self.open(true), ENTRY_COUNT);
        }
    }
}

pub fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{}: {error}", path.display()),
        _ => (),
    }
}

/// All that was written is on the disk then, so that its writing back does not run beside what is timed.
pub fn sync_disks() {
    unsafe extern "C" {
        safe fn sync();
    }
    sync();
}

/// The hash of sixteen bytes around the number, by the library's own function: the same hash that rdrive's caller makes once.
pub fn key(number: u64) -> u64 {
    let mut bytes = *b"bench-k-\0\0\0\0\0\0\0\0";
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    compute_hash(&bytes)
}

/// `count` entries of 8 bytes, in batches, of a store that has none.
pub fn fill(store: &DataStore, count: u64) {
    let mut payloads = [[0u8; 8]; BATCH_COUNT];
    let mut done = 0;
    while done < count {
        let batch_count = BATCH_COUNT.min((count - done) as usize);
        for (i, payload) in payloads[..batch_count].iter_mut().enumerate() {
            *payload = (done + i as u64 + 1).to_le_bytes();
        }
        // The library takes the batch away, so each has a vector of its own.
        let mut batch: Vec<(u64, &[u8])> = Vec::with_capacity(batch_count);
        for (i, payload) in payloads[..batch_count].iter().enumerate() {
            batch.push((key(done + i as u64), payload));
        }
        store
            .batch_write_with_key_hashes(batch, false)
            .expect("batches are written");
        done += batch_count as u64;
    }
}
