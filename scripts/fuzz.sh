#!/usr/bin/env bash
# Runs the fuzz targets that `make fuzz` has built, one after another: scripts/fuzz.sh BUILD SECONDS TARGET...
#
# Each begins with tests/fuzz/corpus/TARGET and with what earlier runs have kept in BUILD/corpus/TARGET. What breaks an
# invariant, or takes more than ten seconds or 2 GiB, ends that target and lies in BUILD/found; then this ends with 1,
# after the other targets. A run is repeated by FUZZ_SEED.
set -euo pipefail
cd "$(dirname "$0")/.."

build=$1
seconds=$2
shift 2
seed=${FUZZ_SEED:-$(date +%s)}
failed=

export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

mkdir -p "$build/found"
echo "FUZZ_SEED=$seed"
for target in "$@"; do
    mkdir -p "$build/corpus/$target"
    arguments=("-max_total_time=$seconds" "-seed=$seed" -timeout=10 -rss_limit_mb=2048 -max_len=4096
        -print_final_stats=1 "-artifact_prefix=$build/found/$target-")
    [ ! -e "tests/fuzz/$target.dict" ] || arguments+=("-dict=tests/fuzz/$target.dict")
    echo "== $target, $seconds s"
    log=$build/$target.log
    if nice -n 5 "$build/bin/fuzz-$target" "${arguments[@]}" "$build/corpus/$target" "tests/fuzz/corpus/$target" \
        >"$log" 2>&1 </dev/null; then
        grep -E '^Done|^stat::(number_of_executed_units|average_exec_per_sec|new_units_added|peak_rss)' "$log"
    else
        tail -n 60 "$log"
        failed="$failed $target"
    fi
done
[ -z "$failed" ] || {
    echo "found something:$failed (inputs in $build/found, logs in $build)" >&2
    exit 1
}
