#!/usr/bin/env bash
# Makes an image of the named Debian packages' files and nothing else, without an image registry and without running a program of
# theirs: no shell, no package manager and no set-uid program unless a package is named that has one. What is not there need not
# be patched, and cannot be used. The packages are those that this machine's apt offers, security updates included.
#
#   deploy/debian-image.sh IMAGE PACKAGE…
#
# Needs a running Docker engine. An image that exists is kept: remove it to have today's packages.
set -euo pipefail

image="$1"
shift
if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packages" "$work/root"
# apt downloads as a user of its own, and verifies against the signed lists.
chmod 755 "$work"
chmod 777 "$work/packages"
download() { (cd "$work/packages" && apt-get download -qq "$@") >"$work/apt.log" 2>&1; }
download "$@" || { apt-get update -qq && download "$@"; } || {
  cat "$work/apt.log" >&2
  exit 1
}

root="$work/root"
# A scanner of images finds here what is installed, as in other images without a package manager.
mkdir -p "$root/var/lib/dpkg/status.d"
for package in "$work"/packages/*.deb; do
  dpkg-deb --extract "$package" "$root"
  dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
# Character sets that none of our programs reads, and what nobody reads in a container; copyright files stay.
find "$root" -path '*/gconv/*' -delete
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/{man,locale,info,lintian}
printf 'root:x:0:0:root:/root:/sbin/nologin\nconcordat:x:10001:10001::/var/lib/concordat:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nconcordat:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"

tar --create --sort=name --owner=0 --group=0 --numeric-owner --directory "$root" . |
  docker import --change 'ENV LANG=C.UTF-8' - "$image" >/dev/null
