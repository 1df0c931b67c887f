// The dashboards, alerts and recording rules for those who put theirs together with Jsonnet. The
// files that it imports are written beside it by `dli-exporter dashboards --out DIR`.
{
  grafanaDashboards+:: {
    'dli-jobs.json': import 'dashboards/dli-jobs.json',
    'dli-job.json': import 'dashboards/dli-job.json',
    'dli-exporter.json': import 'dashboards/dli-exporter.json',
  },
  prometheusAlerts+:: std.parseYaml(importstr 'prometheus/alerts.yml'),
  prometheusRules+:: std.parseYaml(importstr 'prometheus/rules.yml'),
}
