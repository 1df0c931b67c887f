"""The volumes of a rendered pod, laid out as directories."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..kubernetes.manifests import Object, containers, only

_KINDS: Final = {"configMap": "ConfigMap", "secret": "Secret"}


class Volumes:
    """The volumes of a pod as directories, by name.

    With ``mounted`` each will be where the pod wants it; else the paths in what it holds lead to
    the directories.
    """

    def __init__(
        self, spec: Object, objects: list[dict[str, Any]], root: Path, *, mounted: bool = False
    ) -> None:
        self.directories: dict[str, Path] = {
            each["name"]: root / each["name"] for each in spec["volumes"]
        }
        self._mounts = {
            mount["mountPath"]: str(self.directories[mount["name"]])
            for each in containers({"spec": spec})
            for mount in each.get("volumeMounts", ())
            if not mounted
        }
        longest = sorted(self._mounts, key=len, reverse=True)
        either = "|".join(map(re.escape, longest)) or "$^"  # which is nowhere
        self._pattern = re.compile(rf"(?<![\w./-])({either})(?![\w.-])")
        for each in spec["volumes"]:
            self._make(each, objects)

    def placed(self, text: str) -> str:
        """Replace the paths of mounts by those of the directories."""
        return self._pattern.sub(lambda found: self._mounts[found[1]], text)

    def _make(self, volume: Object, objects: list[dict[str, Any]]) -> None:
        directory = self.directories[volume["name"]]
        directory.mkdir(parents=True)
        if "emptyDir" in volume:
            directory.chmod(0o777)
            return
        projected = volume.get("projected", {"sources": [volume]})
        mode = next(
            (each["defaultMode"] for each in volume.values() if "defaultMode" in each), 0o644
        )
        _atomically(
            directory,
            {
                path: (self.placed(text), mode)
                for source in projected["sources"]
                for path, text in _files(source, objects).items()
            },
        )


def _files(source: Object, objects: list[dict[str, Any]]) -> dict[str, str]:
    """Return the files that a volume's source gives, by path."""
    (kind,) = source.keys() & _KINDS.keys()
    given = source[kind]
    name = given.get("name") or given["secretName"]
    data = content(only(objects, _KINDS[kind], name))
    items = given.get("items", [{"key": key, "path": key} for key in data])
    return {item["path"]: data[item["key"]] for item in items}


def content(of: Object) -> dict[str, str]:
    """Return the data of a ConfigMap or Secret as text."""
    data: dict[str, str] = dict(of.get("data", {}))
    if of["kind"] == "Secret":
        data = {key: base64.b64decode(value).decode() for key, value in data.items()}
    return {**data, **of.get("stringData", {})}


def _atomically(directory: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """Write files as the kubelet does: behind a link to a directory that can be exchanged."""
    data = directory / "..2026_01_01"
    for path, (text, mode) in files.items():
        file = data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
    (directory / "..data").symlink_to(data.name)
    for top in {Path(path).parts[0] for path in files}:
        (directory / top).symlink_to(Path("..data", top))
