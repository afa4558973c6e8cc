# The age command, with which a test reads an encrypted backup without dbhaul. It is pinned among the servers in
# scripts/servers.pins, and is none; to be sourced after postgres.sh, which reads that file.
# shellcheck shell=bash

AGE_ORIGIN=${SERVER_ORIGIN[age]} AGE_VERSION=${SERVER_VERSION[age]}
for index in "${!SERVERS[@]}"; do
    [[ ${SERVERS[index]} != age ]] || unset "SERVERS[index]"
done

# install_age: unpacks age and zstd into $PG_ROOT/age, unless they are there in the pinned version.
install_age() {
    local version=$AGE_VERSION dir=$PG_ROOT/age work
    [[ -f $dir/.version && $(<"$dir/.version") == "$version" ]] && return
    [[ -z ${DBHAUL_PG_ROOT:-} ]] ||
        { [[ -x $dir/bin/age ]] && return; die "DBHAUL_PG_ROOT has no age/bin/age"; }
    note "age ($version)"
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    apt_open "$work" "$AGE_ORIGIN"
    apt_has age "$version" || note "the mirror has another; scripts/check-servers --update pins that"
    apt_has age "$version" || version=$(apt_newest age)
    apt_unpack "$work" "age=$version" zstd
    mkdir -p "$work/age"/{bin,lib}
    mv "$work/root/usr/bin"/{age,age-keygen,zstd} "$work/age/bin/"
    find "$work/root/usr/lib/x86_64-linux-gnu" -maxdepth 1 -name '*.so*' -exec mv -t "$work/age/lib" {} +
    for program in age age-keygen zstd; do wrap_program "$work/age/bin/$program" ../lib; done
    chmod -R a+rX "$work/age"
    printf '%s\n' "$AGE_VERSION" >"$work/age/.version"
    rm -rf "$dir"
    mv "$work/age" "$dir"
    rm -rf "$work"
    "$dir/bin/age" --version >/dev/null || die "age does not run on this machine"
}

# check_age: prints the pinned and the newest version; fails if they differ, unless $UPDATE pins the newest.
check_age() {
    local newest
    apt_open "$WORK/age" "$AGE_ORIGIN"
    newest=$(apt_newest age)
    [[ -n $newest && $newest != '(none)' ]] || die "age is not to be had any more from $AGE_ORIGIN"
    printf 'age\t%s\t%s\n' "$AGE_VERSION" "$newest"
    [[ $newest == "$AGE_VERSION" ]] && return
    $UPDATE || return
    sed -i -E "s|^(age +[^ ]+ +)[^ ]+\$|\1$newest|" "$SERVER_PINS"
}
