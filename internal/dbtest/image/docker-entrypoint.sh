#!/bin/sh
# Entry point of the test image: a subset of the official image's, so that the
# tests treat both alike. Makes a cluster when there is none, then runs the server
# as user postgres with the arguments given.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$(dirname "$PGDATA")"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    secret=$(mktemp)
    printf %s "${POSTGRES_PASSWORD:?}" >"$secret"
    # shellcheck disable=SC2086 # arguments in one variable, as the official image has them
    initdb -D "$PGDATA" -U postgres -A scram-sha-256 --pwfile="$secret" ${POSTGRES_INITDB_ARGS:-} >/dev/null
    rm -f "$secret"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi
exec "$@" -c "listen_addresses=*" -c "unix_socket_directories=/tmp"
