"""The state of the jobs as JSON, for ``/api/v1/jobs``."""

from typing import Any

from ..jobs.model import Details, Job, Sighting, SubJobStatus
from ..jobs.progress import done, subjob_ratio


def job_state(job: Job) -> dict[str, Any]:
    """Return what is known of a job; times are Unix seconds, null is not known.

    ``progress_ratio`` is the honest one, ``expected_progress_ratio`` the share of the expected
    time that has passed, and null without earlier runs. ``expected_duration`` is in seconds.
    ``queue_name``, ``start`` and ``end`` are as the list API tells them. ``indices_per_second``
    is how fast those sub-jobs together go that run now, each since it was first seen.
    """
    details = job.details or Details()
    return {
        "project": job.key.project,
        "job_id": job.key.job_id,
        "name": job.name,
        "status": job.status,
        "queue_name": details.queue_name,
        "start": details.start,
        "end": details.end,
        "deadline": job.deadline,
        "progress_ratio": job.ratio,
        "expected_progress_ratio": job.expected_ratio,
        "reported_progress_ratio": job.progress,
        "indices": job.indices,
        **job.counts._asdict(),
        "last_progress": job.last_progress,
        "last_update": job.last_update,
        "expected_duration": job.expected_duration,
        "expected_end": job.expected_end,
        "indices_per_second": _speed(job),
        "subjobs": [_subjob_state(sighting, job.last_update) for sighting in job.listed],
    }


def _speed(job: Job) -> float | None:
    """Sum up the speeds of what runs; None if none is known."""
    speeds = [_subjob_speed(sighting, job.last_update) for sighting in job.listed]
    known = [speed for speed in speeds if speed is not None]
    return sum(known) if known and job.ended is None else None


def _subjob_speed(sighting: Sighting, last_update: float | None) -> float | None:
    """Return the indices that a running sub-job completes in a second, since it was first seen."""
    if sighting.subjob.status is not SubJobStatus.RUNNING or last_update is None:
        return None
    elapsed = last_update - sighting.first
    gained = max(done(sighting.subjob) - sighting.first_done, 0)
    return gained / elapsed if elapsed > 0 else None


def _subjob_state(sighting: Sighting, last_update: float | None) -> dict[str, Any]:
    subjob = sighting.subjob
    return {
        "subjob_id": subjob.id,
        "name": subjob.name,
        "status": subjob.status,
        "progress_ratio": subjob_ratio(subjob),
        **subjob.counts._asdict(),
        "killed_by_reason": dict(subjob.killed),
        "submitted": subjob.submitted,
        "completed": subjob.completed,
        "expected_end": sighting.expected_end,
        "indices_per_second": _subjob_speed(sighting, last_update),
    }
