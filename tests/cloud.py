"""What hands out credentials, on a port of this machine: IAM, STS, CCE and the metadata service.

It issues new keys each time, ends them, refuses, hangs and comes back, as a test tells it to.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

from exporter.simulator import Project
from exporter.simulator.answers import Refused
from exporter.simulator.gateway import Gateway, SignedRequest

POD: Final = "/pod/credentials"
METADATA_TOKEN: Final = "/meta-data/latest/api/token"
METADATA_KEYS: Final = "/openstack/latest/securitykey"
TOKENS: Final = "/v3/auth/tokens"
ID_TOKENS: Final = "/v3.0/OS-AUTH/id-token/tokens"
SECURITY_TOKENS: Final = "/v3.0/OS-CREDENTIAL/securitytokens"
ASSUME: Final = "/v5/agencies/assume-with-oidc"
REACHABLE: Final = "/v3/auth/projects"
NAMED: Final = "/v3/projects"
REGION: Final = "ap-southeast-3"
NO_AGENCY: Final = "Please configure Cloud Service Agency first"


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    path: str
    query: str
    headers: dict[str, str]
    body: Any


def numbered(project: Project, number: int) -> Project:
    """Make up keys and a token that nobody else has."""
    return replace(
        project,
        ak=f"HST{number:017}",
        sk=f"issued-secret-key-{number:020}",
        security_token=f"issued-security-token-{number:020}==",
        token=f"issued-token-{number:020}",
    )


@dataclass
class Cloud:
    """The services, the secrets that they accept, and the keys that they issued.

    With a ``gateway`` the keys open its project there until they end, and lists of projects are
    for those that it admits.
    """

    project: Project
    gateway: Gateway | None = None
    now: Callable[[], float] = time.time
    make: Callable[[Project, int], Project] = numbered
    life: float = 3600.0
    pod_token: str = "pod-token-of-the-service-account"
    id_token: str = "id-token-of-the-service-account"
    idp_id: str = "kubernetes"
    password: str = "correct horse battery staple"
    metadata_token: str | None = "metadata-token-0001"
    agency: bool = True
    projects: list[dict[str, Any]] = field(default_factory=list)
    issued: list[Project] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    address: str = ""
    failures: dict[str, Callable[[], web.Response]] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()
        self.projects = self.projects or [self.row(self.project.id, REGION)]

    @staticmethod
    def row(id: str, name: str, **changes: Any) -> dict[str, Any]:
        return {"id": id, "name": name, "enabled": True, "is_domain": False, **changes}

    def fail(self, *paths: str, status: int = 503, body: str = "", **headers: str) -> None:
        """Answer requests for some paths, or all, with an error."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for path in paths or ("*",):
            self.failures[path] = lambda: web.Response(status=status, text=body, headers=given)

    def recover(self) -> None:
        """Answer as usual again."""
        self.failures.clear()

    def asked(self, *paths: str) -> int:
        """Count the requests for some paths, or all."""
        counts = Counter(each.path for each in self.requests)
        return sum(counts[path] for path in paths) if paths else counts.total()

    async def until(self, condition: Callable[[], bool], within: float = 30) -> None:
        """Wait until something is so; it is looked at after every request that arrives."""
        async with asyncio.timeout(within):
            while not condition():
                await self._answered.wait()

    async def issues(self, count: int) -> None:
        """Wait until so many keys were issued in all."""
        await self.until(lambda: len(self.issued) >= count)

    def revoke(self) -> None:
        """Let no issued key open anything any more."""
        assert self.gateway is not None
        for each in self.issued:
            self.gateway.lend(each, until=0.0)

    def app(self) -> web.Application:
        answers = {
            ("POST", POD): self._pod,
            ("PUT", METADATA_TOKEN): self._metadata_token,
            ("GET", METADATA_KEYS): self._metadata_keys,
            ("POST", TOKENS): self._token,
            ("POST", ID_TOKENS): self._id_token,
            ("POST", SECURITY_TOKENS): self._security_token,
            ("POST", ASSUME): self._assume,
            ("GET", REACHABLE): self._list,
            ("GET", NAMED): self._list,
        }
        app = web.Application()
        for (method, path), answer in answers.items():
            app.router.add_route(method, path, self._door(answer))
        return app

    def _door(
        self, answer: Callable[[web.Request], web.Response]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            text = await request.text()
            headers = {name.title(): value for name, value in request.headers.items()}
            body = json.loads(text) if text else None
            self.requests.append(Asked(request.path, request.query_string, headers, body))
            self._answered.set()
            self._answered = asyncio.Event()
            await self.open.wait()
            failure = self.failures.get(request.path) or self.failures.get("*")
            return failure() if failure else answer(request)

        return handle

    def _issue(self) -> tuple[Project, float]:
        end = self.now() + self.life
        keys = self.make(self.project, len(self.issued) + 1)
        self.issued.append(keys)
        if self.gateway is not None:
            self.gateway.lend(keys, until=end)
        return keys, end

    def _keys(
        self, outer: str, names: tuple[str, str, str, str], status: int = 200
    ) -> web.Response:
        keys, end = self._issue()
        values = (keys.ak, keys.sk, keys.security_token, moment(end))
        return web.json_response({outer: dict(zip(names, values, strict=True))}, status=status)

    def _pod(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self.pod_token or self.last.body != {}:
            return web.json_response({"message": "who is that?"}, status=401)
        names = ("accessKeyId", "secretAccessKey", "securityToken", "expiration")
        return self._keys("credentials", names)

    def _metadata_token(self, request: web.Request) -> web.Response:
        if self.metadata_token is None:
            return web.Response(status=404, text="not found")
        assert request.headers["X-Metadata-Token-Ttl-Seconds"] == "21600"
        return web.Response(text=self.metadata_token)

    def _metadata_keys(self, request: web.Request) -> web.Response:
        if not self.agency:
            return web.Response(status=401, text=NO_AGENCY)
        if request.headers.get("X-Metadata-Token") != self.metadata_token:
            return web.Response(status=401, text="token?")
        names = ("access", "secret", "securitytoken", "expires_at")
        return self._keys("credential", names)

    def _token(self, request: web.Request) -> web.Response:
        auth = self.last.body["auth"]
        user = auth["identity"]["password"]["user"]
        scope = auth["scope"]["project"]
        fits = scope in ({"name": REGION}, {"id": self.project.id})
        if (
            user["password"] != self.password
            or not fits
            or request.query_string != "nocatalog=true"
        ):
            return refused(401, "The username or password is wrong.")
        keys, end = self._issue()
        project = {"id": self.project.id, "name": REGION, "domain": {"name": "d"}}
        body = {"token": {"expires_at": moment(end), "project": project}}
        return web.json_response(body, status=201, headers={"X-Subject-Token": keys.token or ""})

    def _id_token(self, request: web.Request) -> web.Response:
        given = self.last.body == {"auth": {"id_token": {"id": self.id_token}}}
        if not given or request.headers.get("X-Idp-Id") != self.idp_id:
            return refused(401, "The ID token is wrong.")
        headers = {"X-Subject-Token": "unscoped-token-0000000001"}
        return web.json_response({"token": {}}, status=201, headers=headers)

    def _security_token(self, request: web.Request) -> web.Response:
        identity = self.last.body["auth"]["identity"]
        if identity["token"]["id"] != "unscoped-token-0000000001":
            return web.json_response({"error_code": "IAM.0001", "error_msg": "no"}, status=400)
        assert identity["methods"] == ["token"]
        names = ("access", "secret", "securitytoken", "expires_at")
        return self._keys("credential", names, 201)

    def _assume(self, request: web.Request) -> web.Response:
        if self.last.body["id_token"] != self.id_token:
            return web.json_response({"error_code": "STS5.0001", "error_msg": "no"}, status=403)
        names = ("access_key_id", "secret_access_key", "security_token", "expiration")
        return self._keys("credentials", names)

    def _list(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        pairs = [(name, unquote(value)) for name, _, value in [query.partition("=")] if name]
        signed = SignedRequest(method="GET", path=path, query=pairs, headers=request.headers)
        if self.gateway is not None:
            try:
                self.gateway.admit(signed, self.project.id, self.now())
            except Refused as error:
                body = {"error_code": error.refusal.code, "error_msg": error.refusal.message}
                return web.json_response(body, status=error.refusal.status)
        wanted = dict(pairs).get("name")
        rows = [row for row in self.projects if wanted in (None, row["name"])]
        return web.json_response({"projects": rows})

    @property
    def last(self) -> Asked:
        """The last request that arrived."""
        return self.requests[-1]


def moment(at: float) -> str:
    """Write a moment as the cloud does."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def refused(status: int, message: str) -> web.Response:
    """Refuse as Keystone does."""
    error = {"code": status, "message": message, "title": "Unauthorized"}
    return web.json_response({"error": error}, status=status)


@asynccontextmanager
async def serving(cloud: Cloud) -> AsyncIterator[Cloud]:
    """Serve it on a free port."""
    runner = web.AppRunner(cloud.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cloud.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield cloud
    finally:
        cloud.open.set()
        await runner.cleanup()


def keep(directory: Path, name: str, text: str) -> str:
    """Write a secret to a file and give its path."""
    (directory / name).write_text(text)
    return str(directory / name)


def provider(kind: str, cloud: Cloud, directory: Path) -> dict[str, Any]:
    """Write a project's credentials for one of the services as a settings file has them."""
    id_token = {"provider": "oidc", "token_file": keep(directory, "id", cloud.id_token)}
    return {
        "pod_identity": lambda: {
            "provider": "pod_identity",
            "uri": cloud.address + POD,
            "token_file": keep(directory, "pod", cloud.pod_token),
        },
        "metadata": lambda: {"provider": "metadata", "endpoint": cloud.address},
        "oidc-iam": lambda: {**id_token, "idp_id": cloud.idp_id},
        "oidc-sts": lambda: {
            **id_token,
            "provider_urn": "iam::d:provider",
            "agency_urn": "iam::d:agency",
            "sts_endpoint": cloud.address,
        },
        "password": lambda: {
            "provider": "password",
            "domain": "my-domain",
            "username": "exporter",
            "password": cloud.password,
        },
    }[kind]()


KINDS: Final = ("pod_identity", "metadata", "oidc-iam", "oidc-sts", "password")
