#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes build/rdrive_VERSION_ARCH.deb from what `make all` left: deb.sh BUILD VERSION. Needs dpkg-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
version=$2
arch=$(dpkg --print-architecture)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
stage=$(mktemp -d "$build/deb.XXXXXX")
trap 'rm -rf "$stage"' EXIT
root=$stage/root

make --no-print-directory install BUILD="$build" DESTDIR="$root" PREFIX=/usr LIBDIR="lib/$multiarch"
strip --strip-unneeded "$root"/usr/bin/* "$root/usr/lib/$multiarch"/*.so.*.*
gzip -9n "$root"/usr/share/man/man*/*
install -D -m 644 LICENSE "$root/usr/share/doc/rdrive/copyright"
gzip -9nc CHANGELOG.md > "$root/usr/share/doc/rdrive/changelog.gz"

# dpkg-shlibdeps wants a source package around it.
mkdir -p "$stage/debian"
printf 'Source: rdrive\n\nPackage: rdrive\nArchitecture: any\n' > "$stage/debian/control"
depends=$(cd "$stage" && find root/usr/bin root/usr/lib -type f \( -perm -u+x -o -name '*.so.*' \) -print0 |
          xargs -0 dpkg-shlibdeps -O --ignore-missing-info -lroot/usr/lib/"$multiarch" 2>/dev/null |
          sed -n 's/^shlibs:Depends=//p')

mkdir -p "$root/DEBIAN"
sed -e "s|@VERSION@|$version|" -e "s|@ARCH@|$arch|" -e "s|@DEPENDS@|$depends|" \
    -e "s|@SIZE@|$(du -sk "$root/usr" | cut -f1)|" packaging/debian/control.in > "$root/DEBIAN/control"
echo /etc/rdrive/rdrived.conf > "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "packaging/debian/$script" "$root/DEBIAN/$script"
done
dpkg-deb --root-owner-group --build "$root" "$build/rdrive_${version}_$arch.deb"
