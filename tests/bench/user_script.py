"""What a user would write without this exporter: the vendor's SDK and prometheus_client.

``python user_script.py ENDPOINT JOBS SECONDS``: where DLI is, how many jobs, and the interval.
"""

import sys
import time

from huaweicloudsdkcore.auth.credentials import (  # type: ignore[import-untyped] # has no types
    BasicCredentials,
)
from huaweicloudsdkdli.v1 import (  # type: ignore[import-untyped] # has no types
    DliClient,
    ShowSqlJobProgressRequest,
)
from prometheus_client import Gauge, start_http_server

FIELDS = (
    *("num_tasks", "num_active_tasks", "num_completed_tasks", "num_skipped_tasks"),
    *("num_failed_tasks", "num_killed_tasks", "num_completed_indices", "num_active_stages"),
    *("num_completed_stages", "num_skipped_stages", "num_failed_stages"),
)
# 25 families of 4 sub-jobs make the 100 samples that the goals speak of.
GAUGES = [Gauge(f"dli_{number}", "A figure", ["job_id", "subjob_id"]) for number in range(25)]

endpoint, jobs, interval = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
credentials = BasicCredentials("AKAKAKAKAKAKAKAKAKAK", "SK" * 20, "0123456789abcdef")
client = DliClient.new_builder().with_credentials(credentials).with_endpoint(endpoint).build()
server, _ = start_http_server(0, "127.0.0.1")
print(server.server_port, flush=True)
while True:
    for number in range(jobs):
        job_id = f"{number:08x}-0000-0000-0000-000000000000"
        answer = client.show_sql_job_progress(ShowSqlJobProgressRequest(job_id))
        for subjob in answer.sub_jobs:
            for place, gauge in enumerate(GAUGES):
                value = getattr(subjob, FIELDS[place % len(FIELDS)])
                gauge.labels(job_id, str(subjob.id)).set(value)
    time.sleep(interval)
