"""Debian's own Prometheus over a metrics page, on loopback, for as long as a test needs it."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientConnectionError, ClientSession

import exporters.prometheus

RULES = Path(exporters.prometheus.__file__).parent / "rules" / "latarnik.yml"


class Prometheus:
    """Answers PromQL. `url` is where."""

    def __init__(self, url: str, client: ClientSession) -> None:
        self.url = url
        self._client = client

    async def get(self, path: str, **parameters: str) -> Any:
        async with self._client.get(f"{self.url}{path}", params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        assert not answer.get("warnings"), answer
        return answer["data"]

    async def instant(self, expression: str) -> list[dict[str, Any]]:
        data = await self.get("/api/v1/query", query=expression)
        found: list[dict[str, Any]] = data["result"]
        return found

    async def over(self, expression: str, *, seconds: float, step: float = 1.0) -> list[dict[str, Any]]:
        """The expression over the last seconds."""
        now = float((await self.instant("time()"))[1])  # type: ignore[arg-type]  # a scalar is a pair, not a list of series
        data = await self.get("/api/v1/query_range", query=expression, start=str(now - seconds), end=str(now), step=str(step))
        found: list[dict[str, Any]] = data["result"]
        return found


def substitute(expression: str, variables: Mapping[str, str]) -> str:
    """The expression as Grafana would send it. `variables` also give `$__range` and `$__rate_interval`."""

    def value(match: re.Match[str]) -> str:
        return variables[match[1] or match[2]]

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, expression)


@asynccontextmanager
async def prometheus(target: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Scrape `target` (host:port) each second, under the job name our rules expect. `folder` is for its data."""
    binary = shutil.which("prometheus")
    assert binary, "prometheus is missing: apt-get install prometheus"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "latarnik", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(binary, *command, cwd=folder, stdout=log, stderr=log)
    try:
        async with ClientSession() as client:
            await _ready(process, client, f"http://{address}/-/ready", folder / "prometheus.log")
            yield Prometheus(f"http://{address}", client)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, client: ClientSession, url: str, log: Path) -> None:
    for _ in range(200):
        assert process.returncode is None, _text(log)
        try:
            async with client.get(url) as response:
                if response.status == 200:
                    return
        except ClientConnectionError:
            pass  # it does not listen yet
        await asyncio.sleep(0.1)
    raise AssertionError(f"Prometheus is not ready after 20 s: {_text(log)}")


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
