// The page: variables on top, then the panels where the dashboard puts them.
import { ThemeContext, type DataFrame } from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { Component, type ReactNode } from 'react';
import type { Dashboard, Panel } from './dashboard';
import { theme } from './fields';
import { Visualization } from './panels';
import { request } from './request';
import { interpolate } from './variables';

const COLUMNS = 24;
const ROW = 38;
const GAP = 8;
const HEAD = 56;

/** A panel with what it shows, or with why it cannot. */
export interface Filled {
  panel: Panel;
  data?: DataFrame[];
  error?: string;
}

interface Guarded {
  name: string;
  report: (error: string) => void;
  children: ReactNode;
}

class Guard extends Component<Guarded, { error?: Error }> {
  state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  componentDidCatch(error: Error) {
    this.props.report(`${this.props.name}: ${error.message}`);
  }

  render() {
    return this.state.error ? <Failure text={String(this.state.error)} /> : this.props.children;
  }
}

function Failure({ text }: { text: string }) {
  return <pre style={{ color: theme.colors.error.text, whiteSpace: 'pre-wrap' }}>{text}</pre>;
}

/** How high the page is, in pixels. */
export function height(panels: Panel[]): number {
  return HEAD + Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW + GAP;
}

function Head({ dashboard, known }: { dashboard: Dashboard; known: Map<string, string> }) {
  const shown = dashboard.templating.list.filter((variable) => variable.type === 'query' && !variable.hide);
  const all = (name: string) => (request.variables.has(name) ? known.get(name) : 'All');
  return (
    <div style={{ height: HEAD, padding: '6px 4px', boxSizing: 'border-box', color: theme.colors.text.primary }}>
      <div style={{ fontSize: 16, fontWeight: 500 }}>{dashboard.title}</div>
      <div style={{ fontSize: 12, color: theme.colors.text.secondary, display: 'flex', gap: 16 }}>
        {shown.map(({ name, label }) => (
          <span key={name}>
            {label ?? name}: <b>{all(name)}</b>
          </span>
        ))}
      </div>
    </div>
  );
}

function Framed({ filled, report, known }: { filled: Filled; report: Guarded['report']; known: Map<string, string> }) {
  const { panel, data, error } = filled;
  const { x, y, w, h } = panel.gridPos;
  const column = request.width / COLUMNS;
  const size = { width: w * column - GAP, height: h * ROW - GAP };
  const place = { position: 'absolute', left: x * column + GAP / 2, top: y * ROW + HEAD, ...size } as const;
  const title = interpolate(panel.title, known);
  if (panel.type === 'row') {
    return <div style={{ ...place, color: theme.colors.text.primary, fontWeight: 500, padding: 6 }}>▾ {title}</div>;
  }
  return (
    <div style={place}>
      <Guard name={title} report={report}>
        <PanelChrome title={title} description={panel.description} {...size}>
          {(width, height) =>
            error === undefined ? (
              <Guard name={title} report={report}>
                <Visualization panel={panel} data={data ?? []} width={width} height={height} />
              </Guard>
            ) : (
              <Failure text={error} />
            )
          }
        </PanelChrome>
      </Guard>
    </div>
  );
}

interface Shown {
  dashboard: Dashboard;
  filled: Filled[];
  known: Map<string, string>;
  report: Guarded['report'];
}

export function Page({ dashboard, filled, known, report }: Shown) {
  const size = { width: request.width, height: height(filled.map(({ panel }) => panel)) };
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', background: theme.colors.background.canvas, ...size }}>
        <Head dashboard={dashboard} known={known} />
        {filled.map((each) => (
          <Framed key={each.panel.id} filled={each} report={report} known={known} />
        ))}
      </div>
    </ThemeContext.Provider>
  );
}
