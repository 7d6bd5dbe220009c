import type { RouteLocationRaw } from 'vue-router';
import type { AdapterEntry, DatasetEntry, ModelEntry, RunSummary } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';
import { holdsWords, plainText } from '../find-words.ts';
import { PAGES } from '../pages.ts';

/** Something to go to or to do. */
export interface Command {
  id: string;
  /** what it is, as a person calls it: Page, Run, Dataset … */
  kind: string;
  name: string;
  /** where it leads, or what it does */
  to?: RouteLocationRaw;
  act?: () => unknown;
}

/** What a library holds, as far as it is known yet. */
export interface Holdings {
  runs: RunSummary[];
  adapters: AdapterEntry[];
  datasets: DatasetEntry[];
  models: ModelEntry[];
}

export function commandsOf({ runs, adapters, datasets, models }: Holdings, more: Command[]): Command[] {
  return [
    ...PAGES.map(({ to, label }) => ({ id: `page ${to}`, kind: 'Page', name: label, to })),
    ...more,
    ...runs.flatMap(actionsOf),
    ...runs.map(({ id, name }) => ({ id: `run ${id}`, kind: 'Run', name, to: `/runs/${id}` })),
    ...adapters.flatMap(({ id, name }) => [
      { id: `adapter ${id}`, kind: 'Adapter', name, to: `/library/${id}` },
      { id: `chat ${id}`, kind: 'Action', name: `Chat with ${name}`, to: `/playground?ids=${id}` },
      { id: `inspect ${id}`, kind: 'Action', name: `Inspect ${name}`, to: `/library/${id}/inspect` },
      { id: `evaluate ${id}`, kind: 'Action', name: `Evaluate ${name}`, to: `/evaluations?ids=${id}` },
    ]),
    ...datasets.map(({ id, name }) => ({ id: `dataset ${id}`, kind: 'Dataset', name, to: `/datasets/${id}` })),
    ...models
      .filter(({ state }) => state === 'ready' || state === 'fetchable')
      .map(({ id, name, reference }) => ({
        id: `model ${id}`,
        kind: 'Model',
        name: `Fine-tune ${name}`,
        to: { path: '/new', query: { model: reference } },
      })),
  ];
}

/** What can be asked of a run at the moment, without more questions. */
function actionsOf({ id, name, status }: RunSummary): Command[] {
  const action = (verb: string, act: () => unknown) => ({
    id: `${verb} ${id}`,
    kind: 'Action',
    name: `${verb} ${name}`,
    act,
  });
  if (status === 'running')
    return [action('Pause', () => studio.runs.pause({ id })), action('Stop and keep', () => studio.runs.stop({ id }))];
  if (status === 'paused' || status === 'interrupted') return [action('Resume', () => studio.runs.resume({ id }))];
  return [];
}

/** Those that hold every word of `query`, the ones whose name begins with it first; all of them where it is empty. */
export function matching(commands: Command[], query: string): Command[] {
  const asked = plainText(query.trim());
  const found = commands.filter(({ kind, name }) => holdsWords(`${kind} ${name}`, query));
  const begins = ({ name }: Command) => (plainText(name).startsWith(asked) ? 0 : 1);
  return found.sort((a, b) => begins(a) - begins(b));
}
