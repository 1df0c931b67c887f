"""Prometheus exporter for the progress of Huawei Cloud DLI SQL jobs."""
