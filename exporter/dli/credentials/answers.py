"""Credentials as IAM, STS, the metadata service and CCE write them into their answers."""

from collections.abc import Mapping
from typing import Final

from ..errors import ParseError
from ..fields import load
from ..projects import require_project_id
from ..signing import AccessKey, Token
from ..times import parse_time
from ..transport import Reply

LARGEST_ANSWER: Final = 64 * 1024
"""Bytes; keys and their token take a few thousand."""

_OUTER: Final = ("credential", "credentials")
# Each service has its own spelling (SDK core, auth/internal.py).
_AK: Final = ("access", "accessKeyId", "access_key_id")
_SK: Final = ("secret", "secretAccessKey", "secret_access_key")
_SECURITY_TOKEN: Final = ("securitytoken", "securityToken", "security_token")
_END: Final = ("expires_at", "expiration")


def parse_key(reply: Reply) -> AccessKey:
    """Read temporary keys; ParseError names a field that is not as it should be."""
    document = _object(load(reply.body), "body")
    outer = next((name for name in _OUTER if name in document), None)
    fields = document if outer is None else _object(document[outer], outer)
    ak, sk, token = (_text(fields, names) for names in (_AK, _SK, _SECURITY_TOKEN))
    try:
        return AccessKey(ak, sk, token, _end(fields))
    except ValueError as error:
        raise ParseError(f"the answer: {error}", field=_AK[0]) from None


def parse_token(reply: Reply) -> Token:
    """Read an IAM token, which comes in a header, with its end and project from the body."""
    fields = _object(_object(load(reply.body), "body").get("token"), "token")
    project = _object(fields.get("project"), "project")
    value = parse_unscoped_token(reply).value
    try:
        return Token(value, _end(fields), require_project_id(_text(project, ("id",))))
    except ValueError as error:
        raise ParseError(f"the answer: {error}", field="project") from None


def parse_unscoped_token(reply: Reply) -> Token:
    """Read a token of which no more is to be known."""
    try:
        return Token(reply.headers.get("X-Subject-Token", ""))
    except ValueError:
        raise ParseError("the answer holds no X-Subject-Token", field="X-Subject-Token") from None


def _object(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ParseError(f"the answer's {name} is no object", field=name)
    return value


def _text(fields: Mapping[str, object], names: tuple[str, ...]) -> str:
    found = next((value for name in names if (value := fields.get(name))), None)
    if not isinstance(found, str):
        raise ParseError(f"the answer holds no {names[0]}", field=names[0])
    return found


def _end(fields: Mapping[str, object]) -> float:
    text = _text(fields, _END)
    if (moment := parse_time(text)) is None:
        raise ParseError("the answer's expires_at is no time", field=_END[0])
    return moment
