"""Write the PrometheusRule of the monitoring manifests: the rules of deploy/prometheus, wrapped.

``python deploy/kustomize/generate.py`` writes the file that is committed: kustomize reads nothing
outside of its own directories, and cannot put a file's content under ``spec``.
"""

from pathlib import Path
from textwrap import indent

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus"
FILES = ("rules.yml", "alerts.yml")
OUTPUT = HERE / "monitoring" / "prometheusrule.yaml"

HEAD = """\
# Written by deploy/kustomize/generate.py from deploy/prometheus/{file}: change that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: dli-{name}
  labels: {{app.kubernetes.io/name: dli-exporter}}
spec:
"""


def manifest(rules: Path) -> str:
    """Return a rule file as a PrometheusRule, its comments included."""
    return HEAD.format(file=rules.name, name=rules.stem) + indent(rules.read_text("utf-8"), "  ")


def manifests() -> str:
    """Return every rule file, a document each."""
    return "---\n".join(manifest(RULES / name) for name in FILES)


if __name__ == "__main__":
    OUTPUT.write_text(manifests(), encoding="utf-8")
