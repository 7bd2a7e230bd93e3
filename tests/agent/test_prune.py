"""The database has limits of age and size: what is over goes, the oldest first; what something may still be done for never does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, select

from agent import app
from agent.app import Daemon, find_house, read_config
from agent.inventory import build
from agent.model import Fault, History, Incident, IncidentState, Severity, Step, StepKind, StepState, TicketRef
from agent.store import prune as pruning
from agent.store import queries
from agent.store.database import FILE, Store, open_store
from agent.store.prune import Pruned, needed, prune
from agent.store.tables import cases, fingerprints, histories, incidents, logins, memory, outbox, ticket_table
from tests.support.clock import TurnedClock
from tests.support.promises import scale
from tests.tickets import samples

DAY = 86400.0
NOW = TurnedClock().now()
BIG = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A fault that was: its case if it made one, and its steps' states. `days`: when it ended."""

    name: str
    days: float
    device: str = "gate"
    incident: IncidentState = IncidentState.CLOSED
    case: str = "recovered"
    steps: tuple[StepState, ...] = (StepState.DONE,)


def put(c: Connection, past: Past, number: int) -> str:
    """Write it; the id of its case, '' if it made none."""
    at = NOW - timedelta(days=past.days)
    case = f"krakow-{at.year}-{number:04d}" if past.case else ""
    fault = Fault(code="x.y", severity=Severity.WARNING, summary="s")
    queries.save_incident(
        c,
        Incident(
            id=past.name,
            key=f"{past.device}/x.y/{past.name}",
            device=past.device,
            fault=fault,
            state=past.incident,
            first_seen=at - timedelta(hours=1),
            last_seen=at,
            case=case,
        ),
    )
    if not case:
        return ""
    queries.save_case(c, replace(samples.CASE, id=case, incident=past.name, device=past.device, opened_at=at, state=past.case))
    for seq, state in enumerate(past.steps, 1):
        kind = StepKind.CREATE if seq == 1 else StepKind.COMMENT
        step = Step(id=f"{case}.help.{seq}", case=case, desk="help", seq=seq, kind=kind, draft=samples.step(StepKind.CREATE, seq=1).draft)
        queries.add_step(c, step, now=at, state=state)
    queries.save_ticket(c, case, "help", TicketRef(ref="T1"), "resolved")
    return case


@contextmanager
def stored(folder: Path, *pasts: Past) -> Iterator[tuple[Store, list[str]]]:
    with open_store(folder) as store:
        with store.transaction() as c:
            made = [put(c, past, number) for number, past in enumerate(pasts, 1)]
        yield store, made


def left(store: Store) -> list[str]:
    """The incidents that are there."""
    with store.transaction() as c:
        return sorted(c.execute(select(incidents.c.id)).scalars())


async def test_what_ended_long_ago_goes_with_its_case_steps_and_tickets(tmp_path: Path) -> None:
    with stored(tmp_path, Past(name="old", days=800), Past(name="passing", days=800, case=""), Past(name="young", days=10)) as (store, made):
        pruned = await prune(store, {"gate"}, NOW, max_age=730 * DAY, max_size=BIG)
        assert (pruned.incidents, pruned.devices, pruned.over) == (2, (), 0)
        assert left(store) == ["young"]
        with store.transaction() as c:
            assert list(c.execute(select(cases.c.id)).scalars()) == [made[2]]
            assert list(c.execute(select(outbox.c.case_id)).scalars()) == [made[2]]
            assert list(c.execute(select(ticket_table.c.case_id)).scalars()) == [made[2]]


@pytest.mark.parametrize(
    "past",
    [
        Past(name="open", days=800, incident=IncidentState.CASED, case="open"),
        Past(name="back within days", days=800, incident=IncidentState.RECOVERED),
        Past(name="seen", days=800, incident=IncidentState.CONFIRMED, case=""),
        Past(name="unsent", days=800, steps=(StepState.DONE, StepState.PENDING)),
        Past(name="of unknown fate", days=800, steps=(StepState.UNKNOWN,)),
        Past(name="held", days=800, steps=(StepState.HELD,)),
        Past(name="being sent", days=800, steps=(StepState.SENDING,)),
    ],
)
async def test_what_something_may_still_be_done_for_stays_whatever_the_limits(tmp_path: Path, past: Past) -> None:
    with stored(tmp_path, past) as (store, made):
        with store.transaction() as c:
            before = counts(c)
            assert needed(c) == {case for case in made if case}
        pruned = await prune(store, {"gate"}, NOW, max_age=1.0, max_size=1)
        assert pruned.incidents == 0
        assert pruned.over > 0
        with store.transaction() as c:
            assert counts(c) == before


