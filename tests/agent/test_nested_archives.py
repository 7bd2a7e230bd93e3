"""A secret in an archive that lies in another: found however it is packed, and the file refused; what holds none arrives as it is."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from agent.diagnosis.archives import MOST_WITHIN
from agent.diagnosis.handed import RefusedFileError
from tests.agent.test_handed import SECRET, left_in, taken, zipped

FOUND, CLEAN = b"login with " + SECRET + b" ok\n", b"all well\n" * 3000


def tarred(*members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folder = tarfile.TarInfo("log")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for number, content in enumerate(members):
            info = tarfile.TarInfo(f"log/{'very-long-' * 20}{number}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def nested(content: bytes) -> list[tuple[str, bytes]]:
    return [
        ("bundle.zip", zipped(gzip.compress(tarred(CLEAN, content)))),
        ("bundle.zip", zipped(zipped(content))),
        ("bundle.zip", zipped(tarred(CLEAN, gzip.compress(content)))),
        ("logs.tgz", gzip.compress(tarred(CLEAN, gzip.compress(content), CLEAN))),
        ("logs.tgz", gzip.compress(zipped(content))),
        ("logs.tar", tarred(CLEAN, gzip.compress(gzip.compress(content)))),
        ("logs.tgz", gzip.compress(tarred(gzip.compress(content + CLEAN * 99)[:-20]))),
    ]


@pytest.mark.parametrize(("name", "content"), nested(FOUND))
async def test_a_file_with_a_secret_in_an_archive_within_it_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(RefusedFileError, match="within an archive") as refused:
        await taken(tmp_path, name, content)
    assert SECRET.decode() not in str(refused.value)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(("name", "content"), nested(CLEAN))
async def test_archives_within_archives_without_a_secret_arrive_as_they_are(tmp_path: Path, name: str, content: bytes) -> None:
    _, written = await taken(tmp_path, name, content)
    assert written == content


async def test_archives_within_archives_have_an_end(tmp_path: Path) -> None:
    content = FOUND
    for _ in range(MOST_WITHIN + 2):
        content = gzip.compress(content)
    with pytest.raises(RefusedFileError, match="deep"):
        await taken(tmp_path, "logs.gz", content)


async def test_the_same_file_cleaned_twice_is_the_same_file(tmp_path: Path) -> None:
    content = gzip.compress(tarred(FOUND, CLEAN))
    first, cleaned = await taken(tmp_path, "logs.tgz", content)
    second, _ = await taken(tmp_path, "again.tgz", content)
    assert SECRET not in gzip.decompress(cleaned)
    assert first.sha256 == second.sha256
