"""A DLI that costs next to nothing: the same answer for every job, with figures that move.

``python -m tests.bench.dli`` prints its port. Signatures are not looked at, and ``GET /asked``
tells how many questions about progress it has answered.
"""

import asyncio
import json
import re
from typing import Any, Final

SUBJOBS: Final = 4
_MARK: Final = 987_654
"""What stands in the templates where a figure moves."""
_ID: Final = "00000000-0000-0000-0000-000000000000"
_TARGET: Final = re.compile(rb"GET (\S+)")
_JOB: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}")


def _subjob(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"insertInto at InsertIntoHadoopFsRelationCommand.scala:18{number}",
        "description": "INSERT OVERWRITE TABLE daily.sales SELECT store, sum(price) FROM sales",
        "submission_time": "Thu Nov 19 02:14:07 CST 2026",
        "completion_time": None,
        "stage_ids": [3 * number, 3 * number + 1, 3 * number + 2],
        "job_group": _ID,
        "status": "RUNNING",
        "num_tasks": 1_200_000,
        "num_active_tasks": 64,
        "num_completed_tasks": _MARK,
        "num_skipped_tasks": 0,
        "num_failed_tasks": 3,
        "num_killed_tasks": 2,
        "num_completed_indices": _MARK,
        "num_active_stages": 1,
        "num_completed_stages": 1,
        "num_skipped_stages": 0,
        "num_failed_stages": 0,
        "killed_tasks_summary": {"another attempt succeeded": 2},
    }


def _template(document: dict[str, Any]) -> bytes:
    text = json.dumps(document).replace("%", "%%")
    return text.replace(str(_MARK), "%(figure)d").replace(_ID, "%(job)s").encode()


_PROGRESS: Final = _template(
    {
        "is_success": True,
        "message": "",
        "job_id": _ID,
        "status": "RUNNING",
        "progress": 0.5,
        "sub_job_id": 1,
        "sub_jobs": [_subjob(number) for number in range(SUBJOBS)],
    }
)
_LIST: Final = _template(
    {
        "is_success": True,
        "message": "",
        "job_count": 1,
        "jobs": [
            {
                "job_id": _ID,
                "job_type": "INSERT",
                "queue_name": "nightly",
                "owner": "etl",
                "status": "RUNNING",
                "database_name": "daily",
                "engine_type": "spark",
                "start_time": 1_795_000_000_000,
                "duration": 60_000,
            }
        ],
    }
)


class Asked:
    """How many questions about progress were answered."""

    def __init__(self) -> None:
        self.count = 0


class _Connection(asyncio.Protocol):
    """HTTP/1.1 as far as a client's GETs need it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            self._answer(self._received[:end])
            self._received = self._received[end + 4 :]

    def _answer(self, request: bytes) -> None:
        body = self._body(request)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)

    def _body(self, request: bytes) -> bytes:
        match = _TARGET.match(request)
        target = match[1] if match else b""
        if target == b"/asked":
            return b"%d" % self._asked.count
        found = _JOB.search(target)
        job = found[0] if found else _ID.encode()
        if target.endswith(b"/progress"):
            self._asked.count += 1
            return _PROGRESS % {b"figure": 100_000 + self._asked.count, b"job": job}
        return _LIST % {b"figure": 0, b"job": job}


async def main() -> None:
    """Serve until the process is ended."""
    asked = Asked()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(asked), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
