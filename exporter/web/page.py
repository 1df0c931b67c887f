"""The landing page."""

from collections.abc import Iterable
from html import escape
from typing import Final

from ..jobs.model import Job

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>DLI exporter</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .25rem 1rem .25rem 0; text-align: left; }}
td:last-child {{ text-align: right; }}
</style></head>
<body>
<h1>DLI exporter</h1>
<p>Prometheus exporter for the progress of Huawei Cloud DLI jobs, version {version}.</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="api/v1/jobs">Jobs as JSON</a></li>
</ul>
<table>
<thead><tr><th>Project</th><th>Job</th><th>Status</th><th>Progress</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def landing_page(jobs: Iterable[Job], *, version: str) -> str:
    """Return the page as HTML: where everything is, and the jobs that are tracked."""
    return _PAGE.format(version=escape(version), rows="\n".join(map(_row, jobs)))


def _row(job: Job) -> str:
    status = job.status or "not asked yet"
    progress = "" if job.ratio is None else f"{job.ratio:.0%}"
    cells = (job.key.project, job.key.job_id, status, progress)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
