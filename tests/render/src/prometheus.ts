// Asks Prometheus and makes data frames of the answers, as Grafana's data source does.
import { FieldType, toDataFrame, type DataFrame } from '@grafana/data';
import type { Panel, Target } from './dashboard';
import { request } from './request';
import { interpolate } from './variables';

/** Points in a graph, as wide as the pictures are. */
const POINTS = 480;
/** Steps in which annotations are asked for, about as many as Grafana takes. */
const MARKS = 100;

interface Series {
  metric: Record<string, string>;
  value?: [number, string];
  values?: [number, string][];
}

async function query(path: string, parameters: Record<string, string>): Promise<Series[]> {
  const answer = await fetch(`${request.prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(`${body.error}: ${parameters.query}`);
  }
  return body.data.result;
}

/** Run the queries of a panel. */
export async function ask(panel: Panel, known: Map<string, string>): Promise<DataFrame[]> {
  const targets = (panel.targets ?? []).filter((target) => !target.hide);
  const answers = await Promise.all(targets.map((target) => frames(target, targets.length > 1, known)));
  return answers.flat();
}

/** The interval is the step of the query in which it stands. */
function stepped(known: Map<string, string>, step: number): Map<string, string> {
  return new Map([...known, ['__interval', `${step}s`]]);
}

async function frames(target: Target, several: boolean, known: Map<string, string>) {
  const step = Math.max(30, Math.ceil((request.to - request.from) / POINTS / 30) * 30);
  const expression = interpolate(target.expr, stepped(known, step));
  if (target.instant || target.format === 'table') {
    const found = await query('query', { query: expression, time: String(request.to) });
    return target.format === 'table'
      ? [table(target, found, several)]
      : found.map((series) => graph(target, series.metric, [series.value!]));
  }
  const range = { start: String(request.from), end: String(request.to), step: String(step) };
  const found = await query('query_range', { query: expression, ...range });
  return found.map((series) => graph(target, series.metric, holes(series.values!, step)));
}

/** Put a null where samples are missing, so that lines break as they do in Grafana. */
function holes(points: [number, string][], step: number): [number, string | null][] {
  const whole: [number, string | null][] = [];
  for (const point of points) {
    const last = whole.at(-1);
    if (last && point[0] - last[0] > step * 1.5) {
      whole.push([last[0] + step, null]);
    }
    whole.push(point);
  }
  return whole;
}

function graph(target: Target, labels: Record<string, string>, points: [number, string | null][]): DataFrame {
  const name = legend(target.legendFormat, labels);
  return toDataFrame({
    refId: target.refId,
    name,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: points.map(([time]) => time * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels,
        config: name ? { displayNameFromDS: name } : {},
        values: points.map(([, value]) => (value === null ? null : Number(value))),
      },
    ],
  });
}

function legend(format: string | undefined, labels: Record<string, string>): string | undefined {
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
  }
  const inner = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return `{${inner.join(', ')}}`;
}

/** One row a series; a label is a column. */
function table(target: Target, found: Series[], several: boolean): DataFrame {
  const labels = [...new Set(found.flatMap((series) => Object.keys(series.metric)))].sort();
  const column = (label: string) => found.map((series) => series.metric[label] ?? '');
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: found.map((series) => series.value![0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, config: {}, values: column(label) })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        config: {},
        values: found.map((series) => Number(series.value![1])),
      },
    ],
  });
}

/** Run a variable's query: `label_values(metric, label)`, `label_values(label)` or `query_result(…)`. */
export async function options(definition: string, known: Map<string, string>): Promise<string[]> {
  const result = /^query_result\((.+)\)$/s.exec(definition);
  if (result) {
    const expression = interpolate(result[1], known);
    const found = await query('query', { query: expression, time: String(request.to) });
    return found.map(({ metric, value }) => `${JSON.stringify(metric)} ${value![1]}`);
  }
  const values = /^label_values\((?:(.+),\s*)?(\w+)\)$/s.exec(definition);
  if (!values) {
    throw new Error(`no such variable query: ${definition}`);
  }
  const parameters = new URLSearchParams({ start: String(request.from), end: String(request.to) });
  if (values[1]) {
    parameters.set('match[]', interpolate(values[1], known));
  }
  const answer = await fetch(`${request.prometheus}/api/v1/label/${values[2]}/values?${parameters}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(`${body.error}: ${definition}`);
  }
  return body.data;
}

/** Run an annotation's query and return the moments that it marks, in milliseconds. */
export async function moments(expression: string, known: Map<string, string>): Promise<number[]> {
  const step = Math.ceil((request.to - request.from) / MARKS / 30) * 30;
  const range = { start: String(request.from), end: String(request.to), step: String(step) };
  const found = await query('query_range', { query: interpolate(expression, stepped(known, step)), ...range });
  return found.flatMap((series) => series.values!.map(([time]) => time * 1000));
}
