"""A copy of the database made while it is in use can be put in its place: nothing is sent twice, and an upgrade has a way back."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.delivery.outbox import Courier
from agent.errors import StoreError
from agent.model import Artifact, History, Identity, Step, StepKind, StepState
from agent.store import database, queries
from agent.store.backup import copy
from agent.store.database import FILE, Store, open_store
from agent.store.tables import histories
from tests.agent.test_outbox import MemoryDesk
from tests.cli.terminal import latarnik
from tests.support.clock import TurnedClock
from tests.tickets import samples


def with_history(folder: Path, count: int = 1) -> None:
    with open_store(folder) as store, store.transaction() as c:
        for n in range(count):
            queries.save_history(c, f"cam-{n}", History(identity=Identity(serial="S" * 200)))


def test_the_copy_is_a_whole_database_that_nobody_else_may_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    with_history(tmp_path / "state", 50)
    target = tmp_path / "backup"
    size = copy(tmp_path / "state" / FILE, target)
    assert size == target.stat().st_size > 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backup", "state"]
    (tmp_path / "restored").mkdir()
    target.rename(tmp_path / "restored" / FILE)
    with open_store(tmp_path / "restored") as store, store.transaction() as c:
        assert len(c.execute(select(histories.c.device)).all()) == 50
        # It gives room back to the disk as the one it was made from.
        assert c.exec_driver_sql("PRAGMA auto_vacuum").scalar_one() == 2


def test_it_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    """Every transaction writes two rows that belong together: in no copy is there one without the other."""
    with open_store(tmp_path) as store:
        stop = threading.Event()
        wrote = threading.Event()

        def write() -> None:
            n = 0
            while not stop.is_set():
                with store.transaction() as c:
                    for half in "ab":
                        queries.save_history(c, f"{n}-{half}", History())
                n += 1
                wrote.set()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            counts = []
            for n in range(10):
                wrote.clear()
                assert wrote.wait(30)
                copy(tmp_path / FILE, tmp_path / f"backup-{n}")
                raw = sqlite3.connect(tmp_path / f"backup-{n}")
                assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                names = {row[0] for row in raw.execute("SELECT device FROM histories")}
                raw.close()
                counts.append(len(names))
                assert {name[:-1] + {"a": "b", "b": "a"}[name[-1]] for name in names} == names
        finally:
            stop.set()
            writer.join()
    assert counts == sorted(set(counts)), "the writer wrote on between the copies"


def put_steps(store: Store, folder: Path) -> None:
    file = folder / "evidence" / "k" / "log"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    artifact = Artifact(name="log", media_type="text/plain", path=file, size=1, sha256="0", collected_at=TurnedClock().now())
    kinds = (StepKind.CREATE, StepKind.ATTACH, StepKind.COMMENT)
    with store.transaction() as c:
        for seq, kind in enumerate(kinds, 1):
            artifacts = (artifact,) if kind is StepKind.ATTACH else ()
            draft = samples.step(StepKind.CREATE, seq=1).draft
            step = Step(id=f"k.help.{seq}", case="k", desk="help", seq=seq, kind=kind, draft=draft, artifacts=artifacts)
            queries.add_step(c, step, now=TurnedClock().now())


@pytest.mark.promise(4)
async def test_what_was_sent_after_the_copy_is_not_sent_again_by_who_restores_it(tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """Copied before each number of steps was sent: a desk that forgives no step sent twice, its ticket and its files are as without the restore."""
    whole = None
    for sent in range(4):
        folder, desk, clock = tmp_path / str(sent), MemoryDesk(), TurnedClock()
        folder.mkdir()

        def courier(store: Store, folder: Path = folder, desk: MemoryDesk = desk, clock: TurnedClock = clock) -> Courier:
            return Courier(
                "help",
                desk,
                store=store,
                clock=clock,
                evidence_root=folder / "evidence",
                delivered=lambda _desk, _outcome: None,
                settled=lambda _c, _step, _now: None,
                taken=lambda _step: None,
            )

        with open_store(folder) as store:
            put_steps(store, folder)
            # The steps after those that were sent before the copy are not yet due.
            with store.transaction() as c:
                for seq in range(sent + 1, 4):
                    queries.set_step(c, f"k.help.{seq}", StepState.PENDING, next_at=clock.now() + timedelta(minutes=1))
            await courier(store).once()
            copy(folder / FILE, folder / "backup")
            clock.turn(120)
            await courier(store).once()
        for leftover in folder.glob(FILE + "*"):
            leftover.unlink()
        (folder / "backup").rename(folder / FILE)
        with open_store(folder) as store:
            clock.turn(120)
            await courier(store).once()
            with store.transaction() as c:
                assert [q.state for q in queries.queued(c, states=list(StepState))] == [StepState.DONE] * 3
        taken = (desk.tickets, desk.state, desk.files)
        whole = whole or taken
        assert taken == whole
        assert desk.files == ["0"]
    tried("restores after other steps were sent", 4)


def test_a_file_that_is_there_is_not_overwritten_and_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with_history(tmp_path / "state")
    (tmp_path / "there").write_text("precious")
    with pytest.raises(StoreError, match="is there already; name a file that is not"):
        copy(tmp_path / "state" / FILE, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"
    with pytest.raises(StoreError, match=r"nowhere/x\.partial: cannot be written \(No such file or directory\)"):
        copy(tmp_path / "state" / FILE, tmp_path / "nowhere" / "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state", "there"]


def test_a_database_that_is_damaged_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is a text\n" * 500)
    with pytest.raises(StoreError, match="cannot be copied"):
        copy(tmp_path / FILE, tmp_path / "backup")
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_the_command_copies_the_database_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "latarnik.yaml").write_text("site: {name: a}\nstate_dir: state\ndevices: []\n")
    arguments = ("backup", str(tmp_path / "copy"), "--config", str(tmp_path / "latarnik.yaml"))
    done = latarnik(*arguments)
    assert (done.code, "nothing to copy" in done.err) == (1, True), done
    with_history(tmp_path / "state")
    done = latarnik(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{tmp_path / 'copy'}: {(tmp_path / 'copy').stat().st_size / 2**20:.1f} MiB.\n"
    done = latarnik(*arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("latarnik: ")


NEWER = """
import sqlalchemy as sa
from alembic import op
revision = "9001"
down_revision = {head!r}
branch_labels = depends_on = None
def upgrade() -> None:
    op.create_table("of_tomorrow", sa.Column("id", sa.String(), primary_key=True))
