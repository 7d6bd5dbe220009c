/** What a run is about before its first step is done, and how long each of it took; `seconds` is missing while it lasts. */
export interface Phase {
  name: string;
  startedAt: number;
  seconds?: number;
}

/** What the trainer's log says when a phase begins. */
const BEGINS: [RegExp, string][] = [
  [/^Loading the model and the data/, 'Loading the model and the data'],
  [/^Measuring the model before/, 'Asking the model before it learns'],
  [/^Training \d+ steps from|^Before training:/, 'First step, with what it sets up'],
];
const DONE = /^The first step is done/;

/** The phases of the trainer's last start, by its log's dated lines. */
export function phasesOf(log: string): Phase[] {
  let phases: Phase[] = [];
  for (const line of log.split('\n')) {
    const space = line.indexOf(' ');
    const at = Date.parse(line.slice(0, space));
    const text = line.slice(space + 1);
    const name = BEGINS.find(([begins]) => begins.test(text))?.[1];
    if (Number.isNaN(at) || !(name || DONE.test(text))) continue;
    if (name === BEGINS[0]![1]) phases = [];
    // "Training …" is told before the model is measured, too: that was no first step yet.
    if (name === BEGINS[1]![1] && phases.at(-1)?.name === BEGINS[2]![1]) phases.pop();
    const last = phases.at(-1);
    if (last && last.seconds === undefined) last.seconds = (at - last.startedAt) / 1000;
    if (name) phases.push({ name, startedAt: at });
  }
  return phases;
}

/** Where the Reducer's share was changed by hand, as the log tells. */
export function ratioChanges(log: string): { step: number; label: string }[] {
  return [...log.matchAll(/Step (\d+): the Reducer's ratio is ([\d.]+)/g)].map(([, step, ratio]) => ({
    step: Number(step),
    label: `${Math.round(Number(ratio) * 100)} % from here`,
  }));
}
