"""The vendor in docs/adding-a-vendor.md is the one that is run."""

from __future__ import annotations

from tests.agent.test_toy_vendor import TOY
from tests.docs.pages import page


def test_the_code_in_the_page_is_the_code_that_is_tested() -> None:
    (code,) = [lines for language, lines in page("docs/adding-a-vendor.md").blocks if language == "python"]
    assert "\n".join(line for _, line in code) == TOY.strip()