"""


@pytest.mark.parametrize("migrate", [True, False])
def test_an_upgrade_keeps_a_copy_of_the_database_that_the_version_before_takes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrate: bool) -> None:
    state, newer = tmp_path / "state", tmp_path / "newer"
    with_history(state, 3)
    with open_store(state) as store:
        head = store.schema()
    stale = state / f"{FILE}.schema-0000"
    stale.write_text("of the upgrade before")
    shutil.copytree(Path(database.__file__).parent / "migrations", newer / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "migrations" / "versions" / "9001_tomorrow.py").write_text(NEWER.format(head=head))
    with monkeypatch.context() as patch:
        patch.setattr(database, "__file__", str(newer / "database.py"))
        if not migrate:
            # A command beside a daemon of the version before changes nothing and keeps nothing.
            with pytest.raises(StoreError, match="older version"), open_store(state, migrate=False):
                pass
            assert stale.exists()
            return
        with open_store(state) as store:
            assert store.schema() == "9001"
        with open_store(state):
            pass
    kept = state / f"{FILE}.schema-{head}"
    assert [p for p in state.iterdir() if ".schema-" in p.name] == [kept]
    with pytest.raises(StoreError, match="newer Latarnik"), open_store(state):
        pass
    for path in state.glob(FILE + "*"):
        if path != kept:
            path.unlink()
    kept.rename(state / FILE)
    with open_store(state) as store, store.transaction() as c:
        assert len(c.execute(select(histories.c.device)).all()) == 3
