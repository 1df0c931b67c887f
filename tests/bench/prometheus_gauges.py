"""The same samples in prometheus_client's own gauges, behind its own server.

``python -m tests.bench.prometheus_gauges JOBS`` prints its port and serves until it is ended.
"""

import sys
import threading

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from exporter.metrics.catalogue import JOBS

from .workload import jobs


def main() -> None:
    """Fill the gauges, and serve."""
    registry, listed = CollectorRegistry(), list(jobs(int(sys.argv[1])))
    for row in JOBS:
        gauge = Gauge(row.family.name, row.family.help, row.family.labels, registry=registry)
        for job in listed:
            for values, number in row.samples(job):
                gauge.labels(job.key.project, job.key.job_id, *values).set(number)
    server, _ = start_http_server(0, "127.0.0.1", registry)
    print(server.server_port, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
