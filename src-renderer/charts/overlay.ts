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
      const lines = marks.map((mark) => ({ ...mark, x: stroke(mark.step, mark.colour, [3, 3]) }));
      let free = left;
      for (const { x, label, colour: name } of lines) {
        const { width } = ctx.measureText(label);
        // Words that would lie on those before are left to the line.
        if (x === undefined || x < free || x + width + 8 > right) continue;
        ctx.fillStyle = colour('surface');
        ctx.fillRect(x + 2, top, width + 4, 15);
        ctx.fillStyle = colour(name);
        ctx.fillText(label, x + 4, top + 11);
        free = x + width + 12;
      }
      if (cursor !== undefined) stroke(cursor, 'muted', []);
      ctx.restore();
    },
  };
}
