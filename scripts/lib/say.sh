# Messages and places shared by the scripts. Source this first.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Everything downloaded lives here, so that a second run needs no network.
CACHE=${DBHAUL_CACHE:-$ROOT/.cache}

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
    printf '\033[31merror:\033[0m %s\n' "$1" >&2
    shift
    local hint
    for hint in "$@"; do printf '    %s\n' "$hint" >&2; done
    exit 1
}

# Holds an exclusive lock on the cache, so that two runs in one checkout do not install over each other.
# The descriptor must not leak into servers that outlive the caller: close it with unlock_cache.
lock_cache() {
    mkdir -p "$CACHE"
    exec 9>"$CACHE/.lock"
    flock 9
}
unlock_cache() { exec 9>&-; }
