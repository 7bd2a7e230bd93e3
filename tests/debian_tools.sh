#!/bin/sh
# What the tests need from Debian, installed as root or with sudo that asks no password. Without either: the one line to run, and exit code 1.
# The packages' services are neither started nor enabled: a test starts what it needs, on loopback, and stops it.
set -eu
export LC_ALL=C
PATH="$PATH:/usr/sbin:/sbin" # snmpd and ldconfig are there, and not on everybody's path

missing=
need() { # need PACKAGE COMMAND...: the package is missing when a command of it is
    package=$1
    shift
    for command; do
        command -v "$command" >/dev/null || { missing="$missing $package" && return 0; }
    done
}
need prometheus prometheus promtool
need snmp snmpget snmpgetnext snmpwalk
need snmpd snmpd
need systemd systemd-analyze systemd-sysusers
ldconfig -p | grep -q 'libseccomp\.so\.2 ' || missing="$missing libseccomp2"
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || { echo "the tests need, beyond Python, Debian's packages$missing, and this is no Debian" >&2 && exit 1; }
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "the tests need packages of Debian; run this once, as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing for the tests:$missing"
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
        prometheus | snmpd) $as_root systemctl disable --quiet "$service" 2>/dev/null || echo "$service stays enabled: systemctl would not disable it" >&2 ;;
        esac
    done
fi