def counts(c: Connection) -> list[int]:
    return [c.execute(select(func.count()).select_from(table)).scalar_one() for table in (incidents, cases, outbox, ticket_table)]


async def test_a_step_that_was_given_up_goes_with_its_case(tmp_path: Path) -> None:
    with stored(tmp_path, Past(name="given up", days=800, steps=(StepState.DEAD, StepState.WITHDRAWN))) as (store, _):
        assert (await prune(store, {"gate"}, NOW, max_age=730 * DAY, max_size=BIG)).incidents == 1
        with store.transaction() as c:
            assert counts(c) == [0, 0, 0, 0]


async def test_a_case_that_several_faults_share_goes_with_the_last_of_them(tmp_path: Path) -> None:
    with stored(tmp_path, Past(name="first", days=800)) as (store, made):

        def also(name: str, days: float, state: IncidentState) -> None:
            at = NOW - timedelta(days=days)
            fault = Fault(code="x.y", severity=Severity.WARNING, summary="s")
            other = Incident(id=name, key=f"b/{name}", device="b", fault=fault, state=state, first_seen=at, last_seen=at, case=made[0])
            with store.transaction() as c:
                queries.save_incident(c, other)

        also("second", 10, IncidentState.RECOVERED)
        assert (await prune(store, {"gate", "b"}, NOW, max_age=730 * DAY, max_size=1)).incidents == 0
        also("second", 10, IncidentState.CLOSED)
        assert (await prune(store, {"gate", "b"}, NOW, max_age=730 * DAY, max_size=BIG)).incidents == 0
        assert (await prune(store, {"gate", "b"}, NOW + timedelta(days=721), max_age=730 * DAY, max_size=BIG)).incidents == 2
        with store.transaction() as c:
            assert counts(c) == [0, 0, 0, 0]


@pytest.mark.parametrize("inventory", [{"gate", "b"}, {"b"}])
async def test_what_an_open_incident_is_part_of_stays_until_that_is_closed(tmp_path: Path, inventory: set[str]) -> None:
    with stored(tmp_path, Past(name="whole", days=800)) as (store, made):

        def part(state: IncidentState) -> None:
            at = NOW - timedelta(days=900)
            fault = Fault(code="x.y", severity=Severity.WARNING, summary="s")
            with store.transaction() as c:
                queries.save_history(c, "gate", History())
                queries.save_incident(c, Incident(id="part", key="b/x.y", device="b", fault=fault, state=state, first_seen=at, last_seen=at, parent="whole"))

        part(IncidentState.CONFIRMED)
        await prune(store, inventory, NOW, max_age=10 * DAY, max_size=1)
        await prune(store, inventory, NOW + timedelta(days=11), max_age=10 * DAY, max_size=1)
        assert left(store) == ["part", "whole"]
        with store.transaction() as c:
            assert list(c.execute(select(cases.c.id)).scalars()) == made
        part(IncidentState.CLOSED)
        await prune(store, inventory, NOW + timedelta(days=11), max_age=10 * DAY, max_size=1)
        assert left(store) == []


