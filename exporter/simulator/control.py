"""The simulator's own HTTP API under ``/_simulator/``, for demos and for other processes.

Everything is JSON: ``GET state``, ``GET requests``; ``GET``, ``POST`` and ``DELETE faults``,
``DELETE faults/{number}``; ``POST jobs`` (``timeline``, and perhaps ``project``, ``job_id``,
``speed``), ``POST jobs/{id}/end`` (``status``), ``DELETE jobs/{id}``; ``POST restart``. It asks
for no credentials: it steers made-up jobs only.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web

from .faults import fault_from_json
from .simulator import Simulator

PREFIX: Final = "/_simulator"

_JOB_KEYS: Final[Mapping[str, tuple[type, ...]]] = {
    "timeline": (str,),
    "project": (str,),
    "job_id": (str,),
    "speed": (int, float),
}

Action = Callable[[web.Request], Awaitable[object]]


def control_routes(simulator: Simulator) -> list[web.RouteDef]:
    """Give the routes that steer ``simulator``."""
    control = _Control(simulator)
    actions: Mapping[tuple[str, str], Action] = {
        ("GET", "/state"): control.state,
        ("GET", "/requests"): control.requests,
        ("GET", "/faults"): control.faults,
        ("POST", "/faults"): control.add_fault,
        ("DELETE", "/faults"): control.clear_faults,
        ("DELETE", "/faults/{number:[0-9]{1,9}}"): control.remove_fault,
        ("POST", "/jobs"): control.add_job,
        ("POST", "/jobs/{job_id}/end"): control.end_job,
        ("DELETE", "/jobs/{job_id}"): control.forget_job,
        ("POST", "/restart"): control.restart,
    }
    return [
        web.route(method, PREFIX + path, _answered(action))
        for (method, path), action in actions.items()
    ]


class _Control:
    """What the API can do; each action gives JSON, and raises for what is not there."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def state(self, _request: web.Request) -> object:
        return self._simulator.snapshot()

    async def requests(self, _request: web.Request) -> object:
        return [asdict(each) for each in self._simulator.requests]

    async def faults(self, _request: web.Request) -> object:
        return self._simulator.faults.as_json()

    async def add_fault(self, request: web.Request) -> object:
        return {"id": self._simulator.faults.add(fault_from_json(await request.json()))}

    async def clear_faults(self, _request: web.Request) -> object:
        self._simulator.faults.clear()
        return {}

    async def remove_fault(self, request: web.Request) -> object:
        self._simulator.faults.remove(int(request.match_info["number"]))
        return {}

    async def add_job(self, request: web.Request) -> object:
        data = _object(await request.json(), _JOB_KEYS)
        if "timeline" not in data:
            raise ValueError("timeline is missing")
        return {"job_id": self._simulator.add(**data)}

    async def end_job(self, request: web.Request) -> object:
        data = _object(await request.json(), {"status": (str,), "project": (str,)})
        job_id = request.match_info["job_id"]
        self._simulator.end(job_id, data.get("status", ""), project=data.get("project"))
        return {}

    async def forget_job(self, request: web.Request) -> object:
        project = request.query.get("project")
        self._simulator.forget(request.match_info["job_id"], project=project)
        return {}

    async def restart(self, _request: web.Request) -> object:
        self._simulator.restart()
        return {}


def _answered(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Turn an action's outcome into an answer: 200, 400 for a mistake, 404 for no such thing."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return web.json_response(await action(request))
        except KeyError as error:
            return web.json_response({"error": f"there is no {error.args[0]!r}"}, status=404)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    return handler


def _object(data: object, keys: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("the body must be an object")
    for key, value in data.items():
        if key not in keys:
            raise ValueError(f"{key!r} is unknown, must be one of {', '.join(keys)}")
        if not isinstance(value, keys[key]) or isinstance(value, bool):
            raise ValueError(f"{key} must be of type {keys[key][-1].__name__}")
    return data
