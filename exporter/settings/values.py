"""What single settings may be: durations, addresses, endpoints, ids, tags, secrets."""

import json
import re
from collections.abc import Callable, Hashable, Iterable
from ipaddress import AddressValueError, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, SecretStr
from pydantic_core import PydanticCustomError, core_schema

# Digits are bounded, so that no duration overflows and no pattern is slow.
_DURATION: Final = re.compile(
    "".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
)
_SECONDS: Final = (31_536_000.0, 604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{0,253}):([0-9]{1,5})")
_WEB_ADDRESS: Final = re.compile(
    r"(https?)://(\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(:[0-9]{1,5})?/?"
)
_OFFSET: Final = re.compile(r"([+-])([01][0-9]):([0-5][0-9])")

_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 255
"""Characters of a tag that DLI takes (dli_02_0025, and wherever else tags are set)."""

T = TypeVar("T", bound=Hashable)


def bad(wrong: str) -> PydanticCustomError:
    """Make the error that a validator raises: what is wrong, and what is allowed."""
    return PydanticCustomError("setting", "{wrong}", {"wrong": wrong})


class Duration(float):
    """Seconds, read and shown as Prometheus writes durations: ``15s``, ``1h30m``, ``500ms``."""

    _text: str

    def __new__(cls, text: str) -> Self:
        """Read *text*; raises ValueError when it is not a duration."""
        found = _DURATION.fullmatch("0s" if text == "0" else text)
        if found is None or not text:
            raise ValueError
        pairs = zip(found.groups(default="0"), _SECONDS, strict=True)
        self = super().__new__(cls, sum(int(number) * seconds for number, seconds in pairs))
        self._text = text
        return self

    def __str__(self) -> str:
        """Give it back as it was written."""
        return self._text

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Copy it from its text."""
        return type(self), (self._text,)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic read it from text."""
        return core_schema.no_info_plain_validator_function(_duration)


def _duration(value: object) -> Duration:
    if isinstance(value, Duration):
        return value
    try:
        return Duration(value if isinstance(value, str) else "")
    except ValueError:
        raise bad("must be a duration such as 500ms, 15s or 1h30m") from None


def _positive(value: Duration) -> Duration:
    if value <= 0:
        raise bad("must be longer than 0s")
    return value


class ListenAddress(str):
    """Where a server listens: ``host:port``, ``[v6]:port``, or ``:port`` for every interface."""

    __slots__ = ()

    @property
    def host(self) -> str:
        """The host without brackets; empty for every interface."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 lets the system choose one."""
        return int(self.rpartition(":")[2])

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic read it from text."""
        return core_schema.no_info_plain_validator_function(_listen_address)


def _listen_address(value: object) -> ListenAddress:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or not _is_host(found[1]) or int(found[2]) > 65_535:
        raise bad("must be HOST:PORT, [IPV6]:PORT or :PORT, with a port from 0 to 65535")
    return ListenAddress(found[0])


def _is_host(host: str) -> bool:
    """Whether *host* is a name, an IPv4 address, or an IPv6 address in brackets."""
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except AddressValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    host = re.sub(r":[0-9]+$", "", address)
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _web_address(value: str) -> str:
    """Accept scheme, host and port only: a path or user name would end up in signatures or logs."""
    found = _WEB_ADDRESS.fullmatch(value.lower())
    if found is None or not _is_host(found[2]) or int((found[3] or ":0")[1:]) > 65_535:
        raise bad("must be https://HOST or https://HOST:PORT, with no user, path or query")
    return found[0].rstrip("/")


def _endpoint(value: str) -> str:
    address = _web_address(value)
    host = address.partition("://")[2]
    if address.startswith("http://") and not _is_loopback(host):
        raise bad("must begin with https:// (http:// sends tokens in clear: loopback hosts only)")
    return address


def _is_inside(host: str) -> bool:
    """Whether *host* cannot be on the open Internet, where http:// would show what is sent."""
    name = re.sub(r":[0-9]+$", "", host).strip("[]")
    try:
        return not ip_address(name).is_global
    except ValueError:
        return "." not in name or name.endswith((".svc", ".cluster.local", ".internal"))


def _inside_uri(value: str) -> str:
    """Accept a URL that is spoken to without a certificate within a node or a cluster only."""
    scheme, _, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    if not re.fullmatch(r"(?:/[A-Za-z0-9/._~-]*)?", slash + path):
        raise bad("must be a URL without user, query or fragment")
    address = _web_address(f"{scheme}://{host}")
    if address.startswith("http://") and not _is_inside(address.partition("://")[2]):
        raise bad("must begin with https:// (http:// is for addresses inside a node or cluster)")
    return address + slash + path


def _inside_address(value: str) -> str:
    return _inside_uri(_web_address(value))


def _password(value: SecretStr) -> SecretStr:
    if not value.get_secret_value() or not value.get_secret_value().isprintable():
        raise bad("must be one line of text, and not empty")
    return value


def _key_duration(value: Duration) -> Duration:
    if not 900 <= value <= 86_400:
        raise bad("must be from 15m to 24h")
    return value


def _policy(value: str) -> str:
    try:
        policy = json.loads(value)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise bad("must be a policy as a JSON object")
    return value


def _zone(value: object) -> int:
    found = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise bad("must be an offset from UTC such as +08:00 or -03:30")
    seconds = int(found[2]) * 3600 + int(found[3]) * 60
    return -seconds if found[1] == "-" else seconds


