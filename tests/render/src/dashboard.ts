// The part of Grafana's classic dashboard model that the bundled dashboards use.
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: string;
  instant?: boolean;
  hide?: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  fieldConfig: FieldConfigSource;
  options: Record<string, any>; // each panel type has its own
  transformations?: DataTransformerConfig[];
  panels?: Panel[];
  collapsed?: boolean;
}

export interface Variable {
  name: string;
  label?: string;
  type: string;
  hide?: number;
  query?: string | { query: string };
  allValue?: string;
  includeAll?: boolean;
}

export interface Annotation {
  name: string;
  enable: boolean;
  expr?: string;
  iconColor: string;
  titleFormat?: string;
}

export interface Dashboard {
  uid: string;
  title: string;
  panels: Panel[];
  templating: { list: Variable[] };
  annotations: { list: Annotation[] };
  links: { title: string }[];
}
