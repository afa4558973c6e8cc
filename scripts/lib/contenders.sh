# The programs that scripts/bench compares dbhaul with: PostgreSQL 17 clients with zstd, and pgcopydb, as
# Debian packages them. Unpacked beside everything else, never installed: no root is needed for it.
# shellcheck shell=bash

DEBIAN_MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
DEBIAN_RELEASE=trixie
CONTENDERS=$CACHE/contenders
CONTENDER_PACKAGES=(postgresql-client-17 pgcopydb)

# install_contenders: unpacks them, with all they need down to the C library, unless they are there.
install_contenders() {
    [[ -x $CONTENDERS/bin/pgcopydb ]] && return
    local keyring=${DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
    need apt-get apt
    need dpkg-deb dpkg
    [[ -f $keyring ]] || die "$keyring is missing" "Install debian-archive-keyring, or set DEBIAN_KEYRING."
    note "${CONTENDER_PACKAGES[*]} of Debian $DEBIAN_RELEASE from $DEBIAN_MIRROR"
    local work
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    fetch_packages "$work" "$keyring"
    local package
    for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/root"; done
    # The root must lie where it will stay before its programs can be wrapped and tried.
    rm -rf "$CONTENDERS"
    mv "$work/root" "$CONTENDERS"
    rm -rf "$work"
    wrap_contenders
}

# fetch_packages DIR KEYRING: downloads the packages with their whole closure, as for an empty system,
# with an apt of its own that knows nothing of this machine's.
fetch_packages() {
    local work=$1 keyring=$2
    mkdir -p "$work"/etc/{apt.conf.d,preferences.d,trusted.gpg.d} "$work"/state/lists/partial "$work"/cache/archives/partial
    : >"$work/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$DEBIAN_MIRROR" "$DEBIAN_RELEASE" >"$work/sources.list"
    local options=(
        -q -o "Dir::Etc=$work/etc" -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State=$work/state" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache"
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Install-Recommends=false
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Debug::NoLocking=1 -o APT::Sandbox::User=
    )
    { apt-get "${options[@]}" update && apt-get "${options[@]}" -y --download-only install "${CONTENDER_PACKAGES[@]}"; } \
        >"$work/log" 2>&1 ||
        die "the packages to compare with could not be downloaded from $DEBIAN_MIRROR" \
            "$(tail -n 3 "$work/log")" "Set DEBIAN_MIRROR to a mirror that this machine can reach."
}

# Each program runs with the loader and the libraries it was built for.
wrap_contenders() {
    mkdir -p "$CONTENDERS/bin"
    local name program
    for name in pg_dump pg_dumpall pg_restore psql vacuumdb pgcopydb; do
        program=$CONTENDERS/usr/lib/postgresql/17/bin/$name
        [[ -x $program ]] || program=$CONTENDERS/usr/bin/$name
        cat <<-'SCRIPT_END' | sed "s|@program@|${program#"$CONTENDERS"/}|" >"$CONTENDERS/bin/.$name"
			#!/bin/sh
			root=$(dirname "$(dirname "$(readlink -f "$0")")")
			exec "$root/usr/lib64/ld-linux-x86-64.so.2" --argv0 "$0" \
			    --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/@program@" "$@"
		SCRIPT_END
        chmod +x "$CONTENDERS/bin/.$name"
        "$CONTENDERS/bin/.$name" --version >/dev/null || die "$program does not run on this machine"
        mv "$CONTENDERS/bin/.$name" "$CONTENDERS/bin/$name"
    done
}
