import type { RunStatus, RunSummary } from '../../src-preload/contract/index.ts';
import { holdsWords } from '../find-words.ts';

export const SORTS = {
  newest: 'Newest first',
  oldest: 'Oldest first',
  name: 'Name',
  heldOut: 'Held-out loss, lowest first',
  longest: 'Longest first',
} as const;
export type Sort = keyof typeof SORTS;

export interface RunFilter {
  /** every word occurs in a run's name, notes, tags, model, dataset or method */
  text: string;
  status: RunStatus | '';
  tag: string;
  sort: Sort;
}

export const isFiltered = ({ text, status, tag }: RunFilter) => text.trim() !== '' || status !== '' || tag !== '';

/** The runs that are as the filter says, in its order. */
export function filtered(runs: RunSummary[], { text, status, tag, sort }: RunFilter): RunSummary[] {
  return runs
    .filter(
      (run) =>
        (status === '' || run.status === status) &&
        (tag === '' || run.tags.includes(tag)) &&
        holdsWords([run.name, run.notes, ...run.tags, run.model, run.dataset, run.method].join('\n'), text),
    )
    .sort(ORDERS[sort]);
}

/** Those of which it isn't known come last. */
const known = (value: number | null, missing: number) => value ?? missing;
const seconds = ({ startedAt, endedAt }: RunSummary) => known(startedAt && (endedAt ?? Date.now()) - startedAt, -1);
const ORDERS: Record<Sort, (a: RunSummary, b: RunSummary) => number> = {
  newest: (a, b) => b.createdAt - a.createdAt,
  oldest: (a, b) => a.createdAt - b.createdAt,
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  heldOut: (a, b) => compare(known(a.evalLoss, Infinity), known(b.evalLoss, Infinity)),
  longest: (a, b) => seconds(b) - seconds(a),
};
/** Of two that are infinite the difference is no number. */
const compare = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1);
