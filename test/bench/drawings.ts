// npm run bench:drawings [-- NAME...]: LoRA and EffiLoRA at one rank on the studio's line drawings, three seeds. Each run is a process of its
// own and one line of runs/drawings-study/results.jsonl, and is not run again; NAMEs choose runs whose name holds one. Prints the table.
import { EXAMPLE, METHODS, recipeOf, RUNS, type DrawingsFinished, type DrawingsMeasurement, type DrawingsRun } from './drawings-runs.ts'; // prettier-ignore
import { head, millions, percent, programLines, row, Study, toldOf } from './study.ts';

const study = new Study('runs/drawings-study');

function table(finished: DrawingsFinished[]): string {
  const lines = ['Base model', ...Object.keys(METHODS)].flatMap((title) => {
    const names = RUNS.filter((one) => one.title === title).map(({ name }) => name);
    const runs = finished.filter(({ name }) => names.includes(name));
    if (runs.length === 0) return [];
    const by = toldOf(runs);
    return row([
      ...[title, runs.length, millions(runs[0]!.parameters), by(({ trained }) => trained, millions)],
      ...[by(({ kid }) => kid, (value) => value.toFixed(3)), by(({ conceptAccuracy }) => conceptAccuracy, percent)], // prettier-ignore
      ...[by(({ loss }) => loss, (value) => value.toFixed(4)), by(({ cpuSeconds }) => cpuSeconds, (value) => value.toFixed(0))], // prettier-ignore
      ...[by(({ seconds }) => seconds, (value) => value.toFixed(0)), by(({ peakBytes }) => peakBytes && peakBytes / 2 ** 20, (value) => value.toFixed(0))], // prettier-ignore
    ]);
  });
  const columns = ['method', 'seeds', 'parameters, millions', 'trained to the end', 'KID', 'concept accuracy, %'];
  return [...head([...columns, 'held-out loss', 'processor seconds', 'seconds', 'peak MiB']), ...lines].join('\n');
}

const chosen = process.argv.slice(2);
for (const run of RUNS.filter(
  ({ name }: DrawingsRun) => chosen.length === 0 || chosen.some((part) => name.includes(part)),
)) {
  const measure = async (folder: string) =>
    (await programLines<DrawingsMeasurement>('./drawings-evaluate.ts', [EXAMPLE, folder]))[0]!;
  await study.once(run, recipeOf(run), measure);
}
console.log(table(await study.read<DrawingsFinished>('results.jsonl')));
