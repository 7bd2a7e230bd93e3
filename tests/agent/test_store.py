"""The database: what cannot be used is left as it was and says so; what is written is there after a kill."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from agent.app import find_house, read_config, running
from agent.errors import StoreError
from agent.model import Component, Fault, History, Identity, Incident, IncidentState, Severity
from agent.ports import SystemClock
from agent.store import queries
from agent.store.database import FILE, daemon_lock, open_store
from agent.store.queries import _HISTORY
from agent.store.tables import metadata

T0 = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


def incident(id: str, state: IncidentState = IncidentState.SUSPECTED) -> Incident:
    fault = Fault(code="x.y", severity=Severity.WARNING, summary="s")
    return Incident(id=id, key="cam/x.y", device="cam", fault=fault, state=state, first_seen=T0, last_seen=T0)


def test_a_new_database_has_the_schema_of_the_tables_and_is_private(tmp_path: Path) -> None:
    with open_store(tmp_path / "state") as store, store.transaction() as c:
        assert compare_metadata(MigrationContext.configure(c), metadata) == []
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_opening_it_again_keeps_what_is_in_it(tmp_path: Path) -> None:
    history = History(identity=Identity(serial="S"), components={"a": Component(kind="disk", key="a", state="ok")}, healthy=frozenset({"x"}), reboots=(T0,))
    with open_store(tmp_path) as store, store.transaction() as c:
        queries.save_history(c, "cam", history)
    with open_store(tmp_path) as store, store.transaction() as c:
        assert queries.load_history(c, "cam") == history


@pytest.mark.parametrize("damage", ["text", "truncated", "page"])
def test_a_damaged_database_gives_a_clear_error_and_is_left_as_it_was(tmp_path: Path, damage: str) -> None:
    path = tmp_path / FILE
    with open_store(tmp_path) as store, store.transaction() as c:
        for n in range(200):
            queries.save_history(c, f"cam-{n}", History(identity=Identity(serial="S" * 200)))
    for leftover in tmp_path.glob(FILE + "-*"):
        leftover.unlink()
    whole = path.read_bytes()
    path.write_bytes({"text": b"this is a text\n" * 500, "truncated": whole[: len(whole) // 2], "page": whole[:8192] + b"\xff" * 8192 + whole[16384:]}[damage])
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught, open_store(tmp_path):
        pass
    assert FILE in str(caught.value)
    assert "left as it was" in str(caught.value)
    assert path.read_bytes() == before


def test_a_newer_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.execute("CREATE TABLE of_the_future (a)")
    raw.close()
    with pytest.raises(StoreError, match="newer Latarnik") as caught, open_store(tmp_path):
        pass
    assert "9999" in str(caught.value)
    with sqlite3.connect(tmp_path / FILE) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    raw.close()


def test_beside_a_running_daemon_an_older_database_is_not_migrated(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    with open_store(tmp_path, migrate=False) as store:
        assert store.schema()
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("DELETE FROM alembic_version")
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT IN ('alembic_version')").fetchall():
            raw.execute(f"DROP TABLE {name}")
        raw.execute("DROP TABLE alembic_version")
    raw.close()
    with pytest.raises(StoreError, match="restart it"), open_store(tmp_path, migrate=False):
        pass


def test_a_strange_database_is_not_taken_over(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("CREATE TABLE recipes (name)")
    raw.close()
    with pytest.raises(StoreError, match="something else"), open_store(tmp_path):
        pass


def test_one_key_has_one_open_incident_whatever_the_program_does(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        with store.transaction() as c:
            queries.save_incident(c, incident("one"))
        with pytest.raises(IntegrityError), store._engine.begin() as c:
            queries.save_incident(c, incident("two"))
        with store.transaction() as c:
            queries.save_incident(c, incident("one", IncidentState.CLOSED))
            queries.save_incident(c, incident("two"))
            assert [i.id for i in queries.open_incidents(c)] == ["two"]


async def test_of_a_broken_transaction_nothing_is_written(tmp_path: Path) -> None:
    def work(c: Connection) -> None:
        queries.save_history(c, "cam", History())
        raise ZeroDivisionError

    with open_store(tmp_path) as store:
        with pytest.raises(ZeroDivisionError):
            await store.run(work)
        assert await store.run(lambda c: queries.load_history(c, "cam")) is None


def test_what_was_committed_is_there_after_kill_9(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from agent.model import History
        from agent.store import queries
        from agent.store.database import open_store
        with open_store(Path(sys.argv[1])) as store:
            with store.transaction() as c:
                queries.save_history(c, "committed", History())
            with store.transaction() as c:
                queries.save_history(c, "open", History())
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    with open_store(tmp_path) as store, store.transaction() as c:
        assert queries.load_history(c, "committed") is not None
        assert queries.load_history(c, "open") is None


async def test_two_daemons_do_not_share_a_folder(tmp_path: Path) -> None:
    async with daemon_lock(tmp_path):
        with pytest.raises(StoreError, match="another latarnik"):
            async with daemon_lock(tmp_path):
                pass
    async with daemon_lock(tmp_path):
        pass


async def test_the_lock_makes_the_state_folder_that_it_lies_in(tmp_path: Path) -> None:
    async with daemon_lock(tmp_path / "a" / "state"):
        assert (tmp_path / "a" / "state").stat().st_mode & 0o077 == 0


async def test_a_second_daemon_is_sent_away_before_it_touches_the_database(tmp_path: Path) -> None:
    (tmp_path / "latarnik.yml").write_text(f"site: {{name: s}}\ndevices: []\nstate_dir: {tmp_path / 'state'}\n")
    house = find_house()
    async with daemon_lock(tmp_path / "state"):
        with pytest.raises(StoreError, match="another latarnik"):
            async with running(read_config(tmp_path / "latarnik.yml", house), house, SystemClock()):
                pass
        assert not (tmp_path / "state" / FILE).exists()


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="state_dir"), open_store(tmp_path / "file" / "state"):
        pass


_words = st.text(max_size=8)
_parts = st.builds(Component, kind=_words, key=_words, name=_words, serial=_words, state=st.sampled_from(["ok", "failed"]), raw=_words, removable=st.booleans())


@given(
    st.builds(
        History,
        identity=st.builds(Identity, serial=_words, model=_words),
        components=st.dictionaries(_words, _parts, max_size=3),
        facts=st.dictionaries(_words, _words, max_size=3),
        healthy=st.frozensets(_words, max_size=3),
        first_success=st.none() | st.datetimes(timezones=st.just(UTC)),
        reboot_count=st.integers(0, 9),
    )
)
def test_a_history_comes_back_as_it_went_in(history: History) -> None:
    assert _HISTORY.validate_json(_HISTORY.dump_json(history)) == history
