#!/bin/sh
# The command line beside the service: as its user, with its state folder and the credentials it has. Installed as /usr/local/bin/latarnik.
set -eu
if [ "$(id -u)" = 0 ]; then
    # Not as root: what root writes into the state folder the service could not read.
    exec setpriv --reuid=latarnik --regid=latarnik --init-groups -- "$0" "$@"
fi
if [ -z "${CREDENTIALS_DIRECTORY:-}" ]; then
    # The files themselves where this user may read them; else what systemd keeps for the service while it runs.
    for folder in /etc/latarnik/credentials /run/credentials/latarnik.service; do
        if [ -r "$folder" ]; then
            export CREDENTIALS_DIRECTORY="$folder"
            break
        fi
    done
fi
export STATE_DIRECTORY=/var/lib/latarnik
exec /opt/latarnik/bin/python -P -m agent.cli "$@"
