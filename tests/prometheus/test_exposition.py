from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.model import MetricKind, MetricSpec, Reading
from exporters.prometheus.exposition import MAX_LABEL, Exposition, Reason, Refused, pieces

GAUGE = MetricSpec(name="latarnik_t_celsius", labels=("sensor",), help='A \\ gauge\nof "two" lines')
COUNTER = MetricSpec(name="latarnik_t_restarts_total", kind=MetricKind.COUNTER, help="A counter")
INFO = MetricSpec(name="latarnik_t_info", kind=MetricKind.INFO, labels=("model", "room"), help="An info")
STATES = MetricSpec(name="latarnik_t_state", states=("idle", "busy"), help="A set of states")
SPECS = (GAUGE, COUNTER, INFO, STATES)

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def page(exposition: Exposition, *, openmetrics: bool = False, names: frozenset[str] = frozenset()) -> str:
    body = b"".join(pieces(exposition.view(names), openmetrics=openmetrics)).decode()
    return body + "# EOF\n" if openmetrics else body


def series(text: str) -> Series:
    """Everything a page says, by either of prometheus_client's parsers; a series that stands twice fails."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    found: Series = {}
    for family in parse(text):  # type: ignore[no-untyped-call, unused-ignore]  # the parsers are untyped
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def of(exposition: Exposition) -> Series:
    """What both formats say, which must be the same."""
    text, openmetrics = series(page(exposition)), series(page(exposition, openmetrics=True))
    assert {k: repr(v) for k, v in text.items()} == {k: repr(v) for k, v in openmetrics.items()}
    return text


def key(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def refused(exposition: Exposition, *readings: Reading) -> Sequence[Reason]:
    return [r.reason for r in exposition.update("d", readings)]


def test_both_formats_are_written_as_their_rules_say() -> None:
    exposition = Exposition(SPECS)
    exposition.update(
        "room-1",
        [
            Reading(metric=GAUGE.name, value=41.5, labels=('c"pu\\\n',)),
            Reading(metric=COUNTER.name, value=3),
            Reading(metric=INFO.name, labels=("X50", "3.14")),
            Reading(metric=STATES.name, state="busy"),
        ],
    )
    assert page(exposition) == (
        '# HELP latarnik_t_celsius A \\\\ gauge\\nof "two" lines\n# TYPE latarnik_t_celsius gauge\n'
        'latarnik_t_celsius{device="room-1",sensor="c\\"pu\\\\\\n"} 41.5\n'
        "# HELP latarnik_t_restarts_total A counter\n# TYPE latarnik_t_restarts_total counter\n"
        'latarnik_t_restarts_total{device="room-1"} 3\n'
        "# HELP latarnik_t_info An info\n# TYPE latarnik_t_info gauge\n"
        'latarnik_t_info{device="room-1",model="X50",room="3.14"} 1\n'
        "# HELP latarnik_t_state A set of states\n# TYPE latarnik_t_state gauge\n"
        'latarnik_t_state{device="room-1",state="idle"} 0\nlatarnik_t_state{device="room-1",state="busy"} 1\n'
        'latarnik_t_state{device="room-1",state="unknown"} 0\n'
    )
    heads = [line for line in page(exposition, openmetrics=True).splitlines() if line.startswith("#")]
    assert heads == [
        '# HELP latarnik_t_celsius A \\\\ gauge\\nof \\"two\\" lines',
        "# TYPE latarnik_t_celsius gauge",
        "# UNIT latarnik_t_celsius celsius",
        "# HELP latarnik_t_restarts A counter",
        "# TYPE latarnik_t_restarts counter",
        "# HELP latarnik_t An info",
        "# TYPE latarnik_t info",
        "# HELP latarnik_t_state A set of states",
        "# TYPE latarnik_t_state gauge",
        "# EOF",
    ]


# What a device may call its sensors: anything but half a character, which has no UTF-8, and not longer than is kept.
LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_LABEL)


@given(st.dictionaries(st.tuples(LABEL, LABEL), st.floats(), max_size=8), LABEL)
def test_whatever_devices_say_the_page_reads_back_to_exactly_that(values: dict[tuple[str, str], float], room: str) -> None:
    exposition = Exposition(SPECS)
    expected: Series = {}
    devices = {device for device, _ in values}
    for device in devices:
        readings = [Reading(metric=GAUGE.name, value=value, labels=(sensor,)) for (d, sensor), value in values.items() if d == device]
        assert not exposition.update(device, [*readings, Reading(metric=INFO.name, labels=("", room))])
        expected |= {key(GAUGE.name, device=device, sensor=r.labels[0]): r.value or 0.0 for r in readings}
        expected[key(INFO.name, device=device, model="", room=room)] = 1.0
    found = of(exposition)
    assert found.keys() == expected.keys()
    assert all(found[k] == v or (isnan(found[k]) and isnan(v)) for k, v in expected.items())


ODD = st.builds(
    Reading,
    metric=st.sampled_from([s.name for s in SPECS] + ["latarnik_foreign"]),
    value=st.none() | st.floats() | st.integers(),
    state=st.sampled_from(["", "idle", "what"]),
    labels=st.lists(st.text(max_size=3), max_size=3).map(tuple),
)


@given(st.lists(ODD, max_size=100), st.text(max_size=3))
def test_no_reading_however_wrong_makes_the_page_invalid(readings: list[Reading], device: str) -> None:
    exposition = Exposition(SPECS)
    left_out = exposition.update(device, readings)
    # Each reading is either on the page (a set of states: three lines) or reported.
    per_metric = {s.name: sum(name == s.name for name, _ in of(exposition)) for s in SPECS}
    per_metric[STATES.name] //= 3
    assert sum(per_metric.values()) + len(left_out) == len(readings)


def test_half_a_character_and_an_endless_name_do_not_reach_the_page() -> None:
    exposition = Exposition(SPECS)
    exposition.update("d", [Reading(metric=GAUGE.name, value=1, labels=(name,)) for name in ("\ud800", "x" * 10_000)])
    assert {dict(labels)["sensor"] for _, labels in of(exposition)} == {"?", "x" * (MAX_LABEL - 1) + "…"}


def test_a_reading_of_a_metric_nobody_declared_is_reported_and_left_out() -> None:
    exposition = Exposition(SPECS)
    assert list(exposition.update("d", [Reading(metric="latarnik_foreign", value=1)])) == [Refused(metric="latarnik_foreign", reason=Reason.UNDECLARED)]
    assert page(exposition) == ""


def test_the_second_of_two_readings_of_the_same_series_is_left_out() -> None:
    exposition = Exposition(SPECS)
    cpu, state = Reading(metric=GAUGE.name, value=1, labels=("cpu",)), Reading(metric=STATES.name, state="idle")
    assert refused(exposition, cpu, Reading(metric=GAUGE.name, value=2, labels=("cpu",)), state, state) == [Reason.DUPLICATE, Reason.DUPLICATE]
    assert of(exposition)[key(GAUGE.name, device="d", sensor="cpu")] == 1


def test_one_device_adds_no_more_series_than_the_metric_allows_and_never_half_a_set_of_states() -> None:
    few = MetricSpec(name="latarnik_few_celsius", labels=("sensor",), help="x", max_series=2)
    states = MetricSpec(name="latarnik_few_state", labels=("part",), states=("on", "off"), help="x", max_series=5)
    exposition = Exposition((few, states))
    readings = [Reading(metric=few.name, value=1, labels=(str(i),)) for i in range(4)] + [Reading(metric=states.name, state="on", labels=(p,)) for p in "ab"]
    assert refused(exposition, *readings) == [Reason.TOO_MANY] * 3
    assert len(of(exposition)) == 2 + 3


@pytest.mark.parametrize(
    "reading",
    [
        Reading(metric=GAUGE.name, labels=("cpu",)),
        Reading(metric=GAUGE.name, labels=("cpu",), state="idle"),
        Reading(metric=GAUGE.name, labels=("cpu",), value=10**400),
        Reading(metric=COUNTER.name, value=-1.0),
        Reading(metric=COUNTER.name, value=nan),
        Reading(metric=COUNTER.name, value=inf),
        Reading(metric=INFO.name, labels=("a", "b"), value=0.0),
        Reading(metric=STATES.name, value=1.0),
        Reading(metric=STATES.name),
    ],
)
def test_a_value_that_does_not_fit_its_metric_is_left_out(reading: Reading) -> None:
    exposition = Exposition(SPECS)
    assert refused(exposition, reading) == [Reason.VALUE]
    assert of(exposition) == {}


def test_labels_that_do_not_fit_their_metric_are_left_out() -> None:
    assert refused(Exposition(SPECS), Reading(metric=GAUGE.name, value=1), Reading(metric=COUNTER.name, value=1, labels=("x",))) == [Reason.LABELS] * 2


def test_a_state_nobody_listed_is_unknown() -> None:
    exposition = Exposition(SPECS)
    assert refused(exposition, Reading(metric=STATES.name, state="dreaming", raw="dreaming")) == []
    assert {dict(labels)["state"]: value for (_, labels), value in of(exposition).items()} == {"idle": 0, "busy": 0, "unknown": 1}


def test_the_lines_of_a_device_are_replaced_and_removed_and_those_of_others_stay() -> None:
    exposition = Exposition(SPECS)
    for device in ("a", "b"):
        exposition.update(device, [Reading(metric=GAUGE.name, value=1, labels=("cpu",)), Reading(metric=COUNTER.name, value=1)])
    exposition.update("a", [Reading(metric=GAUGE.name, value=2, labels=("disk",))])
    other = {key(GAUGE.name, device="b", sensor="cpu"): 1.0, key(COUNTER.name, device="b"): 1.0}
    assert of(exposition) == {key(GAUGE.name, device="a", sensor="disk"): 2.0, **other}
    exposition.remove("a")
    assert of(exposition) == other
    exposition.remove("b")
    assert page(exposition) == ""


def test_a_view_does_not_change_when_devices_do() -> None:
    exposition = Exposition(SPECS)
    exposition.update("a", [Reading(metric=COUNTER.name, value=1)])
    view = exposition.view()
    exposition.update("a", [Reading(metric=COUNTER.name, value=2)])
    assert b'{device="a"} 1\n' in b"".join(pieces(view, openmetrics=False))


def test_a_page_of_thousands_of_devices_comes_in_small_pieces_and_by_family() -> None:
    exposition = Exposition(SPECS)
    for i in range(2000):
        exposition.update(f"d{i}", [Reading(metric=GAUGE.name, value=i, labels=("cpu",)), Reading(metric=COUNTER.name, value=i)])
    assert max(len(piece) for piece in pieces(exposition.view(), openmetrics=True)) < 100_000
    assert len(of(exposition)) == 4000


def test_names_pick_metrics() -> None:
    exposition = Exposition(SPECS)
    exposition.update("a", [Reading(metric=COUNTER.name, value=1), Reading(metric=STATES.name, state="idle")])
    assert {name for name, _ in series(page(exposition, names=frozenset({COUNTER.name, "latarnik_foreign"})))} == {COUNTER.name}


@pytest.mark.parametrize(
    "spec",
    [
        MetricSpec(name="latarnik_Big", help="x"),
        MetricSpec(name="latarnik__x", help="x"),
        MetricSpec(name="latarnik_x_total", help="x"),
        MetricSpec(name="latarnik_x", kind=MetricKind.COUNTER, help="x"),
        MetricSpec(name="latarnik_x", kind=MetricKind.INFO, help="x"),
        MetricSpec(name="latarnik_x", help=""),
        MetricSpec(name="latarnik_x", labels=("device",), help="x"),
        MetricSpec(name="latarnik_x", labels=("a-b",), help="x"),
        MetricSpec(name="latarnik_x", labels=("a", "a"), help="x"),
        MetricSpec(name="latarnik_x_total", kind=MetricKind.COUNTER, states=("on",), help="x"),
    ],
)
def test_a_metric_that_cannot_be_exported_is_an_error_at_start(spec: MetricSpec) -> None:
    with pytest.raises(ValueError, match=spec.name):
        Exposition([spec])


def test_a_metric_declared_twice_is_an_error_at_start() -> None:
    with pytest.raises(ValueError, match="twice"):
        Exposition([GAUGE, GAUGE])


def test_what_was_measured_stands_beside_what_is_known_and_goes_when_it_is_not_measured_any_more() -> None:
    exposition = Exposition(SPECS)
    front, back = (Reading(metric=GAUGE.name, value=20.5, labels=(sensor,)) for sensor in ("front", "back"))
    restarts = Reading(metric=COUNTER.name, value=3)
    assert [r.reason for r in exposition.update("d", [front], {GAUGE.name: [back, front], COUNTER.name: [restarts]})] == [Reason.DUPLICATE]
    both = {key(GAUGE.name, device="d", sensor="front"): 20.5, key(GAUGE.name, device="d", sensor="back"): 20.5}
    assert of(exposition) == {**both, key(COUNTER.name, device="d"): 3}
    assert not exposition.update("d", [front], {GAUGE.name: [back]})
    assert of(exposition) == both
    assert not exposition.update("d", [front])
    assert of(exposition) == {key(GAUGE.name, device="d", sensor="front"): 20.5}
