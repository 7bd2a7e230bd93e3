"""What the pages point to is there."""

from __future__ import annotations

import re

from tests.docs.pages import FOLDERS, ROOT, pages, parse

_FILE = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")


def test_every_link_leads_to_a_file_and_a_heading_that_exist() -> None:
    known = {page.path: page for page in pages()}
    broken = []
    for page in known.values():
        for line, _, target in page.links():
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.path.parent / name).resolve() if name else page.path
            if not path.exists():
                broken.append(f"{page.name}:{line}: {target} does not exist")
            elif anchor and anchor not in (known[path].anchors() if path in known else ()):
                broken.append(f"{page.name}:{line}: {target} has no such heading")
    assert broken == []


def test_every_file_of_ours_that_is_named_exists() -> None:
    missing = [
        f"{page.name}:{line}: {code}"
        for page in pages()
        for line, code in page.spans()
        if _FILE.fullmatch(code) and "<" not in code and not (ROOT / code).exists()
    ]
    assert missing == []


def test_a_page_is_read_as_a_forge_reads_it() -> None:
    page = parse(ROOT / "x.md", "# A `b` & c\n[x](y.md#z) `agent/x.py`\n```sh\n[no](link)\n```\n# A b  c\n")
    assert page.anchors() == {"a-b--c", "a-b--c-1"}
    assert list(page.links()) == [(2, "x", "y.md#z")]
    assert list(page.spans()) == [(1, "b"), (2, "agent/x.py")]
    assert page.blocks == (("sh", ((4, "[no](link)"),)),)
