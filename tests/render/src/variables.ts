// Variables in queries, titles and links, as Grafana replaces them.
import type { ScopedVars } from '@grafana/data';
import type { Dashboard } from './dashboard';
import { request } from './request';

/** The shortest rate interval: four scrapes 30 seconds apart, which is the step of the data. */
const RATE_SECONDS = 120;

/** Return the value of each variable: the one asked for, else everything. */
export function values(dashboard: Dashboard): Map<string, string> {
  const range = request.to - request.from;
  const built: [string, string][] = [
    ['__rate_interval', `${RATE_SECONDS}s`],
    ['__range', `${range}s`],
    ['__range_s', String(range)],
    ['__url_time_range', `from=${request.from}000&to=${request.to}000`],
    ['datasource', 'prometheus'],
  ];
  const chosen = dashboard.templating.list
    .filter((variable) => variable.type === 'query')
    .map((variable): [string, string] => [
      variable.name,
      request.variables.get(variable.name) ?? variable.allValue ?? '.*',
    ]);
  return new Map([...built, ...chosen]);
}

/** Replace `$name`, `${name}` and `${name:format}`; what is not known stays as it is. */
export function interpolate(text: string, known: Map<string, string>, scoped?: ScopedVars): string {
  return text.replace(/\$(\w+)|\$\{([^}:]+)(?::[^}]*)?\}/g, (whole, short, long) => {
    const name: string = short ?? long;
    const local = scoped?.[name]?.value;
    return local !== undefined ? String(local) : (known.get(name) ?? whole);
  });
}
