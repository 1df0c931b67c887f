// Each type of panel, drawn by the component that Grafana draws it with.
import {
  dateTime,
  FieldType,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  renderMarkdown,
  VizOrientation,
  type DataFrame,
  type TimeRange,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import type { Panel } from './dashboard';
import { theme } from './fields';
import { request } from './request';
import { Timeline } from './timeline';

export interface Shown {
  panel: Panel;
  data: DataFrame[];
  width: number;
  height: number;
}

const range: TimeRange = {
  from: dateTime(request.from * 1000),
  to: dateTime(request.to * 1000),
  raw: { from: dateTime(request.from * 1000), to: dateTime(request.to * 1000) },
};

function displayValues({ panel, data }: Shown) {
  return getFieldDisplayValues({
    data,
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions ?? { calcs: ['lastNotNull'] },
    replaceVariables: (text) => text,
    sparkline: panel.options.graphMode === 'area',
    theme,
    timeZone: 'utc',
  });
}

function Stat(shown: Shown) {
  const { options } = shown.panel;
  const values = displayValues(shown);
  const text = options.textMode ?? 'auto';
  return (
    <VizRepeater
      width={shown.width}
      height={shown.height}
      source={shown.data}
      getValues={() => values}
      renderCounter={0}
      orientation={VizOrientation.Auto}
      renderValue={({ value, width, height }: any) => (
        <BigValue
          value={value.display}
          sparkline={value.sparkline}
          width={width}
          height={height}
          theme={theme}
          colorMode={options.colorMode ?? 'value'}
          graphMode={options.graphMode ?? 'none'}
          justifyMode={options.justifyMode ?? 'auto'}
          textMode={text === 'auto' && values.length === 1 ? ('value' as any) : text}
        />
      )}
    />
  );
}

function Bars(shown: Shown) {
  const { options } = shown.panel;
  const values = displayValues(shown);
  return (
    <VizRepeater
      width={shown.width}
      height={shown.height}
      source={shown.data}
      getValues={() => values}
      renderCounter={0}
      orientation={options.orientation ?? VizOrientation.Horizontal}
      minVizHeight={options.minVizHeight ?? 16}
      maxVizHeight={options.sizing === 'manual' ? options.maxVizHeight : 300}
      itemSpacing={8}
      getAlignmentFactors={getDisplayValueAlignmentFactors as any}
      renderValue={({ value, width, height, alignmentFactors }: any) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          width={width}
          height={height}
          theme={theme}
          orientation={options.orientation ?? VizOrientation.Horizontal}
          displayMode={options.displayMode ?? 'gradient'}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled ?? true}
          alignmentFactors={alignmentFactors}
          text={options.text ?? {}}
        />
      )}
    />
  );
}

function Table({ panel, data, width, height }: Shown) {
  const frame = data[0];
  if (!frame || frame.length === 0) {
    return <NoData panel={panel} />;
  }
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      timeRange={range}
      sortBy={panel.options.sortBy}
      {...({ structureRev: 1, getActions: () => [], cellHeight: panel.options.cellHeight } as any)}
    />
  );
}

function Graph({ panel, data, width, height }: Shown) {
  if (!data.some((frame) => frame.fields.some((field) => field.type === FieldType.number))) {
    return <NoData panel={panel} />;
  }
  return (
    <TimeSeries
      frames={data}
      width={width}
      height={height}
      timeRange={range}
      timeZone="utc"
      theme={theme}
      structureRev={1}
      legend={{ calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true, ...panel.options.legend }}
      {...({ options: panel.options, renderers: [] } as any)}
    />
  );
}

/** What Grafana writes where there is nothing: the panel's own words, or these. */
function NoData({ panel }: { panel: Panel }) {
  return (
    <div style={{ display: 'grid', placeItems: 'center', height: '100%', color: theme.colors.text.secondary }}>
      {panel.fieldConfig.defaults.noValue ?? 'No data'}
    </div>
  );
}

/** Draw what a panel shows, inside its frame. */
export function Visualization(shown: Shown) {
  switch (shown.panel.type) {
    case 'stat':
      return <Stat {...shown} />;
    case 'bargauge':
      return shown.data.length ? <Bars {...shown} /> : <NoData panel={shown.panel} />;
    case 'table':
      return <Table {...shown} />;
    case 'timeseries':
      return <Graph {...shown} />;
    case 'state-timeline':
      return shown.data.length ? <Timeline {...shown} /> : <NoData panel={shown.panel} />;
    case 'text':
      return <div dangerouslySetInnerHTML={{ __html: renderMarkdown(shown.panel.options.content) }} />;
    default:
      throw new Error(`no component for a panel of type ${shown.panel.type}`);
  }
}
