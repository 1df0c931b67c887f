"""A stand-in for the kubelet: a rendered pod as processes, started and ended in its order.

Containers are processes, volumes directories: a path that the pod mounts somewhere is replaced in
commands, variables and configuration by where it really is. The pod's address is the loopback
interface, with any free port.

Facts: KEP-753. Init containers start one after the other; one with ``restartPolicy: Always`` is a
sidecar, which has started when its startup probe has passed, is started again whenever it ends,
and is told to end when the last main container has, in reverse order. On deletion main containers
are told first, and all of them together have the grace period; who is left then is killed, and who
was told nothing before has two seconds.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from ..kubernetes.manifests import Object, only
from .processes import Process, eventually, listening
from .volumes import Volumes, content

_LEAST_GRACE: Final = 2.0
"""Seconds that a container has that was not told to end before the grace period was over."""
_LISTEN: Final = {"DLI_EXPORTER_WEB__LISTEN_ADDRESS": "127.0.0.1:0"}

Images = Mapping[str, Sequence[str]]


@dataclass
class Container:
    """A container of a pod, and the process that it is at present."""

    spec: Object
    command: Sequence[str]
    env: Mapping[str, str]
    processes: list[Process] = field(default_factory=list)
    told: bool = False

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def process(self) -> Process:
        return self.processes[-1]

    @property
    def sidecar(self) -> bool:
        return self.spec.get("restartPolicy") == "Always"


class Pod:
    """A pod that runs; ``events`` tells what was done and what happened, in order."""

    def __init__(self, pod: Object, objects: list[dict[str, Any]], root: Path, images: Images):
        """Lay out the volumes and find the commands; nothing runs as yet."""
        spec = pod["spec"]
        self.events: list[str] = []
        self.discovery = root / "targets.json"
        self._root = root
        self._grace = float(spec.get("terminationGracePeriodSeconds", 30))
        self._volumes = Volumes(spec, objects, root / "volumes")
        make = [self._container(each, objects, images) for each in spec.get("initContainers", ())]
        self._first = make
        self._mains = [self._container(each, objects, images) for each in spec["containers"]]
        self._addresses: dict[str, str] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._deleted = asyncio.Event()
        self._deadline = float("inf")
        self._advertise()

    def container(self, name: str) -> Container:
        """Return a container by its name."""
        return next(each for each in (*self._first, *self._mains) if each.name == name)

    def volume(self, name: str) -> Path:
        """Return the directory that a volume is."""
        return self._volumes.directories[name]

    def delete(self) -> None:
        """Ask for the end of the pod, as `kubectl delete` does."""
        self._deadline = time.monotonic() + self._grace
        self._deleted.set()

    async def run(self) -> str:
        """Run the pod to its end, and return its phase."""
        try:
            phase = await self._run()
            self._deadline = min(self._deadline, time.monotonic() + self._grace)
            for each in reversed(self._first):
                if each.sidecar and each.processes:
                    await self._end(each)
        finally:
            await self._clear()
        return phase

    async def _run(self) -> str:
        for each in self._first:
            await self._begin(each)
            if each.sidecar:
                await self._started(each)
            elif await self._exit(each):
                return "Failed"
        for each in self._mains:
            await self._begin(each)
        exits = [asyncio.create_task(self._exit(each)) for each in self._mains]
        deleted = asyncio.create_task(self._deleted.wait())
        over = asyncio.gather(*exits)
        first: set[asyncio.Future[Any]] = {over, deleted}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        deleted.cancel()
        if not over.done():
            await asyncio.gather(*map(self._end, self._mains))
        return "Failed" if any(await over) else "Succeeded"

    async def _begin(self, each: Container) -> None:
        self.events.append(f"start {each.name}")
        process = await Process.start(*each.command, cwd=self._root, env=each.env)
        each.processes.append(process)

    async def _exit(self, each: Container) -> int:
        code = await each.process.ended(within=float("inf"))
        self.events.append(f"exit {each.name} {code}")
        return code

    async def _started(self, each: Container) -> None:
        """Wait until a sidecar has started, and keep it running from then on."""
        self._keepers[each.name] = asyncio.create_task(self._keep(each))
        if "startupProbe" in each.spec:
            probe = each.spec["startupProbe"]
            patience = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
            self._addresses[each.name] = await listening(each.process)
            await eventually(lambda: self.probe(each.name, "startupProbe"), "startup", patience)
        self.events.append(f"started {each.name}")
        self._advertise()

    async def probe(self, name: str, kind: str) -> bool:
        """Ask a container what a probe of it asks."""
        each = self.container(name)
        wanted = each.spec[kind]["httpGet"]
        assert wanted["port"] in {port["name"] for port in each.spec["ports"]}
        url = self._addresses[name] + wanted["path"]
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def _keep(self, each: Container) -> None:
        """Start a sidecar again whenever it ends without having been told to."""
        while True:
            await self._exit(each)
            if each.told:
                return
            await self._begin(each)
            self._addresses[each.name] = await listening(each.process)
            self._advertise()

    async def _end(self, each: Container) -> None:
        """Tell a container to end, and kill it when the grace period is over."""
        keeper = self._keepers.get(each.name)
        each.told = True
        self._signal(each, signal.SIGTERM)
        left = max(self._deadline - time.monotonic(), _LEAST_GRACE)
        try:
            await each.process.ended(within=left)
        except AssertionError:
            self._signal(each, signal.SIGKILL)
            await each.process.ended()
        if keeper is not None:
            await keeper

    def _signal(self, each: Container, number: signal.Signals) -> None:
        self.events.append(f"{number.name} {each.name}")
        try:
            each.process.signal(number)
        except ProcessLookupError:
            self.events.append(f"gone {each.name}")

    async def _clear(self) -> None:
        """Leave nothing behind, whatever went wrong; a test that failed shows what was said."""
        for keeper in self._keepers.values():
            keeper.cancel()
        for each in (*self._first, *self._mains):
            for process in each.processes:
                await process.stop()
                sys.stdout.write(process.report())
        self._addresses.clear()
        self._advertise()

    def _advertise(self) -> None:
        """Tell Prometheus where the pod's ports are, as its discovery in Kubernetes would."""
        targets = [each.removeprefix("http://") for each in self._addresses.values()]
        unfinished = self.discovery.with_suffix(".tmp")
        unfinished.write_text(json.dumps([{"targets": targets}]), encoding="utf-8")
        unfinished.rename(self.discovery)

    def _container(self, spec: Object, objects: list[dict[str, Any]], images: Images) -> Container:
        given = {each["name"]: _value(each, objects) for each in spec.get("env", ())}
        # As in an image, where `python` is the only one there is.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        placed = self._volumes.placed
        asked = [placed(word) for word in (*spec.get("command", ()), *spec.get("args", ()))]
        # What the image starts lies outside of the pod's volumes, wherever this checkout is.
        command = asked if "command" in spec else [*images[spec["image"]], *asked]
        return Container(
            spec,
            command,
            {"PATH": path, **_LISTEN, **{name: placed(value) for name, value in given.items()}},
        )


def _value(variable: Object, objects: list[dict[str, Any]]) -> str:
    if "value" in variable:
        return str(variable["value"])
    wanted = variable["valueFrom"]["secretKeyRef"]
    return content(only(objects, "Secret", wanted["name"]))[wanted["key"]]


@asynccontextmanager
async def running_pod(
    pod: Object, objects: list[dict[str, Any]], root: Path, images: Images
) -> AsyncIterator[tuple[Pod, asyncio.Task[str]]]:
    """Run a pod while the block lasts; the task gives its phase."""
    made = Pod(pod, objects, root, images)
    task = asyncio.create_task(made.run())
    try:
        yield made, task
    finally:
        task.cancel()
        await asyncio.wait({task})
        sys.stdout.write("\n".join(("--- kubelet", *made.events, "")))
