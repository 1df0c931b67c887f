"""The vendor's SDK in a process of its own: it blocks, and writes into the home directory.

``ask`` calls DLI as standard input says (JSON), ``sign`` signs requests; both answer in JSON.
"""

import json
import sys
from types import SimpleNamespace
from typing import Any


def ask(given: dict[str, Any]) -> dict[str, Any]:
    """List the jobs and read the progress of each; or give the SDK's own error."""
    from huaweicloudsdkcore.auth.credentials import (  # type: ignore[import-untyped] # has no types
        BasicCredentials,
    )
    from huaweicloudsdkcore.exceptions.exceptions import (  # type: ignore[import-untyped] # has no types
        ClientRequestException,
    )
    from huaweicloudsdkdli.v1 import (  # type: ignore[import-untyped] # has no types
        DliClient,
        ListSqlJobsRequest,
        ShowSqlJobProgressRequest,
    )

    credentials = BasicCredentials(given["ak"], given["sk"], given["project_id"])
    if given.get("security_token"):
        credentials = credentials.with_security_token(given["security_token"])
    client = (
        DliClient.new_builder()
        .with_credentials(credentials)
        .with_endpoint(given["endpoint"])
        .build()
    )
    try:
        listed = client.list_sql_jobs(ListSqlJobsRequest(**given.get("filters", {})))
        jobs = [job.to_dict() for job in listed.jobs]
        progress = [
            client.show_sql_job_progress(ShowSqlJobProgressRequest(job["job_id"])).to_dict()
            for job in jobs
        ]
    except ClientRequestException as error:
        return {
            "error": type(error).__name__,
            "status": error.status_code,
            "code": error.error_code,
            "message": error.error_msg,
        }
    return {"count": listed.job_count, "jobs": jobs, "progress": progress}


def sign(requests: list[dict[str, Any]]) -> list[str]:
    """Give the Authorization header that the SDK puts on each request."""
    from huaweicloudsdkcore.sdk_request import (  # type: ignore[import-untyped] # has no types
        SdkRequest,
    )
    from huaweicloudsdkcore.signer.signer import (  # type: ignore[import-untyped] # has no types
        Signer,
    )

    signed = []
    for given in requests:
        request = SdkRequest(
            method=given["method"],
            schema="https",
            host=given["host"],
            resource_path=given["path"],
            query_params=[tuple(pair) for pair in given["query"]],
            header_params=given["headers"],
            body=given["body"],
        )
        Signer(SimpleNamespace(ak=given["ak"], sk=given["sk"])).sign(request)
        signed.append(request.header_params["Authorization"])
    return signed


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(ask(given) if sys.argv[1] == "ask" else sign(given), sys.stdout)
