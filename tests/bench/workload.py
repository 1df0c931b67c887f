"""The samples that everybody serves: jobs of four sub-jobs, of which one runs."""

import random
import uuid
from collections.abc import Iterator
from typing import Final

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    Observation,
    SubJob,
    SubJobStatus,
)
from exporter.jobs.store import fold

SUBJOBS: Final = 4
SERIES: Final = 109
"""Series that each of these jobs has."""
_START: Final = 1_795_000_000.0


def jobs(count: int) -> Iterator[Job]:
    """Make running jobs, with all that the API tells."""
    chance = random.Random(1)
    for number in range(count):
        details = Details(
            queue_name=f"queue_{number % 10}",
            job_type="INSERT",
            engine_type="spark",
            owner="etl",
            database_name="daily",
            start=_START + number,
        )
        job_id = str(uuid.UUID(int=chance.getrandbits(128)))
        yield moved(Job(key=JobKey("prod", job_id), details=details), number, 0)


def moved(job: Job, number: int, turn: int) -> Job:
    """Return a job after its next poll: one sub-job runs, those before it have ended."""
    subjobs = tuple(_subjob(each, number, turn) for each in range(SUBJOBS))
    observation = Observation(
        status=JobStatus.RUNNING, progress=0.5, subjob_id=SUBJOBS - 1, subjobs=subjobs
    )
    return fold(job, observation, now=_START + 3600 + 15 * turn + number / 1000)


def _subjob(each: int, number: int, turn: int) -> SubJob:
    chance = random.Random(SUBJOBS * number + each)
    tasks, began = chance.randrange(100, 20_000), _START + number + 60 * each
    counts = Counts(tasks, 64, tasks, 0, chance.randrange(5), 2, tasks, 3, 1, 1, 0, 0)
    name = f"insertInto at InsertIntoHadoopFsRelationCommand.scala:18{each}"
    ended = SubJob(
        id=each,
        status=SubJobStatus.SUCCEEDED,
        name=name,
        counts=counts,
        submitted=began,
        completed=began + 59.5,
    )
    if each < SUBJOBS - 1:
        return ended
    done = min(chance.randrange(100) + 3 * turn, tasks)
    return ended._replace(
        status=SubJobStatus.RUNNING,
        counts=counts._replace(tasks_completed=done, indices_completed=done),
        completed=None,
    )
