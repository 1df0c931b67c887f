// What the address of the page asks for.

const given = new URLSearchParams(location.search);

function required(name: string): string {
  const value = given.get(name);
  if (value === null) {
    throw new Error(`the address of the page lacks ${name}`);
  }
  return value;
}

/** Where the dashboard and the data are, and which time they are shown at (Unix seconds). */
export const request = {
  dashboard: required('dashboard'),
  prometheus: required('prometheus'),
  from: Number(required('from')),
  to: Number(required('to')),
  width: Number(given.get('width') ?? '1600'),
  theme: (given.get('theme') ?? 'dark') as 'dark' | 'light',
  /** Values of variables that are not "All": `var-job_id=…`, as in Grafana. */
  variables: new Map(
    [...given].filter(([name]) => name.startsWith('var-')).map(([name, value]) => [name.slice(4), value])
  ),
};

// Relative times ("3 hours ago") are told from the end of the range, not from the day of the test.
const late = Date.now() - request.to * 1000;
const read = Date.now.bind(Date);
Date.now = () => read() - late;
