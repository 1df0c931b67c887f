"""The state of the jobs as JSON, for ``/api/v1/jobs``."""

from dataclasses import asdict
from typing import Any

from ..jobs.model import Job, Sighting
from ..jobs.progress import subjob_ratio


def job_state(job: Job) -> dict[str, Any]:
    """Return what is known of a job; times are Unix seconds, null is not known."""
    return {
        "project": job.key.project,
        "job_id": job.key.job_id,
        "name": job.name,
        "status": job.status,
        "progress_ratio": job.ratio,
        "reported_progress_ratio": job.progress,
        "indices": job.indices,
        **asdict(job.counts),
        "last_progress": job.last_progress,
        "last_update": job.last_update,
        "expected_end": job.expected_end,
        "subjobs": [_subjob_state(sighting) for sighting in job.listed],
    }


def _subjob_state(sighting: Sighting) -> dict[str, Any]:
    subjob = sighting.subjob
    return {
        "subjob_id": subjob.id,
        "name": subjob.name,
        "status": subjob.status,
        "progress_ratio": subjob_ratio(subjob),
        **asdict(subjob.counts),
        "killed_by_reason": dict(subjob.killed),
        "submitted": subjob.submitted,
        "completed": subjob.completed,
        "expected_end": sighting.expected_end,
    }
