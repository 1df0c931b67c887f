"""What Grafana shows of the exporter: a generator, and the dashboards that it wrote."""
