#!/usr/bin/env bash
# Makes the image that Concordat's containers are built on, without an image registry: a minimal Debian from the
# mirror that this machine's apt already uses (debootstrap), handed to the engine by `docker import`.
#
#   deploy/base-image.sh [image]       default: concordat-base:bookworm
#
# Needs root, debootstrap and a running Docker engine. The archive is kept in a cache folder and reused; remove it there
# to have the next call fetch today's packages.
set -euo pipefail

image="${1:-concordat-base:bookworm}"
suite=bookworm
cache="${CONCORDAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/concordat}"
archive="$cache/base-$suite-$(dpkg --print-architecture).tar"

if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi

if [ ! -f "$archive" ]; then
  # The mirror of the apt source that serves the suite's main component; apt answers for both of its file formats.
  mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$suite" '$1 == suite && $2 == "main" { print $3; exit }')
  if [ -z "$mirror" ]; then
    echo "No apt source of this machine serves $suite main." >&2
    exit 1
  fi
  mkdir -p "$cache"
  root=$(mktemp -d)
  trap 'rm -rf "$root" "$archive.part"' EXIT
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$cache/debootstrap.log" 2>&1 || {
    tail -n 20 "$cache/debootstrap.log" >&2
    exit 1
  }
  # What nobody reads in a container, and the mirror's name.
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/* \
    "$root"/etc/apt/sources.list "$root"/var/log/bootstrap.log
  tar --create --numeric-owner --directory "$root" --file "$archive.part" .
  mv "$archive.part" "$archive"
fi

docker import --change 'ENV LANG=C.UTF-8' "$archive" "$image" >/dev/null
