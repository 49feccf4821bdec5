#!/usr/bin/env bash
# Makes the image that Concordat's containers are built on: the C and C++ libraries that Node and DuckDB load.
#
#   deploy/base-image.sh [image]       default: concordat-base
set -euo pipefail
exec "$(dirname "$0")/debian-image.sh" "${1:-concordat-base}" base-files libc6 libgcc-s1 libstdc++6
