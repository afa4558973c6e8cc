# A private Python environment with the S3 server and the TPC-H generator that the tests run, the programs of others that
# read our files, and the schemas that the YAML of the examples is held against.
# shellcheck shell=bash

VENV=$CACHE/python
PYTHON_PACKAGES=("moto[server]==5.2.5" "tpchgen-cli==4.0.0" "duckdb==2.0.1" "polars==2.1.0" "pyarrow==26.0.1"
    "kubernetes-validate==1.37.0" "compose-spec==0.2.1")

install_venv() {
    [[ -x $VENV/bin/pip ]] && return
    need python3 python3 python3-venv
    rm -rf "$VENV"
    python3 -m venv "$VENV" 2>/dev/null || {
        rm -rf "$VENV"
        [[ $(id -u) == 0 ]] && apt-get install -y -q python3-venv >/dev/null 2>&1
        python3 -m venv "$VENV" ||
            die "python3 cannot make virtual environments" "Install that part first: sudo apt-get install python3-venv"
    }
}

install_python_tools() {
    local mark=$VENV/.packages
    [[ -f $mark && $(<"$mark") == "${PYTHON_PACKAGES[*]}" ]] && return
    install_venv
    note "${PYTHON_PACKAGES[*]}"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "${PYTHON_PACKAGES[@]}" ||
        die "the packages of the tests could not be installed from PyPI: ${PYTHON_PACKAGES[*]}"
    printf '%s\n' "${PYTHON_PACKAGES[*]}" >"$mark"
}
