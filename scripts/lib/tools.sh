# Finds the programs of the machine that the installers need, and gets what is missing where it can.
# shellcheck shell=bash

require_platform() {
    [[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] && return
    die "the test servers are built for Linux on x86_64; this machine is $(uname -s) on $(uname -m)" \
        "Point DBHAUL_PG_ROOT at a directory with PostgreSQL installations in 13/ to 19/, 15-old/, 17-old/, 18-old/, 18-extensions/ and clients/ and run cargo nextest yourself."
}

# need COMMAND PACKAGE...: makes COMMAND available, with apt-get when we are root.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        note "installing $* for '$command'"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1 || {
            apt-get update -q >/dev/null 2>&1 || true
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null 2>&1 || true
        }
    fi
    command -v "$command" >/dev/null ||
        die "'$command' is missing on this machine" "Install it first, for example: sudo apt-get install $*"
}

need_rust() {
    [[ -f $HOME/.cargo/env ]] && . "$HOME/.cargo/env"
    command -v cargo >/dev/null ||
        die "no Rust toolchain on this machine" "Install one first: https://rustup.rs (1.90 or newer)"
    local have
    have=$(rustc --version | sed -E 's/^rustc ([0-9]+)\.([0-9]+).*/\1 \2/')
    read -r rust_major rust_minor <<<"$have"
    ((rust_major > 1 || rust_minor >= 90)) ||
        die "Rust 1.90 or newer is needed; this is $(rustc --version)" "Update it: rustup update stable"
    need cc gcc libc6-dev
    need_libclang
}

# PostgreSQL's own parser is compiled in, and its header is read with libclang.
need_libclang() {
    has_libclang && return
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        note "installing libclang-dev for the PostgreSQL parser"
        apt-get update -q >/dev/null 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends libclang-dev >/dev/null 2>&1 || true
    fi
    has_libclang ||
        die "libclang is missing on this machine" "Install it first, for example: sudo apt-get install libclang-dev"
}

# Not libclang-cpp, which other packages bring.
has_libclang() {
    [[ -n ${LIBCLANG_PATH:-} ]] && return
    local dir
    for dir in /usr/lib /usr/lib64 /usr/lib/*-linux-gnu /usr/lib/llvm*/lib; do
        compgen -G "$dir/libclang.so*" >/dev/null && return
        compgen -G "$dir/libclang-[0-9]*.so*" >/dev/null && return
    done
    return 1
}

need_nextest() {
    command -v cargo-nextest >/dev/null && return
    say "Installing cargo-nextest (once, a few minutes)"
    cargo install cargo-nextest --locked --quiet ||
        die "cargo-nextest could not be installed" "Install it yourself: https://nexte.st"
}

# The account that servers run under: PostgreSQL refuses to run as root.
SERVER_USER=${DBHAUL_PG_USER:-nobody}

# as_server COMMAND...: runs a command as an account that PostgreSQL accepts.
as_server() {
    if [[ $(id -u) == 0 ]]; then
        setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --clear-groups -- "$@"
    else
        "$@"
    fi
}

# Servers that run as another account must be able to reach their own binaries.
require_reachable() {
    [[ $(id -u) == 0 ]] || return 0
    need setpriv util-linux
    getent passwd "$SERVER_USER" >/dev/null ||
        die "there is no account '$SERVER_USER' to run PostgreSQL under" "Set DBHAUL_PG_USER to an unprivileged account."
    as_server test -x "$1" ||
        die "the account '$SERVER_USER' cannot reach $1" \
            "PostgreSQL refuses to run as root, so a directory above must be open to other accounts (chmod o+x)," \
            "or run this script as a normal user, or set DBHAUL_CACHE to a place outside."
}
