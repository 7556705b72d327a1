// SPDX-License-Identifier: MIT
//! What bench/engine/stream.c does first: cp of 1 GiB, which leaves the machine with as much memory at hand as it leaves rdrive's
//! engine, and a value of that length that comes in pieces of 64 KiB. The library writes it in one pass.
use std::fs::File;
use std::io::{Read, Result, Write};
use std::process::Command;
use std::time::Instant;

use simd_r_drive::traits::DataStoreWriter;

use crate::common::{Bench, Random, key, remove, sync_disks};

const VALUE_LEN: usize = 1 << 30;
const SOURCE_LEN: usize = 4 << 20;

/// The same four MiB again and again, as often as fills the value.
struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let from = self.at % SOURCE_LEN;
        let len = into.len().min(SOURCE_LEN - from).min(VALUE_LEN - self.at);
        into[..len].copy_from_slice(&self.bytes[from..from + len]);
        self.at += len;
        Ok(len)
    }
}

fn make_source() -> Vec<u8> {
    let mut random = Random::new();
    (0..SOURCE_LEN / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect()
}

/// GiB a second.
fn copy_file(bench: &Bench, source: &[u8]) -> f64 {
    let (from, to) = (bench.path("bench-cp-from"), bench.path("bench-cp-to"));
    let mut file = File::create(&from).expect("the file to copy is made");
    for _ in 0..VALUE_LEN / SOURCE_LEN {
        file.write_all(source).expect("the file to copy is written");
    }
    drop(file);
    sync_disks();
    let began = Instant::now();
    let status = Command::new("cp")
        .arg("--reflink=never")
        .args([&from, &to])
        .status()
        .expect("cp runs");
    let seconds = began.elapsed().as_secs_f64();
    assert!(status.success(), "cp failed");
    remove(&from);
    remove(&to);
    1.0 / seconds
}

pub fn run(bench: &mut Bench) {
    let source = make_source();
    let copied = copy_file(bench, &source);
    bench.result("cp", copied);
    let store = bench.open(true);
    sync_disks();
    let began = Instant::now();
    store
        .write_stream_with_key_hash(
            key(0),
            &mut Source {
                bytes: &source,
                at: 0,
            },
        )
        .expect("the stream is written");
    bench.result("stream", 1.0 / began.elapsed().as_secs_f64());
}