def _upper(value: str) -> str:
    """Write in capitals; for ``str.upper`` itself ``inspect`` would compile a grammar, for 2 ms."""
    return value.upper()


def _secret(value: SecretStr) -> SecretStr:
    """Refuse what cannot stand in an HTTP header, such as the newline a careless encoding adds."""
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise bad("must be printable ASCII without spaces or line ends, and not empty")
    return value


def _matching(pattern: str, allowed: str) -> Callable[[str], str]:
    """Make a validator for text that must match *pattern*, which *allowed* puts in words."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise bad(f"must be {allowed}")
        return value

    return check


def _is_printable(text: str, longest: int, without: str = "") -> bool:
    """Whether *text* is 1 to *longest* printable characters, with no space at its ends."""
    fits = 1 <= len(text) <= longest and text.isprintable() and text == text.strip()
    return fits and not set(text) & set(without)


def _printable(longest: int, allowed: str, without: str = "") -> Callable[[str], str]:
    """Make a validator for free text that has to be printable; *allowed* says so in words."""

    def check(value: str) -> str:
        if not _is_printable(value, longest, without):
            raise bad(f"must be {allowed}")
        return value

    return check


def _one_of(*words: str) -> Callable[[str], str]:
    """Make a validator that takes one of *words* in any case, and gives it as DLI writes it."""
    known = {word.lower(): word for word in words}

    def check(value: str) -> str:
        if value.lower() not in known:
            raise bad(f"must be one of {', '.join(words)}")
        return known[value.lower()]

    return check


def _path(value: object) -> object:
    """Refuse what is no path: an empty text would be the working directory."""
    if isinstance(value, str) and (not value or "\0" in value):
        raise bad("must be a path")
    return value


def _split(value: object) -> object:
    """Let one text name several: a flag or an environment variable cannot hold a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def once(values: Iterable[T]) -> tuple[T, ...]:
    """Keep the first of each value, in order."""
    return tuple(dict.fromkeys(values))


def _tags(value: object) -> object:
    """Read tags from a section, or from a text as DLI's list API takes them: ``k1=v1,k2=v2``.

    A section made of environment variables has lower-case keys only; tags heed the case. What
    separates in DLI's form cannot be part of a tag that is searched for.
    """
    tags = _pairs(value) if isinstance(value, str) else value
    if isinstance(tags, dict) and not all(_is_tag(*tag) for tag in tags.items()):
        raise bad(
            f"must have keys of 1 to {_LONGEST_KEY} printable characters without , or =, and "
            f"values of 1 to {_LONGEST_VALUE} without ,"
        )
    return tags


def _pairs(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    tags = {key.strip(): value.strip() for key, equals, value in pairs if equals}
    if len(tags) < len(pairs):
        raise bad("must be KEY=VALUE, or several with , between, and no key twice")
    return tags


def _is_tag(key: object, value: object) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, str)
        and _is_printable(key, _LONGEST_KEY, without=",=")
        and _is_printable(value, _LONGEST_VALUE, without=",")
    )


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
InsideUri = Annotated[str, AfterValidator(_inside_uri)]
"""A URL that may be without TLS where nobody else listens."""
InsideAddress = Annotated[str, AfterValidator(_inside_address)]
"""The same of scheme, host and port."""
Zone = Annotated[int, BeforeValidator(_zone)]
"""Seconds east of UTC, written ``+08:00``."""
ZoneName = Annotated[
    str, AfterValidator(_upper), AfterValidator(_matching("[A-Z]{1,8}", "1 to 8 letters"))
]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Password = Annotated[SecretStr, AfterValidator(_password)]
KeyDuration = Annotated[Duration, AfterValidator(_key_duration)]
"""What IAM allows for temporary keys."""
Policy = Annotated[str, AfterValidator(_policy)]
ProjectName = Annotated[
    str, AfterValidator(_printable(64, "a name of 1 to 64 printable characters"))
]
ProjectId = Annotated[
    str, AfterValidator(_matching("[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - or _"))
]
JobId = Annotated[
    str, AfterValidator(_matching("[A-Za-z0-9-]{1,64}", "a job id: 1 to 64 letters, digits or -"))
]
Name = Annotated[str, AfterValidator(_printable(128, "a name of 1 to 128 printable characters"))]
QueueName = Annotated[
    str,
    AfterValidator(
        _matching(
            "(?!_)(?![0-9]+$)[A-Za-z0-9_]{1,128}",
            "a queue: 1 to 128 letters, digits or _, with no _ in front and not digits alone",
        )
    ),
]
JobType = Annotated[
    str,
    AfterValidator(
        _one_of(
            *("DDL", "DCL", "IMPORT", "EXPORT", "QUERY", "INSERT", "DATA_MIGRATION", "UPDATE"),
            *("DELETE", "RESTART_QUEUE", "SCALE_QUEUE"),
        )
    ),
]
"""A ``job_types`` word of the list API (dli_02_0025)."""
EngineType = Annotated[str, AfterValidator(_one_of("spark", "hetuEngine"))]
TagKey = Annotated[
    str,
    AfterValidator(
        _printable(
            _LONGEST_KEY, f"a tag's key: 1 to {_LONGEST_KEY} printable characters without ,", ","
        )
    ),
]
TagFilter = Annotated[dict[str, str], BeforeValidator(_tags)]
"""Values by key."""
AnyPath = Annotated[Path, BeforeValidator(_path)]
"""A path to what may come to be later."""
Several = Annotated[tuple[T, ...], BeforeValidator(_split), AfterValidator(once)]
"""A list, or one text with ``,`` between; each value counts once."""
