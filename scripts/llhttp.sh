#!/bin/sh
# Puts llhttp's C sources and header below the folder $1, for systems without a libllhttp package (Debian 12).
# They come from Debian's node-llhttp, unpacked here and not installed: installing it would pull in Node.js.
set -eu
folder=$1
mkdir -p "$folder"
cd "$folder"
rm -f ./*.deb
# APT::Sandbox::User: apt drops to a user of its own that may not write here; it says so and goes on without it.
apt-get -o APT::Sandbox::User=root download node-llhttp
dpkg-deb -x node-llhttp_*.deb .
rm -f ./*.deb
touch .ready
