from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.prometheus.negotiation import wants_gzip, wants_openmetrics

PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"


@pytest.mark.parametrize(
    "accept", [PROMETHEUS_2, PROMETHEUS_3, "application/openmetrics-text", 'Application/OpenMetrics-Text; version="1.0.0"; Q=0.5, text/*;q=0.4']
)
def test_a_client_that_prefers_openmetrics_is_given_it(accept: str) -> None:
    assert wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html,*/*;q=0.8",
        "text/plain;version=0.0.4, application/openmetrics-text;q=0.5",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.5",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=nonsense",
        "application/openmetrics-text;version=2.0.0,text/plain;q=0.1",
        "text/plain;q=0.9, application/openmetrics-text;q=0.5, */*;q=0.1",
    ],
)
def test_anyone_else_is_given_text(accept: str) -> None:
    assert not wants_openmetrics(accept)


def test_text_of_a_version_we_do_not_write_does_not_count() -> None:
    assert wants_openmetrics("text/plain;version=1.0.0;q=0.9,application/openmetrics-text;q=0.5")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [("gzip", True), ("gzip, deflate, br", True), ("br;q=1, *;q=0.5", True), ("gzip;q=0, *", False), ("", False), ("deflate", False), ("GZIP;q=0.1", True)],
)
def test_gzip_is_sent_to_those_who_take_it(header: str, wanted: bool) -> None:
    assert wants_gzip(header) is wanted


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    assert wants_openmetrics(header) in (True, False)
    assert wants_gzip(header) in (True, False)
