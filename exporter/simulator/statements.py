"""The recurring SQL jobs of an imaginary company: what the list API tells about each run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """All that DLI knows of a job beside its progress.

    ``row_bytes`` and ``task_rows`` make the plausible sizes: bytes in a row, rows in a task;
    ``cores`` the plausible CPU cost. ``message`` is what a failed job says.
    """

    statement: str
    queue_name: str = "default"
    owner: str = "tenant1"
    job_type: str = "QUERY"
    engine_type: str = "spark"
    database_name: str = ""
    table_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    row_bytes: int = 96
    task_rows: int = 50_000
    cores: int = 16
    message: str = "Job aborted due to stage failure: Task 3 in stage 1.0 failed 4 times"


@dataclass(frozen=True, slots=True)
class _Recurring:
    """One job that runs again and again; ``{…}`` are the literals that differ from run to run."""

    name: str
    queue_name: str
    owner: str
    database_name: str
    table_name: str
    job_type: str
    statement: str


_RECURRING: Final = (
    _Recurring(
        "orders_daily",
        "etl_nightly",
        "svc_airflow",
        "sales",
        "orders_daily",
        "INSERT",
        "INSERT OVERWRITE TABLE {db}.orders_daily PARTITION (dt='{day}')\n"
        "SELECT order_id, customer_id, sum(amount) AS amount, count(*) AS items\n"
        "FROM {db}.order_items WHERE dt = '{day}' AND amount >= {low}\n"
        "GROUP BY order_id, customer_id",
    ),
    _Recurring(
        "churn_features",
        "ml_batch",
        "mei.tan",
        "crm",
        "churn_features",
        "INSERT",
        "INSERT OVERWRITE TABLE {db}.churn_features\n"
        "SELECT c.customer_id, datediff('{day}', max(e.ts)) AS silent_days,\n"
        "       avg(e.duration) AS mean_visit\n"
        "FROM {db}.customers c LEFT JOIN {db}.events e ON e.customer_id = c.customer_id\n"
        "WHERE e.ts >= date_sub('{day}', {days}) GROUP BY c.customer_id",
    ),
    _Recurring(
        "revenue_by_region",
        "bi_interactive",
        "rahim.aziz",
        "sales",
        "orders_daily",
        "QUERY",
        "SELECT r.name, date_trunc('week', o.dt) AS week, sum(o.amount) AS revenue\n"
        "FROM {db}.orders_daily o JOIN {db}.regions r ON r.id = o.region_id\n"
        "WHERE o.dt BETWEEN date_sub('{day}', {days}) AND '{day}'\n"
        "GROUP BY r.name, date_trunc('week', o.dt) ORDER BY revenue DESC LIMIT {limit}",
    ),
    _Recurring(
        "clickstream_sessions",
        "etl_nightly",
        "svc_airflow",
        "web",
        "sessions",
        "INSERT",
        "INSERT INTO TABLE {db}.sessions PARTITION (dt='{day}')\n"
        "SELECT visitor_id, min(ts), max(ts), count(*) AS clicks,\n"
        "       sum(CASE WHEN gap > {limit} THEN 1 ELSE 0 END) AS sessions\n"
        "FROM (SELECT visitor_id, ts, ts - lag(ts) OVER (PARTITION BY visitor_id ORDER BY ts)"
        " AS gap\n      FROM {db}.clicks WHERE dt = '{day}') t GROUP BY visitor_id",
    ),
    _Recurring(
        "inventory_snapshot",
        "etl_hourly",
        "svc_airflow",
        "supply",
        "stock",
        "INSERT",
        "INSERT OVERWRITE TABLE {db}.stock PARTITION (dt='{day}')\n"
        "SELECT sku, warehouse, sum(delta) AS on_hand FROM {db}.movements\n"
        "WHERE moved_at < '{day} {hour:02}:00:00' GROUP BY sku, warehouse"
        " HAVING sum(delta) > {low}",
    ),
    _Recurring(
        "fraud_scan",
        "ml_batch",
        "mei.tan",
        "payments",
        "suspicious",
        "INSERT",
        "INSERT INTO TABLE {db}.suspicious\n"
        "SELECT a.card, a.id, b.id, a.amount + b.amount AS total\n"
        "FROM {db}.payments a JOIN {db}.payments b\n"
        "  ON a.card = b.card AND a.country <> b.country AND b.ts - a.ts < {limit}\n"
        "WHERE a.dt = '{day}' AND a.amount > {low}",
    ),
    _Recurring(
        "top_products",
        "bi_interactive",
        "lena.koch",
        "sales",
        "order_items",
        "QUERY",
        "WITH ranked AS (\n"
        "  SELECT category, product, sum(amount) AS total,\n"
        "         rank() OVER (PARTITION BY category ORDER BY sum(amount) DESC) AS place\n"
        "  FROM {db}.order_items WHERE dt > date_sub('{day}', {days})"
        " GROUP BY category, product\n)\n"
        "SELECT * FROM ranked WHERE place <= {limit}",
    ),
    _Recurring(
        "events_export",
        "default",
        "svc_export",
        "web",
        "events",
        "EXPORT",
        "INSERT OVERWRITE DIRECTORY 'obs://exports/events/{day}' USING parquet\n"
        "SELECT * FROM {db}.events WHERE dt = '{day}' AND amount_of_fields > {low}",
    ),
    _Recurring(
        "customer_dedup",
        "etl_hourly",
        "svc_airflow",
        "crm",
        "customers",
        "UPDATE",
        "MERGE INTO {db}.customers t USING (\n"
        "  SELECT customer_id, max(updated_at) AS updated_at FROM {db}.customers_raw\n"
        "  WHERE updated_at >= '{day} {hour:02}:00:00' GROUP BY customer_id) s\n"
        "ON t.customer_id = s.customer_id WHEN MATCHED THEN UPDATE SET *",
    ),
    _Recurring(
        "delivery_times",
        "bi_interactive",
        "rahim.aziz",
        "supply",
        "deliveries",
        "QUERY",
        "SELECT carrier, percentile_approx(hours, 0.95) AS p95, count(*) AS parcels\n"
        "FROM {db}.deliveries WHERE shipped_at >= date_sub('{day}', {days}) AND hours < {limit}\n"
        "GROUP BY carrier ORDER BY p95",
    ),
    _Recurring(
        "gdpr_erasure",
        "default",
        "svc_privacy",
        "crm",
        "events",
        "DELETE",
        "DELETE FROM {db}.events WHERE customer_id IN\n"
        "  (SELECT customer_id FROM {db}.erasure_requests WHERE requested_at <= '{day}'"
        " AND ticket > {limit})",
    ),
    _Recurring(
        "ledger_import",
        "etl_nightly",
        "svc_finance",
        "finance",
        "ledger",
        "IMPORT",
        "LOAD DATA INPATH 'obs://finance-inbox/ledger/{day}/batch-{limit}.csv'"
        " INTO TABLE {db}.ledger",
    ),
)

_LAST_DAY: Final = datetime(2026, 11, 20, tzinfo=UTC)


def particulars(slot: int, run: int, chance: Random) -> Particulars:
    """Tell what run number ``run`` of recurring job number ``slot`` is about.

    Runs of one slot differ in literals only, so that history can tell they are the same
    statement; two slots never share one. ``chance`` draws the literals.
    """
    recurring = _RECURRING[slot % len(_RECURRING)]
    copy = slot // len(_RECURRING)
    suffix = f"_{copy + 1}" if copy else ""
    database = recurring.database_name + suffix
    return Particulars(
        statement=recurring.statement.format(db=database, **_literals(run, chance)),
        queue_name=recurring.queue_name,
        owner=recurring.owner,
        job_type=recurring.job_type,
        database_name=database,
        table_name=recurring.table_name,
        tags={"jobName": recurring.name + suffix, "workspace": recurring.database_name},
        row_bytes=40 + 8 * (slot % 23),
        task_rows=20_000 + 7_919 * (slot % 17),
        cores=(8, 16, 32, 64)[slot % 4],
    )


def _literals(run: int, chance: Random) -> dict[str, object]:
    day = _LAST_DAY + timedelta(days=run)
    return {
        "day": day.date().isoformat(),
        "hour": chance.randrange(24),
        "days": chance.choice((7, 14, 28, 30, 90)),
        "low": chance.randrange(1, 1000),
        "limit": chance.randrange(5, 5000),
    }
