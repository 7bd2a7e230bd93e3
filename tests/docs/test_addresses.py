"""Nothing in the pages leads to a vendor, or tells of somebody's machine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import pages

_HOSTS = frozenset({"keepachangelog.com", "semver.org", "docs.astral.sh", "prometheus.io", "grafana.com", "www.freedesktop.org"})
"""Pages about forms and tools that a reader may want to open. No device maker, no service desk, nobody's repository."""
_URL = re.compile(r"https?://(\[[0-9a-f:]+\]|[\w.-]+)")
_MAIL = re.compile(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)")
_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
_EXAMPLE = re.compile(r"(?:^|\.)example(?:\.(?:org|com|net))?$|^localhost$|\.(?:invalid|test|local|domain)$")
_MACHINE = re.compile(r"(?<![\w.<])/(?:work|home|root|tmp|Users|mnt)/[\w.-]+")


def strangers(text: str) -> Iterator[str]:
    for match in _URL.finditer(text):
        host = match[1].rstrip(".")
        if not _EXAMPLE.search(host) and host not in _HOSTS and not _private(host):
            yield match[0]
    for match in _MAIL.finditer(text):
        if not _EXAMPLE.search(match[1]) and not re.fullmatch(r"[\w-]+(?:\.service|\.target|\.conf)", match[1]):
            yield match[0]
    for match in _ADDRESS.finditer(text):
        if not _private(match[0]):
            yield match[0]
    for match in _MACHINE.finditer(text):
        yield match[0]


def _private(host: str) -> bool:
    """An address of nobody in particular: loopback, private or for documents. What is no address is none."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return False


def test_no_page_names_a_strangers_address_or_somebodys_machine() -> None:
    found = [f"{page.name}: {what}" for page in pages() for what in strangers(page.path.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize("text", ["https://service.vendor.pl/x", "help@vendor.pl", "ping 8.8.8.8", "see /home/anna/notes"])
def test_a_strangers_address_would_be_found(text: str) -> None:
    assert list(strangers(text))


@pytest.mark.parametrize(
    "text", ["https://rt.example.org/x", "rooms@example.org", "192.0.2.7, 10.1.3.14", "1.3.6.1.4.1.368.4.1", "http://127.0.0.1:9877/metrics"]
)
def test_examples_are_not_taken_for_strangers(text: str) -> None:
    assert list(strangers(text)) == []
