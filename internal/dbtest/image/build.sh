#!/usr/bin/env bash
# Builds parkinglot-test-postgres:VERSION from Debian's packages, for machines whose
# Docker engine can pull no image. Needs root, debootstrap and a Docker engine.
#
#   build.sh 15    Debian bookworm
#   build.sh 17    Debian trixie
set -euo pipefail

version=${1:-15}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
case $version in
    15) suite=bookworm ;;
    17) suite=trixie ;;
    *) echo "build.sh: version $version: use 15 or 17" >&2; exit 2 ;;
esac
for tool in debootstrap docker; do
    command -v "$tool" >/dev/null || { echo "build.sh: install $tool first" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "build.sh: debootstrap needs root" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include="postgresql-$version" "$suite" "$root" "$mirror"
install -m 755 "$here/docker-entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
# What a test server never reads.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info} \
       "$root"/var/lib/postgresql/* "$root"/var/log/*

tar -C "$root" -c . | docker import \
    --change "ENV PATH=/usr/lib/postgresql/$version/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    --change "ENV PGDATA=/pgdata/data" \
    --change "EXPOSE 5432" \
    --change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
    --change 'CMD ["postgres"]' \
    --message "Postgres $version from Debian $suite" \
    - "parkinglot-test-postgres:$version"
