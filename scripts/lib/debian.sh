# Packages of Debian with all they need down to the C library, unpacked beside everything else: never
# installed, so that no root is needed, and run with the loader and the libraries they were built for.
# shellcheck shell=bash

DEBIAN_KEYRING=${DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

# debian_mirror SUITE: prints the mirror that has it: the one that this machine's own apt asks, or
# DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR.
debian_mirror() {
    local archive=debian mirror=${DEBIAN_MIRROR:-}
    if [[ $1 == *-security ]]; then archive=debian-security mirror=${DEBIAN_SECURITY_MIRROR:-}; fi
    [[ -n $mirror ]] ||
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | sed -n "\|/$archive/*\$|{p;q}")
    [[ -n $mirror ]] ||
        die "no mirror of $archive is among this machine's package sources" \
            "Set DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR to mirrors that it can reach."
    printf '%s\n' "${mirror%/}"
}

# apt_open DIR SUITES: an apt of its own in DIR, that knows the packages of these suites, joined by commas,
# and nothing of this machine's: packages come as for an empty system.
apt_open() {
    local dir=$1 suite mirror
    need apt-get apt
    need dpkg-deb dpkg
    [[ -f $DEBIAN_KEYRING ]] ||
        die "$DEBIAN_KEYRING is missing" "Install debian-archive-keyring, or set DEBIAN_KEYRING."
    mkdir -p "$dir"/etc/{apt.conf.d,preferences.d,trusted.gpg.d} "$dir"/state/lists/partial \
        "$dir"/cache/archives/partial
    : >"$dir/status"
    for suite in ${2//,/ }; do
        mirror=$(debian_mirror "$suite")
        printf 'deb [signed-by=%s] %s %s main\n' "$DEBIAN_KEYRING" "$mirror" "$suite" >>"$dir/sources.list"
    done
    # A mirror that lags has lists past their date; they are signed all the same.
    APT_OPTIONS=(
        -q -o "Dir::Etc=$dir/etc" -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State=$dir/state" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache"
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Install-Recommends=false
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        -o Acquire::Check-Valid-Until=false -o Debug::NoLocking=1 -o APT::Sandbox::User=
    )
    apt-get "${APT_OPTIONS[@]}" update >"$dir/log" 2>&1 ||
        die "the package lists of Debian $2 could not be downloaded" "$(tail -n 3 "$dir/log")"
}

# apt_newest PACKAGE: prints the version that the opened apt would install.
apt_newest() { apt-cache "${APT_OPTIONS[@]}" policy "$1" | sed -n 's/^ *Candidate: //p'; }

# apt_has PACKAGE VERSION: whether the opened apt can install this version.
apt_has() { apt-cache "${APT_OPTIONS[@]}" show "$1=$2" >/dev/null 2>&1; }

# apt_unpack DIR PACKAGE...: downloads packages with all they need and unpacks them into DIR/root.
apt_unpack() {
    local dir=$1 package
    shift
    apt-get "${APT_OPTIONS[@]}" -y --download-only install "$@" >"$dir/log" 2>&1 ||
        die "$* could not be downloaded from Debian's mirror" "$(tail -n 3 "$dir/log")"
    # Older releases have /lib beside /usr/lib; the loader must find everything in one place.
    mkdir -p "$dir/root/usr/lib" "$dir/root/usr/lib64"
    ln -s usr/lib "$dir/root/lib"
    ln -s usr/lib64 "$dir/root/lib64"
    for package in "$dir"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar -x -C "$dir/root" --keep-directory-symlink --no-same-owner --no-same-permissions
    done
}

# wrap_program PROGRAM LIBRARIES: puts a script in the place of a program, which runs it, renamed to
# .NAME.program, with its own loader. LIBRARIES is the directory of both, seen from the program's. The
# program is told the script's path as its own, since PostgreSQL looks for its files from there; Tcl, PROJ and
# GDAL are told where their files are.
wrap_program() {
    local dir=${1%/*} name=${1##*/}
    mv "$1" "$dir/.$name.program"
    cat >"$1" <<-SCRIPT_END
		#!/bin/sh
		here=\${0%/*}
		share=\$here/../../../../share
		export TCL_LIBRARY="\$share/tcltk/tcl8.6" PROJ_DATA="\$share/proj" GDAL_DATA="\$share/gdal"
		exec "\$here/$2/ld-linux-x86-64.so.2" --argv0 "\$0" --library-path "\$here/$2" "\$here/.$name.program" "\$@"
	SCRIPT_END
    chmod a+x "$1"
}
