#!/usr/bin/env bash
# Builds the images concordat-node-agent and concordat-coordinator: each with its own program, what that imports from this
# repository, and their production dependencies as the lock file names them. Needs npm and a running Docker engine;
# without an image given, the base is made by `base-image.sh`.
#
#   deploy/build-images.sh [base image]
set -euo pipefail
cd "$(dirname "$0")/.."

base="${1:-concordat-base:bookworm}"
[ $# -gt 0 ] || deploy/base-image.sh "$base"

for program in node-agent coordinator; do
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  cp package.json package-lock.json "$context"
  # npm reads every workspace's manifest; the sources are only this program's and what it imports.
  for room in */package.json; do install -D -m 644 "$room" "$context/$room"; done
  for room in proto/gen shared/src shared/schema "$program/src"; do
    mkdir -p "$context/$room"
    tar --create --exclude='*.test.ts' --directory "$room" . | tar --extract --directory "$context/$room"
  done
  (cd "$context" && npm ci --omit=dev --prefer-offline --workspace "@concordat/$program" --include-workspace-root >npm.log 2>&1) || {
    tail -n 20 "$context/npm.log" >&2
    exit 1
  }
  # Not needed to run: the log, and the headers that come with Node for building addons.
  rm -rf "$context/npm.log" "$context"/node_modules/node/node_modules/*/{include,share}
  chmod -R go=rX "$context"
  docker build --quiet --build-arg "BASE=$base" --file "deploy/Dockerfile.$program" --tag "concordat-$program" "$context"
  rm -rf "$context"
done
