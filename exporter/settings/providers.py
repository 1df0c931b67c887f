"""Credentials as the platform gives them: its variables, and what `auto` makes of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from .mistakes import Path, dotted
from .sources import Tree

_POD_IDENTITY: Final = {
    "uri": "HC_CONTAINER_CREDENTIALS_FULL_URI",
    "token_file": "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
}
_BY_IAM: Final = {
    "idp_id": "HUAWEICLOUD_SDK_IDP_ID",
    "token_file": "HUAWEICLOUD_SDK_ID_TOKEN_FILE",
}
_BY_STS: Final = {
    "provider_urn": "HUAWEICLOUD_OIDC_PROVIDER_URN",
    "agency_urn": "HUAWEICLOUD_OIDC_AGENCY_URN",
    "id_token": "HUAWEICLOUD_OIDC_ID_TOKEN",
    "token_file": "HUAWEICLOUD_OIDC_TOKEN_FILE",
    "session_name": "HUAWEICLOUD_OIDC_SESSION_NAME",
    "duration": "HUAWEICLOUD_OIDC_DURATION_SECONDS",
    "policy": "HUAWEICLOUD_OIDC_POLICY",
    "policy_ids": "HUAWEICLOUD_OIDC_POLICY_IDS",
    "sts_endpoint": "HUAWEICLOUD_SDK_STS_ENDPOINT",
}
_STATIC: Final = {
    "ak": "HUAWEICLOUD_SDK_AK",
    "sk": "HUAWEICLOUD_SDK_SK",
    "security_token": "HUAWEICLOUD_SDK_SECURITY_TOKEN",
}
_ENOUGH: Final = {
    "pod_identity": ({"uri", "token_file"},),
    "oidc": (
        {"provider_urn", "agency_urn", "id_token"},
        {"provider_urn", "agency_urn", "token_file"},
        {"idp_id", "token_file"},
    ),
    "file": ({"directory"},),
    "static": ({"ak", "sk"},),
}
"""What `auto` tries, in this order. Never metadata: any pod would get the whole node's agency."""
_SETTINGS: Final = {
    "pod_identity": _POD_IDENTITY.keys(),
    "oidc": _BY_STS.keys() | _BY_IAM.keys(),
    "file": {"directory"},
    "static": _STATIC.keys(),
}
"""What may stand beside `auto`: of what is not chosen, in vain."""


class Platform(NamedTuple):
    """The settings with nothing left to the platform; ``added`` is what came from it.

    ``names`` tells the variable of each path in it.
    """

    tree: Tree
    added: Mapping[str, Any] = MappingProxyType({})
    names: Mapping[Path, str] = MappingProxyType({})

    def spell(self, path: Path) -> str:
        """Write a path as the variable that it came from."""
        return self.names.get(path) or dotted(path)


def complete(tree: Tree, environ: Mapping[str, str]) -> Platform:
    """Add to each project's credentials what they leave out and the platform's variables have.

    These are the same for all projects, so that what is set for one wins. `auto` becomes the
    first provider of which enough is known; what is set for another one is then left out.
    """
    projects = tree.get("projects")
    if not isinstance(projects, dict):
        return Platform(tree)
    completed, added = dict(projects), dict[str, Any]()
    names: dict[Path, str] = {}
    for name, project in projects.items():
        credentials = project.get("credentials") if isinstance(project, dict) else None
        if not isinstance(credentials, dict):
            continue
        own, table = _chosen(credentials, environ)
        found = _found(table, own, environ)
        values = {each: _value(each, environ[found[each]]) for each in found}
        completed[name] = {**project, "credentials": {**own, **values}}
        added[name] = {"credentials": values}
        names |= {("projects", name, "credentials", each): found[each] for each in found}
    return Platform({**tree, "projects": completed}, {"projects": added}, names)


def _chosen(given: Tree, environ: Mapping[str, str]) -> tuple[Tree, Mapping[str, str]]:
    """Settle for a provider, if that is asked for and there is one; give its variables, too."""
    if given.get("provider") != "auto":
        return given, _variables(given.get("provider"), given, environ)
    for provider, enough in _ENOUGH.items():
        if provider == "pod_identity" and given.keys() & _POD_IDENTITY.keys() == {"token_file"}:
            continue  # that token is one for `oidc`, and must not be sent to another address
        # Keys that are set are for this project alone, and never half of a pair.
        static = provider == "static" and not given.keys() & _STATIC.keys()
        table = _STATIC if static else _variables(provider, given, environ)
        known = given.keys() | _found(table, given, environ).keys()
        if any(each <= known for each in enough):
            strange = set().union(*_SETTINGS.values()) - _SETTINGS[provider]
            kept = {name: value for name, value in given.items() if name not in strange}
            return {**kept, "provider": provider}, table
    return given, {}


def _variables(provider: object, given: Tree, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Give the variables that stand for a provider's settings, by setting."""
    if provider == "pod_identity":
        return _POD_IDENTITY
    if provider != "oidc":
        return {}
    by_sts = environ.get(_BY_STS["provider_urn"]) and not given.get("idp_id")
    return _BY_STS if by_sts or given.get("provider_urn") else _BY_IAM


def _found(table: Mapping[str, str], given: Tree, environ: Mapping[str, str]) -> dict[str, str]:
    """Name the variables that have what is left out, by setting."""
    found = {
        name: variable
        for name, variable in table.items()
        if environ.get(variable) and given.get(name) is None
    }
    if given.get("token_file") or given.get("id_token"):
        found.pop("token_file", None)
        found.pop("id_token", None)
    elif "id_token" in found:  # the vendor's SDK prefers it, too
        found.pop("token_file", None)
    return found


def _value(name: str, text: str) -> Any:
    """Write a variable's value as the settings have it: the vendor's duration is in seconds."""
    return f"{text}s" if name == "duration" else text
