"""The simulated DLI that ``simulate`` and ``demo`` run, as the settings ask for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from pydantic import SecretStr

from . import simulator
from .app import StartError
from .settings import Project, Settings
from .settings import Simulator as SimulatorSettings
from .settings.model import DEFAULT_PROJECT, StaticCredentials


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


def _simulator(settings: SimulatorSettings) -> simulator.Simulator:
    try:
        timelines = simulator.read_timelines(settings.timelines) if settings.timelines else None
    except simulator.TimelineError as error:
        raise StartError(str(error)) from None
    limit = settings.requests_per_second
    dli = simulator.Simulator(
        timelines=() if settings.spark else timelines,
        scene=simulator.Scene(
            speed=settings.speed,
            seed=settings.seed,
            repeat=simulator.Repeat.SAME_IDS if settings.loop else simulator.Repeat.ONCE,
        ),
        throttle=None if limit is None else simulator.Throttle(limit=ceil(limit)),
    )
    for fault in _faults(settings):
        dli.faults.add(fault)
    return dli


def _faults(settings: SimulatorSettings) -> list[simulator.Fault]:
    faults = []
    if settings.fault_rate:
        faults.append(
            simulator.Fault(probability=settings.fault_rate, status=settings.fault_status)
        )
    if settings.fault_delay:
        faults.append(simulator.Fault(delay=settings.fault_delay))
    return faults


def connection(address: str, dli: simulator.Simulator) -> str:
    """Return everything that is needed to connect, as settings that can be pasted."""
    jobs = {project.id: dli.job_ids(project.id) for project in dli.projects}
    return simulator.settings_text(address, dli.projects, jobs)


def connected_to(settings: Settings, address: str, dli: simulator.Simulator) -> Settings:
    """Return the settings of an exporter that watches every job of the simulator."""
    simulated = dli.projects[0]
    project = Project(
        endpoint=address,
        project_id=simulated.id,
        credentials=StaticCredentials(
            provider="static", ak=SecretStr(simulated.ak), sk=SecretStr(simulated.sk)
        ),
        jobs=dli.job_ids(simulated.id),
    )
    return settings.model_copy(update={"projects": {DEFAULT_PROJECT: project}})
