"""Ticket desks: one folder a desk, whose `__init__.py` holds `PLUGIN`, a `DeskPlugin`. Nothing else stands here.

What a desk's author owes (`tests/contract/test_desks.py` holds every desk in this folder to it):

- **Settings** are a `config.values.Section`: an unknown key is an error. The keys common to all desks (`type`, `role`, `language`, `approval`)
  are not among them. A secret is named by a file and read when it is needed, so that a new one counts without a restart.
- **`open`** does no I/O with the desk; it yields the desk, and leaving it frees what it held.
- **Every failure is a `DeskError`** with a reason of one word, a detail that says where and what helps, and the two flags: `retryable`, the same
  step can succeed later without an edit of the step; `unknown`, the desk may have taken the step. No secret and no whole answer stands in it.
  A refused login is not retryable: trying again would lock the account.
- **The same step twice is one step.** `step.id` never changes between tries. A desk that can ask does so (`has_step`, exact); one that cannot
  answers None there, and sends the same bytes under the same name.
- **`find`** compares key and case exactly, whatever its search does: other case, a prefix or a pattern is no match. A resolved ticket is found.
  A search that fails is an error, never None.
- **After a write that the desk may drop in silence, read back.** An answer of success is no proof on several systems.
- **`attach`** delivers the bytes of every file of `step.artifacts`, verified by `evidence` below, each under a name that cannot leave its place or hide
  another file. All files are one step: where the system takes one file a call, `has_step` is true only when the last is there, and the next try adds
  only those that lack. If one file cannot be delivered, none counts.
- **Texts** come from `step.draft` as they are. A subject may hold anything: line breaks in it are data, never a second header or field.
- **`resolve` and `reopen`** change state, and say so with the draft's text. A vendor is told that the device recovered, never that the case is closed:
  the draft of a vendor's desk says just that.
- **`self_check`** answers before the first ticket: can we get in, is what we need there; if not, the error names the remedy.

To be tested, a desk brings `tests/tickets/adapters/<name>.py`, which says how to start its other side, what it holds, and how it can break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from agent.errors import DeskError
from agent.model import Artifact

PIECE = 256 * 1024


def evidence(artifact: Artifact) -> Iterator[bytes]:
    """The bytes of an artifact in pieces; blocking. The end is reached only if size and SHA-256 are the ones it was collected with.

    DeskError `evidence`, not retryable: the file is gone, or is not what was collected.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with artifact.path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
                yield piece
    except FileNotFoundError:
        raise DeskError("evidence", f"{artifact.name}: the file {artifact.path} is gone; collect the evidence again", retryable=False) from None
    except OSError as error:
        raise DeskError("evidence", f"{artifact.name}: cannot read {artifact.path}: {error.strerror}", retryable=True) from error
    if size != artifact.size or digest.hexdigest() != artifact.sha256:
        raise DeskError("evidence", f"{artifact.name}: {artifact.path} is not the file that was collected (size or SHA-256 differ)", retryable=False)
