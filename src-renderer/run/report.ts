import { counted } from '../../src-preload/counted.ts';
import { hasRouter } from '../../src-preload/contract/choices.ts';
import type { AdapterDetail, Recipe } from '../../src-preload/contract/index.ts';
import { colour, escaped } from '../charts/drawing.ts';
import { svgOf } from '../charts/files.ts';
import type { Line } from '../charts/line.ts';
import type { Mark } from '../charts/overlay.ts';
import { bytes, number } from '../format.ts';
import { siteName } from '../sites.ts';
import type { RunData } from './run-data.ts';
import { questionsOf } from './samples.ts';

interface Told {
  title: string;
  data: RunData;
  recipe: Recipe;
  charts: { title: string; lines: Line[]; marks: Mark[] }[];
  /** the head map as a picture of the page, a data: address; missing where there is none */
  headMap: string | undefined;
  /** what came of the run; missing where it is no longer in the library */
  adapter: AdapterDetail | undefined;
}

/** A run in one HTML file: no script, and nothing in it comes from elsewhere. */
export function reportOf({ title, data, recipe, charts, headMap, adapter }: Told): string {
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
${charts.map((chart) => svgOf(chart.lines, chart)).join('')}
${headMap ? `<h2>Head map</h2><img alt="Head map at the end of the run" src="${headMap}">` : ''}
${answers.length ? `<h2>Sample answers</h2><table><thead>${row(['Question', 'Before', 'After', 'Expected'], 'th')}</thead><tbody>${answers.join('')}</tbody></table>` : ''}
${adapter ? `<h2>Model card</h2><table>${cardOf(adapter)}</table>` : ''}
<h2>Recipe</h2><pre>${escaped(JSON.stringify(recipe, undefined, 2))}</pre>
</body></html>
`;
}

/** What a model card says of an adapter, a row each. */
function cardOf({ adapter, structure, datasets, modelSha256, metrics, heads }: AdapterDetail): string {
  const { rank, heads: each, alpha, targets } = structure as Record<string, unknown>;
  const many = !hasRouter(adapter.method) ? '' : `, ${counted(Number(each), 'head')} a place`;
  const rows: [string, string][] = [
    ['Name', adapter.name],
    ['Base model', `${adapter.model}, SHA-256 ${modelSha256}`],
    ['Method', `${adapter.method}: rank ${String(rank)}${many}, alpha ${String(alpha)}`],
    ['Places', Array.isArray(targets) ? targets.map((target) => siteName(String(target))).join(', ') : '–'],
    ['Heads', `${heads.length}, ${heads.filter(({ dropped }) => dropped).length} of them left out`],
    ['Size', bytes(adapter.bytes)],
    ...datasets.map(({ name, examples, sha256 }): [string, string] => [
      'Trained on',
      `${name}, ${examples} examples, SHA-256 ${sha256}`,
    ]),
    ...Object.entries(metrics).map(([name, value]): [string, string] => [METRICS[name] ?? name, number(value)]),
  ];
  return rows
    .map(([name, value]) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(value)}</td></tr>`)
    .join('');
}
const METRICS: Record<string, string> = {
  steps: 'Steps',
  loss: 'Loss',
  evalLoss: 'Held-out loss',
  seconds: 'Seconds of training',
};

const row = (cells: string[], cell = 'td') =>
  `<tr>${cells.map((text) => `<${cell}>${escaped(text)}</${cell}>`).join('')}</tr>`;
