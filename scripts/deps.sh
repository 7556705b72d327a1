#!/bin/sh
# Installs what the named sets need and this system does not have: `scripts/deps.sh run test lint`.
#
#   run   to build and run the daemon and the command line tool
#   test  to run the tests, sanitizers included (their runtimes come with gcc)
#   lint  a second compiler and the layout tool
#   fuzz  the second compiler and what it links fuzz targets and sanitizers with
#   rigs  to cut a disk's power: file systems of its own, on loop devices
#   deb   to make a Debian package
#
# On Debian and Ubuntu through apt-get, elsewhere it names the packages and gives up. Where all is there it does
# nothing and needs no network.
set -eu

# It makes checksums of long values faster, and is made for this architecture.
isal() {
    [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ] || echo " libisal-dev"
}

packages_of() {
    case $1 in
    # gcc only recommends libc6-dev, and recommendations are not followed here.
    run) echo "gcc libc6-dev make pkg-config libuv1-dev libxxhash-dev libdeflate-dev libjansson-dev libssl-dev curl$(isal)" ;;
    # redis-tools brings the Redis server to compare with as well (tests/integration/harness/realredis.py), without the
    # service that the package redis-server would start.
    test) echo "libcmocka-dev python3 python3-pytest python3-pytest-xdist mypy openssl strace redis-tools python3-redis libhiredis-dev python3-prometheus-client" ;;
    lint) echo "clang clang-format git shellcheck" ;;
    fuzz) echo "clang libclang-rt-dev" ;;
    rigs) echo "mount e2fsprogs xfsprogs" ;;
    deb) echo "dpkg-dev gzip" ;;
    *)
        echo "deps.sh: no such set: $1 (run, test, lint, fuzz, rigs, deb)" >&2
        exit 2
        ;;
    esac
}

packages=
for set_name in "$@"; do
    packages="$packages $(packages_of "$set_name")"
done
[ -n "$packages" ] || {
    echo "usage: scripts/deps.sh SET... (run, test, lint, fuzz, rigs, deb)" >&2
    exit 2
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "This system has no apt. Install the equivalents of these Debian packages by hand, then run 'make all':" >&2
    echo " $packages libllhttp-dev" >&2
    exit 1
fi

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "Packages are missing, and this is neither root nor is there sudo. As root: apt-get install$missing" >&2
        exit 1
    fi
}

is_installed() {
    # Newer releases have pkg-config under another package's name.
    [ "$1" = pkg-config ] && command -v pkg-config >/dev/null && return 0
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $packages; do
    is_installed "$package" || missing="$missing $package"
done

# llhttp: a package where apt has one (Debian 13); else its sources, out of node-llhttp, by scripts/llhttp.sh.
updated=no
update() {
    [ $updated = no ] || return 0
    as_root apt-get -q update
    updated=yes
}
known() {
    apt-cache show --no-all-versions "$1" >/dev/null 2>&1
}

case " $* " in
*" run "*)
    if ! is_installed libllhttp-dev && [ ! -e build/deps/llhttp/.ready ]; then
        known libllhttp-dev || known node-llhttp || update
        if known libllhttp-dev; then
            missing="$missing libllhttp-dev"
        elif ! known node-llhttp; then
            echo "apt knows neither libllhttp-dev nor node-llhttp here; rdrive needs llhttp 8 or later." >&2
            exit 1
        fi
    fi
    ;;
esac

[ -n "$missing" ] || exit 0

for package in $missing; do
    known "$package" || update
done
echo "Installing:$missing"
install_missing() {
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
}
# Lists that are older than the archive name files that are gone: update once, then try again.
install_missing || {
    [ $updated = no ] || exit 1
    update
    install_missing
}
