#!/bin/sh
# What the benchmarks need from Debian, installed as root or with sudo that asks no password. Without either: the one line to run, and exit code 1.
# The packages' services are neither started nor enabled: a benchmark starts what it needs, on loopback, and stops it.
set -eu
export LC_ALL=C
PATH="$PATH:/usr/sbin:/sbin" # nginx is there, and not on everybody's path

missing=
need() { # need PACKAGE COMMAND: the package is missing when its command is
    command -v "$2" >/dev/null || missing="$missing $1"
}
need nginx-light nginx
need prometheus-blackbox-exporter prometheus-blackbox-exporter
need prometheus-snmp-exporter prometheus-snmp-exporter
need gcc cc
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || { echo "the benchmarks need, beyond Python, Debian's packages$missing, and this is no Debian" >&2 && exit 1; }
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "the benchmarks need packages of Debian; run this once, as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing for the benchmarks:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    # 101: the action is forbidden. Whatever comes, it goes away again.
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null; }
try=1
until apt update; do
    # Its own lock has no time-out: somebody else's update may hold it.
    [ "$try" -lt 10 ] || { echo "apt-get update failed $try times" >&2 && exit 1; }
    try=$((try + 1))
    sleep 6
done
# shellcheck disable=SC2086 # one word a package
apt install -y --no-install-recommends $missing
if command -v systemctl >/dev/null; then
    for service in $missing; do
        case $service in
        nginx-light) unit=nginx ;;
        prometheus-*) unit=$service ;;
        *) continue ;;
        esac
        $as_root systemctl disable --quiet "$unit" 2>/dev/null || echo "$unit stays enabled: systemctl would not disable it" >&2
    done
fi
