"""What we ship, built from a clean copy of the tree, and installed beside the locked dependencies in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "collectors", "config", "exporters", "simulator")


def tree() -> list[str]:
    """The files of the project as git knows them, new ones included, without what it ignores."""
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(name for name in set(done.stdout.split("\0")) if name and (ROOT / name).is_file())


def copy_tree(folder: Path) -> None:
    for name in tree():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode & 0o777)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    sdist: Path
    wheel: Path

    def names(self) -> list[str]:
        """All files of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()


def build(folder: Path, *, umask: int = -1, **env: str) -> Built:
    """The source distribution out of the tree, and the wheel out of the source distribution. Needs no network.

    `umask` of who clones and builds; -1: that of the tests. `env`: variables of the environment in which it is built.
    """
    copy_tree(folder / "tree")
    if umask != -1:
        for path in [folder / "tree", *(folder / "tree").rglob("*")]:
            path.chmod((0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666) & ~umask)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "tree")],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(PIP_NO_INDEX="1", **env),
        umask=umask,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return Built(sdist=sdist, wheel=wheel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The wheel in an environment of its own. `elsewhere` is an empty folder to run in."""

    prefix: Path
    elsewhere: Path

    @property
    def python(self) -> str:
        return str(self.prefix / "bin" / "python")

    def run(self, *command: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a command, its first word out of the environment's programs, in `elsewhere`."""
        return subprocess.run(
            [str(self.prefix / "bin" / command[0]), *command[1:]],
            cwd=self.elsewhere,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def install(wheel: Path, folder: Path) -> Installed:
    """The wheel alone is installed; the dependencies are those of the environment that runs the tests, without our editable install in it.

    A path that stands in a .pth file is searched for modules but its own .pth files are not read, so the one of the editable install does nothing.
    """
    prefix, elsewhere = folder / "latarnik", folder / "elsewhere"
    elsewhere.mkdir()
    venv.create(prefix, symlinks=True, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(prefix), "platbase": str(prefix)}))
    (site / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(prefix / "bin" / "python")]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", "--no-compile", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Installed(prefix=prefix, elsewhere=elsewhere)


def environment(**more: str) -> dict[str, str]:
    """This one, without what would let Python find the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))} | {"PYTHONDONTWRITEBYTECODE": "1"} | more
