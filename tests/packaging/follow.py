"""Does what docs/install.md says, word for word, from the installation to the last `rm`: for a machine that is thrown away afterwards (`make fresh`).

`python -m tests.packaging.follow`, beside the `dist/` of `make dist`, as root. Every `sh` block of the page is run in its order by bash. In place of what a
tree without a running systemd lacks stand small programs: `systemctl` starts and stops the unit's own command as the unit's user, the others answer.
The upgrade is to a version of its own making, with a newer schema.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.packaging.built import ROOT, copy_tree
from tests.systemd.unit import ours

THROWAWAY = Path("/etc/latarnik-throwaway")
"""`make fresh` puts this file into its tree: nothing of this is ever done to a machine that somebody needs."""
STATE = Path("/var/lib/latarnik")
DATABASE = STATE / "latarnik.sqlite3"
NEXT, SCHEMA = "99.0.0", "9001"

SYSTEMCTL = """#!/bin/bash
set -euo pipefail
pid=/run/latarnik.pid log=/var/log/latarnik-service
start() {{
    : >$log
    start-stop-daemon --start --background --make-pidfile --pidfile $pid --chuid {user} --no-close --startas /usr/bin/env -- \\
        STATE_DIRECTORY={state} CREDENTIALS_DIRECTORY=/etc/latarnik/credentials {command} >>$log 2>&1
    for _ in $(seq 300); do
        grep -q '"watching"' $log && return
        sleep 0.1
    done
    cat $log >&2
    return 1
}}
case $1 in
daemon-reload) test -f /etc/systemd/system/latarnik.service || test ! -e /opt/latarnik ;;
start) start ;;
stop) start-stop-daemon --stop --oknodo --retry TERM/60 --pidfile $pid --remove-pidfile ;;
enable) start ;;
disable) "$0" stop ;;
*) echo "systemctl $*: not expected" >&2; exit 1 ;;
esac
"""

NEWER = f"""
import sqlalchemy as sa
from alembic import op
revision = "{SCHEMA}"
down_revision = "HEAD"
branch_labels = depends_on = None
def upgrade() -> None:
    op.create_table("of_tomorrow", sa.Column("id", sa.String(), primary_key=True))
