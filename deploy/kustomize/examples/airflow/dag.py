"""An Airflow task that submits SQL to DLI, in a pod with the exporter beside it."""

from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG

START = datetime(2026, 1, 1, tzinfo=UTC)

with DAG("nightly", start_date=START, schedule="0 2 * * *", catchup=False):
    KubernetesPodOperator(
        task_id="load_sales",
        # The pod is deleted when its container `base` has ended. Kubernetes gives the exporter
        # its grace period even so, and Prometheus scrapes until it has left.
        pod_template_file=str(Path(__file__).with_name("nightly_pod.yaml")),
        cmds=["python", "/app/submit.py"],
    )
