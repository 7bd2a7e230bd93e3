"""Which XML is given to Python's own parser, and that it is no way around the refusal of entities."""

from __future__ import annotations

import pytest

from agent.errors import BadPayload
from collectors.axis.parse_storage import _declares_nothing, xml

ENTITY = '<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>'


@pytest.mark.parametrize(
    "body",
    [
        b"<disks/>",
        b'<?xml version="1.0"?>\n<disks/>',
        b'<?xml version="1.0" encoding="UTF-8"?><disks><disk name="\xc5\x82"/></disks>',
        b"<?xml version='1.0' encoding='ISO-8859-1'?><disks/>",
    ],
)
def test_plain_xml_goes_the_short_way_and_reads_the_same(body: bytes) -> None:
    assert _declares_nothing(body)
    assert xml(body).tag == "disks"


@pytest.mark.parametrize(
    "body",
    [
        ENTITY.encode(),
        ENTITY.encode("utf-16"),
        b'<?xml version="1.0" encoding="cp037"?>' + ENTITY.encode("cp037"),
        b'<?xml version="1.0" encoding="utf-7"?>' + ENTITY.encode("utf-7"),
        b'<?xml version="1.0" encoding="utf-8"?>' + ENTITY.encode(),
        b'<?xml version="1.0" standalone="no"?>' + ENTITY.encode(),
        b"\xef\xbb\xbf" + ENTITY.encode(),
    ],
)
def test_whatever_may_declare_an_entity_goes_the_guarded_way_and_is_refused(body: bytes) -> None:
    assert not _declares_nothing(body)
    with pytest.raises(BadPayload):
        xml(body)


def test_an_entity_that_nobody_declared_is_refused_on_the_short_way_too() -> None:
    body = b"<r>&a;</r>"
    assert _declares_nothing(body)
    with pytest.raises(BadPayload):
        xml(body)
