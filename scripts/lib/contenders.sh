# The programs that scripts/bench compares dbhaul with: PostgreSQL 17 clients with zstd, and pgcopydb, as
# Debian packages them.
# shellcheck shell=bash

CONTENDERS_SUITE=trixie
CONTENDERS=$CACHE/contenders
CONTENDER_PACKAGES=(postgresql-client-17 pgcopydb)

# install_contenders: unpacks them, with all they need down to the C library, unless they are there.
install_contenders() {
    [[ -x $CONTENDERS/bin/pgcopydb ]] && return
    note "${CONTENDER_PACKAGES[*]} of Debian $CONTENDERS_SUITE"
    local work
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    apt_open "$work" "$CONTENDERS_SUITE"
    apt_unpack "$work" "${CONTENDER_PACKAGES[@]}"
    # The root must lie where it will stay before its programs can be wrapped and tried.
    rm -rf "$CONTENDERS"
    mv "$work/root" "$CONTENDERS"
    rm -rf "$work"
    wrap_contenders
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
