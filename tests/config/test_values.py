from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.plans import plain_model
from config.values import format_duration, format_size, parse_date, parse_duration, parse_host, parse_listen, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("2d", 172800.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1.5h", 5400.0), ("1w", 604800.0)],
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "5 m", "-5m", "5M", "1h 30m", "5min", "१s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_duration_survives_writing_and_reading(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-3)


@given(st.integers(min_value=0, max_value=2**50 - 1))
def test_a_size_survives_writing_and_reading(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(("text", "size"), [("64MiB", 64 * 2**20), ("5 GiB", 5 * 2**30), ("500kB", 500_000), ("1.5KiB", 1536), ("7B", 7)])
def test_a_size_is_a_number_with_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64", "MiB", "64 mb", "-1MiB", "1 000 MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500KiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "written"),
    [
        ("127.0.0.1:9877", "127.0.0.1", 9877, "127.0.0.1:9877"),
        ("[::1]:9877", "::1", 9877, "[::1]:9877"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        (":9877", "::", 9877, "[::]:9877"),
        ("[2001:DB8:0:0::1]:1", "2001:db8::1", 1, "[2001:db8::1]:1"),
    ],
)
def test_an_address_to_listen_on_is_host_and_port(text: str, host: str, port: int, written: str) -> None:
    address = parse_listen(text)
    assert (address.host, address.port, address.text) == (host, port, written)


@pytest.mark.parametrize("text", ["", "9877", "127.0.0.1", "127.0.0.1:", "::1:9877", "127.0.0.1:65536", "http://x:1", "[::1]", "300.0.0.1:1", "a b:1"])
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Gate-2.Example.org", "gate-2.example.org"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("a_b", "a_b"),
    ],
)
def test_a_host_is_kept_in_one_way(text: str, host: str) -> None:
    assert parse_host(text) == host


@given(st.text(max_size=60))
def test_a_host_never_holds_what_could_become_a_path_or_a_header(text: str) -> None:
    try:
        host = parse_host(text)
    except ValueError:
        return
    assert not set(host) & set("/\\@?# \r\n%[]")


@pytest.mark.parametrize("text", ["2026-1-2", "20260102", "2026-02-30", "02.01.2026", "2026-01-02T00:00", "٢٠٢٦-01-01"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="day"):
        parse_date(text)


@pytest.mark.parametrize("model", ["Poly Studio X30", "Studio X30", "StudioX30", "studio-x30", "X30", "Polycom Studio X30"])
def test_a_model_is_the_same_with_and_without_its_brand(model: str) -> None:
    assert plain_model(model) == "x30"


def test_models_that_differ_stay_different() -> None:
    assert len({plain_model(model) for model in ("Studio X30", "Studio X32", "Studio E70", "G7500", "Studio", "Poly Studio USB")}) == 6
