#!/usr/bin/env bash
# Builds the images concordat-node-agent and concordat-coordinator: each with its own program, what that imports from this
# repository, and their production dependencies as the lock file names them. Needs npm and a running Docker engine;
# without an image given, the base is made by `base-image.sh`.
#
#   deploy/build-images.sh [base image]
set -euo pipefail
cd "$(dirname "$0")/.."

base="${1:-concordat-base}"
[ $# -gt 0 ] || deploy/base-image.sh "$base"

for program in node-agent coordinator; do
  context=$(mktemp -d)
  trap 'rm -rf "$context"' EXIT
  root="$context/program"
  mkdir -p "$root/bin" "$context/state"
  cp package.json package-lock.json LICENSE "$root"
  # npm reads every workspace's manifest; the sources are only this program's and what it imports.
  for room in */package.json; do install -D -m 644 "$room" "$root/$room"; done
  for room in proto/gen shared/src shared/schema web/src audit/src "$program/src"; do
    mkdir -p "$root/$room"
    tar --create --exclude='*.test.ts' --exclude='testing.ts' --exclude='*-testing.ts' --directory "$room" . |
      tar --extract --directory "$root/$room"
  done
  (cd "$root" && npm ci --omit=dev --prefer-offline --workspace "@concordat/$program" --include-workspace-root >"$context/npm.log" 2>&1) || {
    tail -n 20 "$context/npm.log" >&2
    exit 1
  }
  rm "$context/npm.log"
  # Node's own binary is `node/bin/node`; beside it lie a second one and the headers for building addons.
  rm -rf "$root/node_modules/node/node_modules"
  # Of the packages, what a program loads and what a licence asks to be kept. Binaries stay as they were published.
  find "$root/node_modules" -type f ! -path '*/node/bin/node' ! -iname 'license*' ! -iname 'notice*' \
    ! -name '*.js' ! -name '*.cjs' ! -name '*.mjs' ! -name '*.json' ! -name '*.node' ! -name '*.so' -delete
  find "$root/node_modules" -type d -empty -delete
  command="$root/bin/concordat-${program#node-}"
  printf '#!/opt/concordat/node_modules/node/bin/node\nimport "/opt/concordat/%s/src/main.ts";\n' "$program" >"$command"
  chmod 755 "$command"
  ln -s ../node_modules/node/bin/node "$root/bin/node"
  chmod -R go=rX "$root"
  docker build --quiet --build-arg "BASE=$base" --file "deploy/Dockerfile.$program" --tag "concordat-$program" "$context"
  rm -rf "$context"
done
