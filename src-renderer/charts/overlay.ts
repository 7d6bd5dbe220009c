import type { Plugin } from 'chart.js';

/** Something that happened at a step. */
export interface Mark {
  step: number;
  label: string;
  colour: 'ice' | 'ember';
}
interface Shown {
  cursor: number | undefined;
  marks: Mark[];
  colour: (name: string) => string;
}

/** Draws marks and the cursor over a chart's lines; `shown` is asked at every drawing. */
export function overlay(shown: () => Shown): Plugin<'line'> {
  return {
    id: 'overlay',
    afterDatasetsDraw({ ctx, chartArea: { left, right, top, bottom }, scales }) {
      const { cursor, marks, colour } = shown();
      const stroke = (step: number, name: string, dash: number[]): number | undefined => {
        const x = scales['x']!.getPixelForValue(step);
        if (x < left || x > right) return undefined;
        ctx.strokeStyle = colour(name);
        ctx.setLineDash(dash);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, bottom);
        ctx.stroke();
        return x;
      };
      ctx.save();
      ctx.lineWidth = 1;
      ctx.font = '11px Instrument Sans Variable';
      let free = left;
      for (const { step, label, colour: name } of marks) {
        const x = stroke(step, name, [3, 3]);
        // Words that would lie on those before are left to the line.
        if (x === undefined || x < free || x + ctx.measureText(label).width + 8 > right) continue;
        ctx.fillStyle = colour(name);
        ctx.fillText(label, x + 4, top + 11);
        free = x + ctx.measureText(label).width + 12;
      }
      if (cursor !== undefined) stroke(cursor, 'muted', []);
      ctx.restore();
    },
  };
}
