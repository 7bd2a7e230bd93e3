from __future__ import annotations

from pathlib import Path

import pytest

from tests import generated


def test_check_names_what_differs_and_writing_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "FILES", {"docs/one.md": lambda: "new\n", "two.md": lambda: "same\n"})
    (tmp_path / "two.md").write_text("same\n", encoding="utf-8")
    assert generated.main(["--check"], root=tmp_path) == 1
    shown = capsys.readouterr()
    assert "+new" in shown.out
    assert "docs/one.md" in shown.err
    assert "two.md" not in shown.out + shown.err
    assert not (tmp_path / "docs").exists(), "a check writes nothing"
    assert generated.main([], root=tmp_path) == 0
    assert (tmp_path / "docs/one.md").read_text(encoding="utf-8") == "new\n"
    assert generated.main(["--check"], root=tmp_path) == 0


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    for page in (generated.metrics_page(), generated.faults_page()):
        tables = [block for block in page.split("\n\n") if block.startswith("| ")]
        assert tables
        for table in tables:
            widths = {line.replace("\\|", "").count("|") for line in table.strip().splitlines()}
            assert len(widths) == 1, table
