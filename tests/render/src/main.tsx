// Loads a dashboard and its data, draws it, and leaves a report for whoever asked.
import './request';
import { FieldType, formattedValueToString, getFieldDisplayName, type DataFrame } from '@grafana/data';
import { createRoot } from 'react-dom/client';
import type { Dashboard, Panel } from './dashboard';
import { prepare } from './fields';
import { height, Page, type Filled } from './page';
import { ask, moments, options } from './prometheus';
import { request } from './request';
import { values } from './variables';

/** How many values of a field the report shows. */
const REPORTED = 100;

const errors: string[] = [];
const report = (error: string) => void errors.push(error);
window.addEventListener('error', (event) => report(event.message));
window.addEventListener('unhandledrejection', (event) => report(String(event.reason)));
const complain = console.error.bind(console);
console.error = (...words: unknown[]) => {
  report(words.map(String).join(' '));
  complain(...words);
};

function open(panels: Panel[]): Panel[] {
  return panels.flatMap((panel) => [panel, ...(panel.collapsed ? [] : open(panel.panels ?? []))]);
}

async function fill(panel: Panel, known: Map<string, string>): Promise<Filled> {
  if (panel.type === 'row') {
    return { panel };
  }
  try {
    return { panel, data: await prepare(panel, await ask(panel, known), known) };
  } catch (error) {
    report(`${panel.title}: ${error}`);
    return { panel, error: String(error) };
  }
}

/** The texts of each column or series, as they are shown. */
function texts(data: DataFrame[]): Record<string, string[]> {
  const shown: Record<string, string[]> = {};
  for (const frame of data) {
    for (const field of frame.fields) {
      if (field.type === FieldType.time && frame.fields.length === 2) {
        continue;
      }
      const name = getFieldDisplayName(field, frame, data);
      const values = field.values.slice(-REPORTED).filter((value) => value !== null && value !== undefined);
      const told = values.map((value) => (field.display ? formattedValueToString(field.display(value)) : String(value)));
      shown[name] = [...(shown[name] ?? []), ...(field.type === FieldType.number && frame.fields.length === 2 ? told.slice(-1) : told)];
    }
  }
  return shown;
}

async function draw() {
  const dashboard: Dashboard = await (await fetch(request.dashboard)).json();
  const known = values(dashboard);
  const filled = await Promise.all(open(dashboard.panels).map((panel) => fill(panel, known)));
  const variables: Record<string, string[]> = {};
  for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query')) {
    const definition = typeof variable.query === 'string' ? variable.query : variable.query!.query;
    variables[variable.name] = await options(definition, known);
  }
  const annotations: Record<string, number> = {};
  for (const { name, expr } of dashboard.annotations.list) {
    if (expr) {
      annotations[name] = (await moments(expr, known)).length;
    }
  }
  createRoot(document.getElementById('root')!).render(
    <Page dashboard={dashboard} filled={filled} known={known} report={report} />
  );
  await settled();
  const panels = filled.map(({ panel, data }) => ({
    title: panel.title,
    type: panel.type,
    fields: texts(data ?? []),
  }));
  return { title: dashboard.title, height: height(open(dashboard.panels)), panels, variables, annotations };
}

/** Wait until nothing has been drawn for some frames. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    let quiet = 0;
    const watcher = new MutationObserver(() => (quiet = 0));
    watcher.observe(document.body, { attributes: true, childList: true, subtree: true });
    const look = () => {
      quiet += 1;
      if (quiet > 30) {
        watcher.disconnect();
        resolve();
      } else {
        requestAnimationFrame(look);
      }
    };
    requestAnimationFrame(look);
  });
}

draw()
  .catch((error) => {
    report(String(error?.stack ?? error));
    return {};
  })
  .then((drawn) => {
    const text = document.body.innerText;
    (window as any).report = { errors, text, ...drawn };
    document.title = 'done';
  });
