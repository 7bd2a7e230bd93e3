#!/usr/bin/env bash
# A bare Debian 12 with nothing of ours in it: clones the current commit into it, runs the README's two commands and what docs/install.md says there, and
# prints how long each took.
#
#     tests/fresh.sh [COMMAND...]        other commands instead, each one word of shell, in the clone
#
# Needs root and debootstrap (installed by apt-get when it is missing). Package mirror, package index, proxy and certificates are this machine's own: what
# apt, pip and the environment say. MIRROR= overrides the Debian mirror. The tree lies under TMPDIR (about 3 GB) and is removed, also after an interrupt.
# All that is mounted and started lives in namespaces of its own, which end with this script however it ends.
set -euo pipefail
export LC_ALL=C.UTF-8
SUITE=bookworm
PACKAGES=git,make,python3,python3-venv,ca-certificates
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
    echo "make fresh: $*" >&2
    exit 1
}

mirror() { # where this machine's apt gets Debian from
    if [ -n "${MIRROR:-}" ]; then
        echo "$MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # apt's own names
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$SUITE" '$1 == "Debian" && $3 == "main" && $2 !~ /-/ { if ($2 == suite) best = $4; any = $4 } END { print best ? best : any }'
}

pip_says() { # pip_says KEY: this machine's setting, from the environment or pip's own files
    local pip
    for pip in "$root/.venv/bin/pip" pip3 pip; do
        if command -v "$pip" >/dev/null; then
            # The environment is listed first and wins.
            "$pip" config list 2>/dev/null | sed -nE "s/^[^=]*\.$1='(.*)'$/\1/p" | head -n 1
            return
        fi
    done
    local name=PIP_${1//-/_}
    name=${name^^}
    echo "${!name:-}"
}

remote() { # of the words of $1 those that are no folder of this machine: such a folder is not in the tree
    local word
    for word in $1; do
        case $word in
        file:* | /* | .*) ;;
        *) printf '%s ' "$word" ;;
        esac
    done
}

timed() { # timed NAME COMMAND...: run it, and note what it took
    local begun=$SECONDS
    doing=$1
    shift
    echo "=== $doing"
    "$@"
    took+=("$(printf '%6d s  %s' $((SECONDS - begun)) "$doing")")
}

told() { # at the end, also of a failure
    local status=$?
    [ "$status" = 0 ] || took+=("$(printf '%6s    %s' FAILED "$doing")")
    echo "=== a clean machine, $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
    printf '%s\n' "${took[@]}"
    exit "$status"
}

bare_tree() {
    local tree=$1 from
    from=$(mirror)
    [ -n "$from" ] || die "apt of this machine names no Debian mirror; say MIRROR=URL"
    # A mount point, so that what is run inside may make mount namespaces of its own.
    mount --bind "$tree" "$tree"
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$tree" "$from" >"$tree.log" || {
        tail -n 20 "$tree.log" >&2
        return 1
    }
    mount -t proc proc "$tree/proc"
    mount --rbind /dev "$tree/dev"
    mount --rbind /sys "$tree/sys"
    # How this machine reaches the mirror and the index, and whom it trusts.
    cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
    cp /etc/hosts "$tree/etc/hosts"
    apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https)::(Proxy|CaInfo)' >"$tree/etc/apt/apt.conf.d/90this-machine" || true
    local bundle
    bundle=$(pip_says cert)
    for bundle in "$bundle" /etc/ssl/certs/ca-certificates.crt; do
        if [ -f "$bundle" ]; then
            cp -L "$bundle" "$tree/etc/ssl/certs/ca-certificates.crt"
            break
        fi
    done
}

clone() {
    # The commit alone: what is not committed is not on anybody else's machine.
    git -c safe.directory='*' clone --quiet --no-hardlinks "$root" "$1/root/latarnik"
    touch "$1/etc/latarnik-throwaway"
    git -c safe.directory='*' -C "$1/root/latarnik" log -1 --format='%h %s'
}

inside() { # inside TREE COMMAND: in the clone, with an environment of its own
    local tree=$1 key value name
    local settings=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI=true TERM=dumb)
    [ -z "$(pip_says cert)" ] || settings+=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
    for key in index-url extra-index-url trusted-host proxy default-timeout; do
        value=$(remote "$(pip_says "$key")")
        name=PIP_${key//-/_}
        [ -z "$value" ] || settings+=("${name^^}=${value% }")
    done
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    chroot "$tree" env -i "${settings[@]}" bash -c 'cd /root/latarnik && eval "$1"' fresh "$2" </dev/null
}

if [ "${1:-}" = --in-namespaces ]; then
    tree=$2
    shift 2
    took=() doing=
    trap told EXIT
    timed "a bare Debian 12 ($SUITE)" bare_tree "$tree"
    timed "git clone" clone "$tree"
    for command in "$@"; do
        timed "$command" inside "$tree" "$command"
    done
    exit
fi

# The README's two commands; then docs/install.md from its first command to its last, which nobody would do to a machine that is needed.
[ "$#" -gt 0 ] || set -- "make demo ONCE=1" "make test" "make debian-test-tools dist" ".venv/bin/python -m tests.packaging.follow"
missing=
[ "$(id -u)" = 0 ] || missing="$missing, root (sudo make fresh)"
if ! command -v debootstrap >/dev/null; then
    if [ -z "$missing" ] && command -v apt-get >/dev/null; then
        apt-get install -y -q --no-install-recommends debootstrap
    else
        missing="$missing, debootstrap (apt-get install debootstrap)"
    fi
fi
for tool in git unshare chroot; do
    command -v "$tool" >/dev/null || missing="$missing, $tool"
done
[ -z "$missing" ] || die "missing: ${missing#, }"

tree=$(mktemp -d "${TMPDIR:-/tmp}/latarnik-fresh.XXXXXX")
chmod 755 "$tree"
job=
finish() {
    trap - EXIT INT TERM HUP
    # With its first process a namespace loses all others, and with them its mounts.
    [ -z "$job" ] || kill -KILL "$job" 2>/dev/null && wait "$job" 2>/dev/null || true
    local try
    for try in 1 2 3 4 5; do
        # What is being killed just now may still write.
        rm -rf --one-file-system "$tree" "$tree.log" 2>/dev/null && return
        sleep "$try"
    done
    echo "make fresh: $tree could not be removed" >&2
}
trap finish EXIT
trap 'finish; exit 130' INT
trap 'finish; exit 143' TERM HUP
# A process group of its own: an interrupt at the terminal comes here, not into the tree.
set -m
unshare --mount --propagation private --pid --fork --kill-child "$BASH" "${BASH_SOURCE[0]}" --in-namespaces "$tree" "$@" &
job=$!
set +m
status=0
wait "$job" || status=$?
job=
exit "$status"
