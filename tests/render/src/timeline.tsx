// A state timeline: drawn here, since Grafana's own is part of its server and not of the library.
import { getFieldDisplayName, type DataFrame, type Field } from '@grafana/data';
import { theme } from './fields';
import { request } from './request';

const NAMES = 190;
const LEGEND = 22;
const HIGHEST_ROW = 30;

interface Stretch {
  text: string;
  color: string;
  from: number;
  to: number;
}

/** Join neighbours that say the same; a stretch lasts until the next sample. */
function stretches(time: Field, value: Field): Stretch[] {
  const found: Stretch[] = [];
  const step = time.values.length > 1 ? time.values[1] - time.values[0] : 30_000;
  time.values.forEach((at: number, index: number) => {
    if (value.values[index] === null) {
      return;
    }
    const shown = value.display!(value.values[index]);
    const last = found.at(-1);
    if (last && last.text === shown.text && at <= last.to) {
      last.to = at + step;
    } else {
      found.push({ text: shown.text, color: shown.color ?? '#888', from: at, to: at + step });
    }
  });
  return found;
}

export function Timeline({ data, width, height }: { data: DataFrame[]; width: number; height: number }) {
  const rows = data.flatMap((frame) => {
    const time = frame.fields[0];
    return frame.fields.slice(1).map((field) => ({
      name: getFieldDisplayName(field, frame, data),
      stretches: stretches(time, field),
    }));
  });
  const row = Math.min(HIGHEST_ROW, (height - LEGEND) / Math.max(1, rows.length));
  const scale = (width - NAMES - 8) / (request.to - request.from);
  const x = (milliseconds: number) => NAMES + Math.max(0, milliseconds / 1000 - request.from) * scale;
  const legend = new Map(rows.flatMap((each) => each.stretches.map((part) => [part.text, part.color])));
  return (
    <svg width={width} height={height} fontFamily="inherit" fontSize={12}>
      {rows.map((each, index) => (
        <g key={index} transform={`translate(0 ${index * row})`}>
          <text x={NAMES - 8} y={row * 0.65} textAnchor="end" fill={theme.colors.text.primary}>
            {each.name.length > 28 ? `${each.name.slice(0, 27)}…` : each.name}
          </text>
          {each.stretches.map((part, key) => (
            <rect
              key={key}
              x={x(part.from)}
              y={row * 0.1}
              width={Math.max(1, x(part.to) - x(part.from))}
              height={row * 0.8}
              fill={part.color}
            />
          ))}
        </g>
      ))}
      {[...legend].map(([text, color], index) => (
        <g key={text} transform={`translate(${NAMES + index * 130} ${height - 6})`}>
          <rect width={12} height={4} y={-6} fill={color} />
          <text x={18} fill={theme.colors.text.secondary}>
            {text}
          </text>
        </g>
      ))}
    </svg>
  );
}
