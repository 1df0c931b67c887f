// What Grafana does to fields before a panel draws them: transformations, units, overrides.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createTheme,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  FieldConfigOptionsRegistry,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  transformDataFrame,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
  type DataFrame,
  type ScopedVars,
} from '@grafana/data';
import type { Panel } from './dashboard';
import { request } from './request';
import { interpolate } from './variables';

export const theme = createTheme({ colors: { mode: request.theme } });

function item(id: string, process: unknown, custom = false): any {
  return {
    id: custom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom: custom,
    process,
    editor: () => null,
    override: () => null,
    shouldApply: () => true,
    getItemsCount: () => 0,
  };
}

const CUSTOM = [
  'align', 'axisBorderShow', 'axisCenteredZero', 'axisColorMode', 'axisLabel', 'axisPlacement', 'axisSoftMax',
  'axisSoftMin', 'barAlignment', 'cellOptions', 'drawStyle', 'fillBelowTo', 'fillOpacity', 'filterable',
  'gradientMode', 'hidden', 'hideFrom', 'inspect', 'insertNulls', 'lineInterpolation', 'lineStyle', 'lineWidth',
  'minWidth', 'pointSize', 'scaleDistribution', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle', 'width',
];

function registered(): any[] {
  return [
    item('displayName', displayNameOverrideProcessor),
    item('unit', unitOverrideProcessor),
    item('min', numberOverrideProcessor),
    item('max', numberOverrideProcessor),
    item('decimals', numberOverrideProcessor),
    item('thresholds', thresholdsOverrideProcessor),
    item('mappings', valueMappingsOverrideProcessor),
    item('noValue', stringOverrideProcessor),
    item('links', dataLinksOverrideProcessor),
    item('color', identityOverrideProcessor),
    item('description', stringOverrideProcessor),
    ...CUSTOM.map((name) => item(name, identityOverrideProcessor, true)),
  ];
}

standardFieldConfigEditorRegistry.setInit(registered);
standardEditorsRegistry.setInit(() => []);
standardTransformersRegistry.setInit(() => {
  const known = new Map(Object.values(standardTransformers).map((each: any) => [each.id, each]));
  return [...known.values()].map((each) => ({
    id: each.id,
    name: each.name,
    editor: () => null,
    transformation: () => Promise.resolve(each),
  })) as any;
});
const registry = new FieldConfigOptionsRegistry(registered);

/** The colour mode that a panel plugin gives its fields where the dashboard says none. */
const COLOR_MODES: Record<string, string> = {
  timeseries: 'palette-classic',
  stat: 'thresholds',
  bargauge: 'thresholds',
  table: 'thresholds',
  'state-timeline': 'continuous-GrYlRd',
};

/** Return the frames as the panel shows them. */
export async function prepare(panel: Panel, data: DataFrame[], known: Map<string, string>) {
  const replaceVariables = (text: string, scoped?: ScopedVars) => interpolate(text, known, scoped);
  const transformed = panel.transformations?.length
    ? await first(transformDataFrame(panel.transformations, data, { interpolate: replaceVariables }))
    : data;
  const { defaults, overrides } = panel.fieldConfig;
  const color = defaults.color ?? { mode: COLOR_MODES[panel.type] };
  const prepared = applyFieldOverrides({
    data: transformed,
    fieldConfig: { defaults: { ...defaults, color }, overrides } as any,
    fieldConfigRegistry: registry as any,
    replaceVariables,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(prepared);
  return prepared;
}

function first(source: any): Promise<DataFrame[]> {
  return new Promise((resolve, reject) => source.subscribe({ next: resolve, error: reject }));
}
