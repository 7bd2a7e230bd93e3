"""net-snmp's tools as an independent client."""

from __future__ import annotations

import asyncio
import shutil
import tempfile


async def net_snmp(tool: str, *words: str) -> str:
    """What the tool printed, both streams. A missing tool is an error and no reason to skip: the cross-check is the point."""
    path = shutil.which(tool)
    assert path, f"{tool} is not installed: apt-get install snmp"
    with tempfile.TemporaryDirectory() as home:  # it keeps files of its own, and must not read somebody's configuration
        process = await asyncio.create_subprocess_exec(
            path,
            *("-r0", "-t1", "-m", ""),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"HOME": home, "SNMP_PERSISTENT_DIR": home, "SNMPCONFPATH": home},
        )
        output, _ = await process.communicate()
    return "\n".join(line for line in output.decode().splitlines() if not line.startswith("Created directory"))
