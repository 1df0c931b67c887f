"""The simulated DLI that ``simulate`` and ``demo`` run, as the settings ask for it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from . import simulator
from .connection import StartError
from .settings import Duration, Project, Settings
from .settings import Simulator as SimulatorSettings
from .settings.model import DEFAULT_PROJECT, Discovery, StaticCredentials

_HISTORY: Final = 1800.0
"""Seconds at the recordings' own pace for which the recurring jobs have been running before."""
_SPREAD: Final = 0.15
"""No two runs of a statement take the same time."""
_DISCOVERY_INTERVAL: Final = "5s"
"""The recordings last a minute: who watches the demo wants to see new jobs soon."""


@asynccontextmanager
async def simulated(settings: SimulatorSettings) -> AsyncIterator[tuple[str, simulator.Simulator]]:
    """Serve a simulator and yield its address; StartError says in a line why it cannot be."""
    dli = _simulator(settings)
    address = settings.listen_address
    try:
        async with simulator.serve(dli, address.host, address.port, spark=settings.spark) as url:
            yield url, dli
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror}") from None


def connection(address: str, dli: simulator.Simulator) -> str:
    """Return everything that is needed to connect, as settings that can be pasted.

    Of the jobs only those that have not ended: there may be thousands in the list's past.
    """
    now = dli.now()
    jobs = {
        project.id: [job.id for job in dli.jobs(project.id) if job.state(now).end is None]
        for project in dli.projects
    }
    return simulator.settings_text(address, dli.projects, jobs)


def connected_to(settings: Settings, address: str, dli: simulator.Simulator) -> Settings:
    """Return the settings of an exporter that watches every job of the simulator."""
    simulated = dli.projects[0]
    keys = StaticCredentials(
        provider="static", ak=SecretStr(simulated.ak), sk=SecretStr(simulated.sk)
    )
    project = Project(
        endpoint=address,
        project_id=simulated.id,
        credentials=keys,
        requests_per_second=20,
        discovery=Discovery(enabled=True, interval=Duration(_DISCOVERY_INTERVAL)),
    )
    changed = {
        "projects": {DEFAULT_PROJECT: project},
        "tags": settings.tags.model_copy(update={"name": "jobName"}),
    }
    if "linger" not in settings.web.model_fields_set:
        # Nobody has to see how simulated jobs end.
        changed["web"] = settings.web.model_copy(update={"linger": Duration("0s")})
    return settings.model_copy(update=changed)


def _simulator(settings: SimulatorSettings) -> simulator.Simulator:
    try:
        timelines = simulator.read_timelines(settings.timelines) if settings.timelines else None
    except simulator.TimelineError as error:
        raise StartError(str(error)) from None
    dli = simulator.Simulator(
        timelines=() if settings.spark else timelines,
        scene=_scene(settings),
        throttle=_throttle(settings.requests_per_second),
    )
    for fault in _faults(settings):
        dli.faults.add(fault)
    return dli


def _scene(settings: SimulatorSettings) -> simulator.Scene:
    scene = simulator.Scene() if settings.timelines else simulator.DEMO
    scene = replace(scene, speed=settings.speed, seed=settings.seed)
    if not settings.loop:
        return replace(scene, jobs=None, repeat=simulator.Repeat.ONCE)
    return replace(scene, repeat=simulator.Repeat.NEW_IDS, history=_HISTORY, spread=_SPREAD)


def _throttle(requests_per_second: float | None) -> simulator.Throttle | None:
    """Return the gateway's limit, which counts whole requests."""
    if requests_per_second is None:
        return None
    if requests_per_second < 1:
        return simulator.Throttle(limit=1, period=1 / requests_per_second)
    return simulator.Throttle(limit=round(requests_per_second))


def _faults(settings: SimulatorSettings) -> Iterator[simulator.Fault]:
    """Yield the faults; the first that strikes counts, so each of them holds the delay."""
    delay = settings.fault_delay
    if settings.fault_rate:
        yield simulator.Fault(
            probability=settings.fault_rate, status=settings.fault_status, delay=delay
        )
    if delay:
        yield simulator.Fault(delay=delay)
