"""An IAM user's password becomes a token: for clouds and users without access keys."""

from collections.abc import Awaitable, Callable
from typing import Final

from ..iam import TOKENS, Iam
from ..signing import Token
from .answers import parse_token

NAME: Final = "password"


async def obtain(
    iam: Iam,
    password: Callable[[], Awaitable[str]],
    *,
    domain: str,
    username: str,
    project_id: str | None,
    region: str | None,
) -> Token:
    """Ask for a token of the project, or of the region's own one (iam_30_0001)."""
    given = await password()
    user = {"name": username, "password": given, "domain": {"name": domain}}
    project = {"id": project_id} if project_id else {"name": region}
    document = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": project},
        }
    }
    return await iam.post(TOKENS, document, parse_token, query="?nocatalog=true", secrets=(given,))
