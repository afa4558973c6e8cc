# Garage, a production server that speaks S3, for the long form of the tests: built from source, which takes ten minutes
# and more. libfaketime lets its clock run ahead, so that objects are old.
# shellcheck shell=bash

GARAGE=$CACHE/garage
GARAGE_VERSION=2.5.0
FAKETIME_SUITE=bookworm

# install_garage: builds it, unless it is there in that version.
install_garage() {
    [[ -f $GARAGE/.version && $(<"$GARAGE/.version") == "$GARAGE_VERSION" ]] && return
    local work
    need_rust
    need make make
    work=$(mktemp -d "$CACHE/unpack.XXXXXX")
    apt_open "$work" "$FAKETIME_SUITE"
    apt_unpack "$work" libfaketime
    note "garage $GARAGE_VERSION, from source"
    # its speed does not matter here
    CARGO_TARGET_DIR=$work/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_DEBUG=0 cargo install --quiet garage --version "$GARAGE_VERSION" --locked \
        --no-default-features --features bundled-libs,sqlite --root "$work/garage" ||
        die "garage $GARAGE_VERSION could not be built" "The message of cargo is above."
    mkdir -p "$work/garage/lib"
    find "$work/root/usr/lib" -name libfaketimeMT.so.1 -exec mv -t "$work/garage/lib" {} +
    [[ -f $work/garage/lib/libfaketimeMT.so.1 ]] || die "libfaketime has no libfaketimeMT.so.1"
    printf '%s\n' "$GARAGE_VERSION" >"$work/garage/.version"
    rm -rf "$GARAGE"
    mv "$work/garage" "$GARAGE"
    rm -rf "$work"
}
