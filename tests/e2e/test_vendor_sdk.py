"""The vendor's own SDK against the simulator, and its signer against our signature."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.dli.signing import AccessKey, sign
from exporter.simulator import Particulars, Project, Scene, Simulator, demo_project, serve

CLIENT = Path(__file__).parent / "vendor_client.py"
ONE = demo_project(1)
TEMPORARY = replace(ONE, security_token="a/temporary+token==")

Vendor = Callable[[str, Any], Coroutine[Any, Any, Any]]


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    """Run the SDK with a home directory of its own, for it leaves a file there."""

    async def run(action: str, given: Any) -> Any:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(CLIENT), action),
            env={**os.environ, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(json.dumps(given).encode())
        assert process.returncode == 0
        return json.loads(out)

    return run


def login(project: Project, address: str, **changes: Any) -> dict[str, Any]:
    given = {"ak": project.ak, "sk": project.sk, "security_token": project.security_token}
    return {**given, "project_id": project.id, "endpoint": address, **changes}


@pytest.mark.parametrize("project", [ONE, TEMPORARY], ids=["permanent keys", "temporary keys"])
async def test_the_sdk_lists_jobs_and_reads_their_progress(
    vendor: Vendor, project: Project
) -> None:
    simulator = Simulator(projects=[project], scene=Scene(jobs=0))
    now = simulator.now()
    about = Particulars(statement="select 1", tags={"jobName": "a b+c/d"})
    simulator.add("single", job_id="running", start=now - 20, particulars=about)
    simulator.add("fail", job_id="failed", start=now - 600)
    async with serve(simulator) as address:
        filters = {"order": "start_time_asc", "page_size": 100, "current_page": 1}
        answer = await vendor("ask", login(project, address, filters=filters))
        tagged = await vendor("ask", login(project, address, filters={"tags": "jobName=a b+c/d"}))
    assert answer["count"] == 2
    assert [(job["job_id"], job["status"]) for job in answer["jobs"]] == [
        ("failed", "FAILED"),
        ("running", "RUNNING"),
    ]
    failed, running = answer["progress"]
    assert (failed["status"], failed["progress"]) == ("FAILED", 1)
    assert (running["status"], running["sub_job_id"]) == ("RUNNING", 0)
    (sub_job,) = running["sub_jobs"]
    assert (sub_job["num_tasks"], sub_job["job_group"]) == (240, "running")
    assert running["progress"] == sub_job["num_completed_tasks"] / 240
    assert [job["job_id"] for job in tagged["jobs"]] == ["running"]


async def test_a_wrong_secret_gets_the_sdks_own_error(vendor: Vendor) -> None:
    async with serve(Simulator(projects=[ONE], scene=Scene(jobs=0))) as address:
        answer = await vendor("ask", login(ONE, address, sk="wrong"))
    assert (answer["error"], answer["status"], answer["code"]) == (
        "ClientRequestException",
        401,
        "APIGW.0301",
    )
    assert "verify aksk signature fail" in answer["message"]


async def test_a_page_out_of_range_gets_the_sdks_own_error(vendor: Vendor) -> None:
    async with serve(Simulator(projects=[ONE], scene=Scene(jobs=0))) as address:
        answer = await vendor("ask", login(ONE, address, filters={"current_page": 101}))
    assert (answer["error"], answer["status"], answer["code"]) == (
        "ClientRequestException",
        400,
        "DLI.0001",
    )


REQUESTS: list[dict[str, Any]] = [
    {"path": "/v1/p/jobs/85798b38-ae44-48eb-bb90-7cf0dcdafe7b/progress"},
    {"path": "/v1.0/p/jobs", "query": [["page-size", "100"], ["current-page", "1"]]},
    {"path": "/v1.0/p/jobs", "query": [["tags", "a=b,c=d e+f/~*é"], ["owner", ""]]},
    {"path": "/v1.0/p/jobs", "query": [["job_types", "QUERY"], ["job_types", "DDL"]]},
    {"path": "/v1.0/p/queues/q%20%E4%BD%A0~a", "headers": {"X-Language": "en-us"}},
    {"path": "/", "host": "127.0.0.1:8080", "headers": {"X-Project-Id": " p "}},
]


@pytest.mark.parametrize("project", [ONE, TEMPORARY], ids=["permanent keys", "temporary keys"])
async def test_our_signature_is_the_vendors(vendor: Vendor, project: Project) -> None:
    key = AccessKey(project.ak, project.sk, project.security_token)
    ours, theirs = [], []
    for given in REQUESTS:
        base = {"method": "GET", "host": "dli.example.com", "query": [], "headers": {}, **given}
        added = sign(
            key,
            base["method"],
            base["host"],
            base["path"],
            date="20261120T101500Z",
            query=[(name, value) for name, value in base["query"]],
            headers=base["headers"],
        )
        ours.append(added.pop("Authorization"))
        headers = {**base["headers"], **added}
        theirs.append({**base, "headers": headers, "body": "", "ak": key.ak, "sk": key.sk})
    assert ours == await vendor("sign", theirs)
