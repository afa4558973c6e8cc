# Starts and stops throw-away PostgreSQL servers below one directory.
# shellcheck shell=bash

free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do ((port++)); done
    printf '%s\n' "$port"
}

# start_server DIR MAJOR PORT: a new, empty server that trusts everyone on this machine.
start_server() {
    local dir=$1 major=$2 port=$3 bin=$PG_ROOT/$2/bin
    rm -rf "$dir"
    mkdir -p "$dir"
    [[ $(id -u) != 0 ]] || chown "$SERVER_USER" "$dir"
    as_server "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
        die "initdb of PostgreSQL $major failed" "$(tail -n 3 "$dir/initdb.log")"
    # Over TCP only: the path of a socket below a deep checkout would be too long.
    cat >>"$dir/data/postgresql.conf" <<-END
		listen_addresses = '127.0.0.1'
		port = $port
		unix_socket_directories = ''
		fsync = off
		synchronous_commit = off
		full_page_writes = off
		max_wal_size = '2GB'
		timezone = 'UTC'
	END
    (cd "$dir" && as_server "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 start >/dev/null 2>&1) ||
        die "PostgreSQL $major did not start" "$(tail -n 5 "$dir/server.log" 2>/dev/null)"
}

# stop_server DIR MAJOR: stops the server that runs there, if one does.
stop_server() {
    [[ -f $1/data/postmaster.pid ]] || return 0
    (cd "$1" && as_server "$PG_ROOT/$2/bin/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null 2>&1) || true
}