"""


def blocks(page: str) -> list[tuple[str, str]]:
    """(heading, text) of every `sh` block."""
    found: list[tuple[str, str]] = []
    heading = ""
    for match in re.finditer(r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        heading = match[1] or heading
        if match[2] == "sh":
            found.append((heading, match[3]))
    return found


def programs(folder: Path, yaml: str) -> None:
    """What the page calls and this tree cannot do."""
    (folder / "latarnik.yaml").write_text(yaml)
    texts = {
        "systemctl": SYSTEMCTL.format(user=ours().one("User"), state=STATE, command=" ".join(ours().command())),
        "journalctl": '#!/bin/sh\n[ "$1" = --namespace=latarnik ]\n',
        "systemd-ask-password": "#!/bin/sh\necho a secret of a test\n",
        "editor": f'#!/bin/sh\ncat {folder}/latarnik.yaml >"$1"\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def newer(dist: Path, folder: Path, head: str) -> None:
    """Put a wheel of a version to come into `dist`."""
    copy_tree(folder)
    for file, name in (("pyproject.toml", "version"), ("agent/__init__.py", "__version__")):
        text = (folder / file).read_text()
        (folder / file).write_text(re.sub(rf'^{name} = ".*"$', f'{name} = "{NEXT}"', text, flags=re.MULTILINE))
    (folder / "agent/store/migrations/versions/9001_tomorrow.py").write_text(NEWER.replace("HEAD", head))
    for wheel in dist.glob("latarnik-*"):
        wheel.unlink()
    run(f"{sys.executable} -m build --no-isolation --wheel --outdir {dist} {folder}", dist.parent)
    run("find . -type f ! -name SHA256SUMS -printf '%P\\0' | sort -z | xargs -0 sha256sum > SHA256SUMS", dist)


def run(text: str, cwd: Path) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=cwd, check=True, stdin=subprocess.DEVNULL)


def says(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd="/").stdout


def answers() -> None:
    with urllib.request.urlopen("http://127.0.0.1:9877/-/ready", timeout=10) as page:
        assert page.status == 200


def schema() -> str:
    raw = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    found: str = raw.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    raw.close()
    return found


def main() -> None:
    if not THROWAWAY.exists() or os.geteuid() != 0:
        sys.exit("this installs and removes a service: it runs in the tree of `make fresh` alone")
    page = (ROOT / "docs" / "install.md").read_text()
    (yaml,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    folder, dist = Path("/root/follow"), ROOT / "dist"
    (folder / "bin").mkdir(parents=True)
    programs(folder / "bin", yaml)
    os.environ["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"
    (version,) = (wheel.name.split("-")[1] for wheel in dist.glob("latarnik-*.whl"))
    found: dict[str, str] = {}

    def installed() -> None:
        assert says("latarnik", "version").startswith(f"latarnik {version} ")
        assert Path("/etc/systemd/journald@latarnik.conf").is_file()

    def started() -> None:
        answers()
        assert '"gate-2"' in says("latarnik", "list", "--output", "json")
        found["schema"] = schema()
        newer(dist, folder / "newer", found["schema"])

    def upgraded() -> None:
        answers()
        assert (says("latarnik", "version").split()[1], schema()) == (NEXT, SCHEMA)
        assert (STATE / f"latarnik.sqlite3.schema-{found['schema']}").is_file()

    def back() -> None:
        answers()
        assert (says("latarnik", "version").split()[1], schema()) == (version, found["schema"])

    def backed_up() -> None:
        answers()
        for file in Path("/var/backups/latarnik").iterdir():
            assert file.stat().st_mode & 0o077 == 0, file
        names = says("tar", "--list", "--gzip", "--file", *(str(p) for p in Path("/var/backups/latarnik").glob("*.tar.gz")))
        assert "etc/latarnik/credentials/rooms" in names
        assert not re.search(r"sqlite3|sessions|daemon\.lock|\.sock", names), names
        # The disk dies, but for what was carried away.
        run(
            "systemctl stop latarnik; rm -rf /etc/latarnik/latarnik.yaml; head -c 100000 /dev/urandom | tee /var/lib/latarnik/latarnik.sqlite3* >/dev/null",
            ROOT,
        )

    def restored() -> None:
        answers()
        assert schema() == found["schema"]

    def removed() -> None:
        places = ("/opt", "/usr/local/bin", "/etc/systemd", "/etc/systemd/system", "/etc/sysusers.d")
        assert [path for place in places for path in Path(place).glob("*latarnik*")] == []

    def gone() -> None:
        assert not STATE.exists()
        assert "latarnik:" not in Path("/etc/passwd").read_text()

    nothing: Callable[[], None] = lambda: None  # noqa: E731 - a step after which there is nothing to see
    then = {
        "Install": [installed],
        "Configuration": [nothing],
        "Secrets": [nothing],
        "First run": [started, nothing],
        "Upgrade": [upgraded, back],
        "Backup and restore": [backed_up, restored],
        "Uninstall": [removed, gone],
    }
    for heading, text in blocks(page):
        if heading == "Build what the server gets":
            continue  # `make dist` made it
        print(f"--- {heading}\n{text}", flush=True)
        # Nothing answers at the addresses of the page, so there is nothing to trust.
        text = re.sub(r"^(latarnik trust (?:gate-2|--all).*?)( *#.*)?$", r"\1 || true", text, flags=re.MULTILINE)
        run(text.replace("before=latarnik-0.1.0", f"before=latarnik-{version}"), ROOT)
        then[heading].pop(0)()
    assert not any(then.values()), f"the page has no more such a block: {then}"
    print("docs/install.md was followed from its first command to its last")


if __name__ == "__main__":
    main()
