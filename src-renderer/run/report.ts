import type { Recipe } from '../../src-preload/contract/index.ts';
import { escaped, svgOf } from '../charts/files.ts';
import type { Line } from '../charts/line.ts';
import type { Mark } from '../charts/overlay.ts';
import { number } from '../format.ts';
import type { RunData } from './run-data.ts';
import { questionsOf } from './samples.ts';

interface Told {
  title: string;
  data: RunData;
  recipe: Recipe;
  charts: { title: string; lines: Line[]; marks: Mark[] }[];
  /** the head map as a picture of the page, a data: address; missing where there is none */
  headMap: string | undefined;
  colour: (name: string) => string;
}

/** A run in one HTML file: no script, and nothing in it comes from elsewhere. */
export function reportOf({ title, data, recipe, charts, headMap, colour }: Told): string {
  const run = data.run!;
  const facts: [string, string][] = [
    ['Model', run.model],
    ['Dataset', run.dataset],
    ['Method', run.method],
    ['Steps', `${run.step} of ${run.steps}`],
    ['Loss', number(run.loss)],
    ['Held-out loss', number(run.evalLoss)],
    ['State', run.status],
  ];
  const answers = questionsOf(data.samples).map(({ prompt, before, answers: all, expected }) =>
    row([prompt, before ?? '–', all.at(-1)?.answer ?? '–', expected]),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escaped(run.name)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:900px;margin:40px auto;padding:0 20px;background:${colour('paper')};color:${colour('ink')}}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid ${colour('line')};padding:6px 10px;text-align:left;vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere}
svg,img{max-width:100%;height:auto}pre{white-space:pre-wrap;overflow-wrap:anywhere}</style></head><body>
<h1>${escaped(run.name)}</h1><p>${escaped(title)}</p>
<table>${facts.map(([name, value]) => `<tr><th scope="row">${name}</th><td>${escaped(value)}</td></tr>`).join('')}</table>
${charts.map((chart) => svgOf(chart.lines, { ...chart, colour })).join('')}
${headMap ? `<h2>Head map</h2><img alt="Head map at the end of the run" src="${headMap}">` : ''}
${answers.length ? `<h2>Sample answers</h2><table><thead>${row(['Question', 'Before', 'After', 'Expected'], 'th')}</thead><tbody>${answers.join('')}</tbody></table>` : ''}
<h2>Recipe</h2><pre>${escaped(JSON.stringify(recipe, undefined, 2))}</pre>
</body></html>
`;
}

const row = (cells: string[], cell = 'td') =>
  `<tr>${cells.map((text) => `<${cell}>${escaped(text)}</${cell}>`).join('')}</tr>`;
