#!/usr/bin/env bash
# Makes concordat-squid, the proxy of `compose.consortium.yaml`: Debian's squid and the libraries that it needs, with
# `squid.conf` beside this script. An institution has a proxy of its own and does not need this image.
#
#   deploy/squid-image.sh
set -euo pipefail
cd "$(dirname "$0")"

# What apt would install on an empty system, less what squid runs without (perl, log rotation, cron, account tools).
needed() {
  apt-get -o Dir::State::status=/dev/null --simulate --no-install-recommends install squid 2>/dev/null |
    awk '$1 == "Inst" && $2 ~ /^(lib|squid|zlib|netbase)/ && $2 !~ /perl|^libpam-/ { print $2 }'
}
packages=$(needed)
if [ -z "$packages" ]; then
  apt-get update -qq
  packages=$(needed)
fi
# shellcheck disable=SC2086 -- a word a package
./debian-image.sh concordat-squid-files base-files $packages
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -m 644 squid.conf "$context/squid.conf"
docker build --quiet --file Dockerfile.squid --tag concordat-squid "$context"
