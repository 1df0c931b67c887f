"""Write every dashboard into its file."""

from .files import DASHBOARDS, DIRECTORY, text

for _name, _build in DASHBOARDS.items():
    (DIRECTORY / f"{_name}.json").write_text(text(_build()), encoding="utf-8")
