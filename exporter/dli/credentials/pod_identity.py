"""CCE Pod Identity: temporary keys of the agency that a pod's service account is bound to."""

import asyncio
from pathlib import Path
from typing import Final

from ..calls import Caller, Request
from ..signing import AccessKey
from .answers import LARGEST_ANSWER, parse_key
from .files import read_word

NAME: Final = "pod_identity"
TIMEOUT: Final = 5.0
"""Seconds, as in the vendor's SDK (auth/internal.py)."""


async def obtain(caller: Caller, uri: str, token_file: Path) -> AccessKey:
    """Exchange the pod's own token, read anew each time: Kubernetes renews it every hour."""
    token = await asyncio.to_thread(read_word, token_file)
    request = Request(
        endpoint=NAME,
        url=uri,
        method="POST",
        headers={"Authorization": token, "Content-Type": "application/json"},
        body=b"{}",
        largest=LARGEST_ANSWER,
    )
    return await caller.call(request, parse_key, secrets=(token,))