async def test_over_the_size_the_oldest_goes_first_and_the_file_shrinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 1)
    count = 60
    pasts = [Past(name=f"{n:03d}", days=n, steps=(StepState.DONE,) * 30) for n in range(count)]
    with stored(tmp_path, *pasts) as (store, _):
        before = await store.run(pruning.used)
        pruned = await prune(store, {"gate"}, NOW, max_age=730 * DAY, max_size=before // 2)
        assert await store.run(pruning.used) <= before // 2
        assert pruned.over == 0
        # The youngest are there, and no more went than had to.
        assert left(store) == [f"{n:03d}" for n in range(count - pruned.incidents)]
        assert 0 < pruned.incidents < count * 0.7
        with store.transaction() as c:
            assert c.exec_driver_sql("PRAGMA freelist_count").scalar_one() == 0
            assert c.exec_driver_sql("PRAGMA page_count").scalar_one() * 4096 <= before // 2
    # Closed, so that nothing waits in the write-ahead log.
    assert (tmp_path / FILE).stat().st_size <= before // 2


async def test_others_write_between_the_parts_of_a_long_pruning(tmp_path: Path) -> None:
    """A removal is many short transactions: a poll that wants to write never waits for all of it."""
    with stored(tmp_path, *(Past(name=f"{n:04d}", days=800) for n in range(200))) as (store, _):
        turns: list[str] = []
        run = store.run

        async def watched(work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            turns.append("")
            return await run(work)

        store.run = watched  # type: ignore[method-assign]
        assert (await prune(store, {"gate"}, NOW, max_age=730 * DAY, max_size=BIG)).incidents == 200
        assert len(turns) > 200 / pruning.BATCH


async def test_a_number_is_never_given_to_a_second_case(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        with store.transaction() as c:
            put(c, Past(name="a", days=1), 1)
            put(c, Past(name="b", days=1), 12)
            assert queries.case_number(c, f"krakow-{NOW.year}-") == 13
        await prune(store, {"gate"}, NOW, max_age=1.0, max_size=BIG)
        with store.transaction() as c:
            assert counts(c) == [0, 0, 0, 0]
            assert queries.case_number(c, f"krakow-{NOW.year}-") == 13
            assert queries.case_number(c, f"krakow-{NOW.year + 1}-") == 1
            # A site whose name begins alike counts for itself.
            put(c, Past(name="c", days=1), 5)
            assert queries.case_number(c, "krakow-") == 1
            queries.save_case(c, replace(samples.CASE, id=f"krakow-{NOW.year}-hq-0077", incident="d"))
            assert queries.case_number(c, f"krakow-{NOW.year}-") == 13
        await prune(store, {"gate"}, NOW, max_age=1.0, max_size=BIG)
        with store.transaction() as c:
            assert queries.case_number(c, f"krakow-{NOW.year}-") == 13, "an older number that goes later changes nothing"


def know(c: Connection, device: str) -> None:
    """All that is kept of a device."""
    queries.save_history(c, device, History())
    queries.save_memory(c, device, {"scheme": "digest"})
    queries.offer_fingerprint(c, device, "https:443", "ab", NOW)
    for version in ("old", "new"):
        queries.save_login(c, queries.Login(device=device, version=version, state="refused", credential="c", way="http", at=NOW, detail=""))


def known(c: Connection) -> dict[str, int]:
    """How many rows there are of each device, the mark of one that left not counted."""
    found: dict[str, int] = {}
    for table in (histories, logins, fingerprints, memory):
        query = select(table.c.device).where(table.c.device != queries.AGENT)
        if table is memory:
            query = query.where(memory.c.key != pruning.LEFT)
        for device in c.execute(query).scalars():
            found[device] = found.get(device, 0) + 1
    return found


@pytest.mark.promise(1)
async def test_what_is_kept_of_a_device_goes_only_long_after_it_left_the_inventory(tmp_path: Path) -> None:
    async def tidy(inventory: set[str], after: float) -> Pruned:
        return await prune(store, inventory, NOW + timedelta(days=after), max_age=730 * DAY, max_size=1)

    with open_store(tmp_path) as store:
        with store.transaction() as c:
            for device in ("here", "gone", "back"):
                know(c, device)
        await tidy({"here"}, 0)
        await tidy({"here", "back"}, 400)
        await tidy({"here"}, 401)
        assert (await tidy({"here"}, 730)).devices == ()
        with store.transaction() as c:
            assert known(c) == {"here": 5, "gone": 5, "back": 5}
        assert (await tidy({"here"}, 731)).devices == ("gone",)
        with store.transaction() as c:
            # Refused logins of a device that is watched are never forgotten, however old (promise 1); who came back counts anew.
            assert known(c) == {"here": 5, "back": 5}
        assert (await tidy({"here"}, 401 + 731)).devices == ("back",)
        with store.transaction() as c:
            assert known(c) == {"here": 5}


@pytest.mark.parametrize("case", ["open", "unsent", "suspected", "recovered"])
async def test_of_a_device_that_left_what_is_open_stays_and_what_only_waited_for_a_poll_goes(tmp_path: Path, case: str) -> None:
    pasts = {
        "open": Past(name="p", days=1, device="gone", incident=IncidentState.CASED, case="open"),
        "unsent": Past(name="p", days=1, device="gone", steps=(StepState.PENDING,)),
        "suspected": Past(name="p", days=1, device="gone", incident=IncidentState.SUSPECTED, case=""),
        "recovered": Past(name="p", days=1, device="gone", incident=IncidentState.RECOVERED),
    }
    with stored(tmp_path, pasts[case]) as (store, _):
        with store.transaction() as c:
            know(c, "gone")
        await prune(store, set(), NOW, max_age=10 * DAY, max_size=BIG)
        assert left(store) == ["p"]
        pruned = await prune(store, set(), NOW + timedelta(days=11), max_age=10 * DAY, max_size=BIG)
        stays = case in ("open", "unsent")
        assert pruned.devices == (() if stays else ("gone",))
        assert left(store) == (["p"] if stays else [])
        with store.transaction() as c:
            assert known(c) == ({"gone": 5} if stays else {})


PASTS = st.builds(
    Past,
    name=st.uuids().map(str),
    days=st.floats(0, 1000),
    device=st.sampled_from(["here", "gone"]),
    incident=st.sampled_from(IncidentState),
    case=st.sampled_from(["", "open", "recovered"]),
    steps=st.lists(st.sampled_from(StepState), max_size=3).map(tuple),
)


@pytest.fixture(scope="module")
def one_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """To be emptied by who uses it: making one takes longer than using it."""
    with open_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@settings(max_examples=scale(40, 2000), deadline=None)
@given(st.lists(PASTS, max_size=12, unique_by=lambda p: p.name), st.floats(1, 1000 * DAY), st.integers(1, 200_000), st.floats(0, 2000))
async def test_what_is_needed_is_never_removed_and_the_rest_is_within_the_limits(
    one_store: Store, pasts: list[Past], max_age: float, max_size: int, later: float
) -> None:
    store, now = one_store, NOW + timedelta(days=later)
    with store.transaction() as c:
        for table in (incidents, cases, outbox, ticket_table, histories, logins, fingerprints, memory):
            c.execute(delete(table))
        made = [put(c, past, number) for number, past in enumerate(pasts, 1)]
        know(c, "here")
        know(c, "gone")
    await prune(store, {"here"}, NOW, max_age=max_age, max_size=BIG)
    pruned = await prune(store, {"here"}, now, max_age=max_age, max_size=max_size)
    there = left(store)
    with store.transaction() as c:
        kept = set(c.execute(select(cases.c.id)).scalars())
        steps = set(c.execute(select(outbox.c.id)).scalars())
        assert known(c)["here"] == 5
        assert "gone" in known(c) or pruned.devices == ("gone",)
        size = pruning.used(c)
    for past, case in zip(pasts, made, strict=True):
        unfinished = bool(case) and (past.case == "open" or not set(past.steps).isdisjoint(queries.OPEN_STEPS))
        alive = past.incident is not IncidentState.CLOSED and past.device == "here"
        if unfinished or alive:
            assert past.name in there
            assert not case or (case in kept and {f"{case}.help.{n}" for n in range(1, len(past.steps) + 1)} <= steps)
        elif past.incident is IncidentState.CLOSED and past.name in there:
            assert (now - (NOW - timedelta(days=past.days))).total_seconds() <= max_age
            assert size <= max_size


async def test_the_daemon_tidies_its_database_its_evidence_and_its_session_files(tmp_path: Path) -> None:
    """With a turned clock: nothing goes on the first day, the old goes when its time has come, a device that left goes with its session file."""
    (tmp_path / "latarnik.yaml").write_text(
        "site: {name: krakow}\nstate_dir: state\nevidence: {max_age: 90d}\nhistory: {max_age: 365d, max_size: 100MiB}\n"
        "devices:\n  - {id: gate, vendor: axis, host: 127.0.0.1}\n"
    )
    house = find_house()
    config = read_config(tmp_path / "latarnik.yaml", house)
    state, clock = tmp_path / "state", TurnedClock()
    pasts = (Past(name="over", days=300), Past(name="lasting", days=300, incident=IncidentState.CASED, case="open"))
    with stored(state, *pasts) as (store, made):
        with store.transaction() as c:
            know(c, "left")
        (state / "sessions").mkdir()
        (state / "sessions" / "left.json").write_text("{}")
        for case in made:
            (state / "evidence" / case).mkdir(parents=True)
            (state / "evidence" / case / "log").write_text("x")
        daemon = Daemon(config, house, build(config), store, clock)
        await daemon._tidy()
        assert left(store) == ["lasting", "over"]
        clock.turn(66 * DAY)
        await daemon._tidy()
        assert left(store) == ["lasting"]
        clock.set_wall(clock.now() + timedelta(days=2000))
        await daemon._tidy()
        assert left(store) == ["lasting"]
        assert [p.name for p in (state / "evidence").iterdir()] == [made[1]]
        assert list((state / "sessions").iterdir()) == []


async def test_a_limit_that_cannot_be_kept_is_said_once_and_again_when_it_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def warning(event: str, **words: object) -> None:
        said.append(f"{event} {words['next']}")

    monkeypatch.setattr(app, "logger", lambda name: SimpleNamespace(warning=warning, info=lambda event, **_: None))
    (tmp_path / "latarnik.yaml").write_text("site: {name: krakow}\nstate_dir: state\nhistory: {max_size: 1KiB}\ndevices: []\n")
    house = find_house()
    config = read_config(tmp_path / "latarnik.yaml", house)
    with open_store(tmp_path / "state") as store:
        daemon = Daemon(config, house, build(config), store, TurnedClock())
        await daemon._tidy()
        await daemon._tidy()
        assert [line.split()[0] for line in said] == ["limit_not_kept"]
        assert "raise history.max_size" in said[0]
        daemon._tell_over("history", 0)
        await daemon._tidy()
        assert len(said) == 2
