# The connection pooler that the tests put before their servers. It is pinned among the servers in
# scripts/servers.pins, and is none; to be sourced after postgres.sh, which reads that file.
# shellcheck shell=bash

POOLER_ORIGIN=${SERVER_ORIGIN[pgbouncer]} POOLER_VERSION=${SERVER_VERSION[pgbouncer]}
for index in "${!SERVERS[@]}"; do
    [[ ${SERVERS[index]} != pgbouncer ]] || unset "SERVERS[index]"
done

# install_pooler: unpacks it into $PG_ROOT/pgbouncer, unless it is there in the pinned version.
install_pooler() {
    local version=$POOLER_VERSION dir=$PG_ROOT/pgbouncer work
    [[ -f $dir/.version && $(<"$dir/.version") == "$version" ]] && return
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $dir/bin/pgbouncer ]] && return; die "DBHAUL_PG_ROOT has no pgbouncer/bin/pgbouncer"; }
    note "PgBouncer ($version)"
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    apt_open "$work" "$POOLER_ORIGIN"
    apt_has pgbouncer "$version" || note "the mirror has another; scripts/check-servers --update pins that"
    apt_has pgbouncer "$version" || version=$(apt_newest pgbouncer)
    apt_unpack "$work" "pgbouncer=$version"
    mkdir -p "$work/pooler"/{bin,lib}
    mv "$work/root/usr/sbin/pgbouncer" "$work/pooler/bin/"
    find "$work/root/usr/lib/x86_64-linux-gnu" -maxdepth 1 -name '*.so*' -exec mv -t "$work/pooler/lib" {} +
    wrap_program "$work/pooler/bin/pgbouncer" ../lib
    chmod -R a+rX "$work/pooler"
    printf '%s\n' "$POOLER_VERSION" >"$work/pooler/.version"
    rm -rf "$dir"
    mv "$work/pooler" "$dir"
    rm -rf "$work"
    "$dir/bin/pgbouncer" --version >/dev/null || die "PgBouncer does not run on this machine"
}

# check_pooler: prints the pinned and the newest version; fails if they differ, unless $UPDATE pins the newest.
check_pooler() {
    local newest
    apt_open "$WORK/pgbouncer" "$POOLER_ORIGIN"
    newest=$(apt_newest pgbouncer)
    [[ -n $newest && $newest != '(none)' ]] || die "PgBouncer is not to be had any more from $POOLER_ORIGIN"
    printf 'pgbouncer\t%s\t%s\n' "$POOLER_VERSION" "$newest"
    [[ $newest == "$POOLER_VERSION" ]] && return
    $UPDATE || return
    sed -i -E "s|^(pgbouncer +[^ ]+ +)[^ ]+\$|\1$newest|" "$SERVER_PINS"
}
