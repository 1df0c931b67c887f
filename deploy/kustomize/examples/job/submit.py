"""Submit SQL to DLI, tell the exporter beside us which job it became, and wait for its end."""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkdli.v1 import (
    CreateSqlJobRequest,
    CreateSqlJobRequestBody,
    DliClient,
    ShowSqlJobStatusRequest,
)

log = logging.getLogger("etl")

ENDED = {"FINISHED", "FAILED", "CANCELLED"}
INTERVAL = float(os.environ.get("POLL_SECONDS", "10"))


def main() -> int:
    """Run one job; the exit code says whether it finished."""
    # Process 1 of a container ignores SIGTERM unless it says what to do.
    signal.signal(signal.SIGTERM, _end)
    logging.basicConfig(level=logging.INFO)
    client = (
        DliClient.new_builder()
        .with_credentials(_credentials())
        .with_endpoint(os.environ["DLI_ENDPOINT"])
        .build()
    )
    body = CreateSqlJobRequestBody(sql=os.environ["DLI_SQL"], queue_name=os.environ["DLI_QUEUE"])
    job_id = client.create_sql_job(CreateSqlJobRequest(body=body)).job_id
    register(Path(os.environ["DLI_JOBS_DIR"]), job_id, name="nightly")
    status = ""
    while status not in ENDED:
        time.sleep(INTERVAL)
        status = client.show_sql_job_status(ShowSqlJobStatusRequest(job_id)).status
    log.info("job %s: %s", job_id, status)
    return 0 if status == "FINISHED" else 1


def register(directory: Path, job_id: str, **about: str) -> None:
    """Write the file that the exporter reads; renamed, so that nobody reads half of it."""
    unfinished = directory / f".{job_id}"
    unfinished.write_text(json.dumps({"job_id": job_id, **about}), encoding="utf-8")
    unfinished.rename(directory / f"{job_id}.json")


def _credentials() -> BasicCredentials:
    names = ("AK", "SK", "PROJECT_ID")
    return BasicCredentials(*(os.environ[f"HUAWEICLOUD_SDK_{name}"] for name in names))


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
