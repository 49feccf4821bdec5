#!/usr/bin/env bash
# Makes sure that a Docker engine answers: uses the one that runs, or starts Debian's `dockerd` as root, without systemd.
#
#   .ci/docker-engine.sh start    exit 0 once an engine answers
#   .ci/docker-engine.sh stop     stops the engine that `start` started, and only that one
set -euo pipefail

state="${CONCORDAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/concordat}/docker"
pidfile="$state/dockerd.pid"
log="$state/dockerd.log"

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Waits until the engine answers; fails when it exits or a minute has passed.
wait_for() {
  for _ in $(seq 120); do
    if answers; then return 0; fi
    if ! kill -0 "$1" 2>/dev/null; then return 1; fi
    sleep 0.5
  done
  kill "$1" 2>/dev/null || true
  return 1
}

start() {
  if answers; then return 0; fi
  if [ "$(id -u)" != 0 ]; then
    echo "No Docker engine answers, and only root can start one." >&2
    return 1
  fi
  mkdir -p "$state"
  # A virtual machine's root file system may be one that overlay2 cannot stack on; vfs works on all, slowly.
  for driver in overlay2 vfs; do
    rm -f "$pidfile"
    setsid dockerd --storage-driver "$driver" --pidfile "$pidfile" >"$log" 2>&1 </dev/null &
    if wait_for "$!"; then
      echo "Started a Docker engine (storage driver $driver)."
      return 0
    fi
  done
  echo "dockerd did not start; the end of $log:" >&2
  tail -n 20 "$log" >&2
  return 1
}

stop() {
  [ -f "$pidfile" ] || return 0
  pid=$(cat "$pidfile")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 60); do
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.5
  done
  rm -f "$pidfile"
}

case "${1:-}" in
  start | stop) "$1" ;;
  *)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
