import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { Draft } from '../../../src-preload/contract/index.ts';
import { scratchFolder } from '../../support/scratch.ts';
import { writeRandomAdapter } from '../../support/adapters.ts';
import { writeTinyChatModel } from '../../support/tiny-chat-model.ts';
import { TINY_MODEL } from '../../trainer/support.ts';
import { connectClient } from './client.ts';
import { keepRuns } from './library.ts';
import { openPage, startHost, untilShown } from './studio.ts';
import type { Shape } from './synthetic-run.ts';

/** What of the library a page is of: an adapter, one pruned from it, a dataset of the studio's own. */
type Ids = Record<'whole' | 'pruned' | 'table', string>;

export interface View {
  name: string;
  hash: (ids: Ids) => string;
  /** what shows that the view is complete */
  shown: string | RegExp;
  /** on a library with nothing in it */
  empty?: boolean;
  prepare?: (page: Page) => Promise<void>;
}

/** Opens every fold of the page. */
export const openAll = (page: Page) =>
  page.locator('details').evaluateAll((all) => all.forEach((one) => one.setAttribute('open', '')));
const checkAll = async (page: Page) => {
  await page.getByRole('checkbox').first().waitFor();
  for (const box of await page.getByRole('checkbox').all()) await box.check();
};
const wizardAt = (step: number, shown: string) => async (page: Page) => {
  await untilShown(page, 'Predicted memory');
  if (step < 2) await page.locator('.steps button').nth(step).click();
  if (step > 2) await page.getByRole('button', { name: 'Continue' }).click();
  await untilShown(page, shown);
};

export const PAGES: View[] = [
  { name: 'home-empty', hash: () => '#/', shown: '✓ ready', empty: true },
  { name: 'home', hash: () => '#/', shown: '✓ ready' },
  { name: 'wizard-model', hash: () => '#/new', shown: 'Base model', prepare: wizardAt(0, 'SmolLM2-135M-Instruct') },
  {
    name: 'wizard-dataset',
    hash: () => '#/new',
    shown: 'For example',
    prepare: async (page) => {
      await wizardAt(1, 'As the model reads it')(page);
      await openAll(page);
    },
  },
  { name: 'wizard-budget', hash: () => '#/new', shown: 'Predicted memory' },
  { name: 'wizard-review', hash: () => '#/new', shown: 'Name of the run', prepare: wizardAt(3, 'Name of the run') },
  { name: 'datasets', hash: () => '#/datasets', shown: 'A file of yours' },
  { name: 'dataset', hash: ({ table }) => `#/datasets/${table}`, shown: 'What to look at' },
  { name: 'runs-empty', hash: () => '#/runs', shown: 'Nothing here yet', empty: true },
  { name: 'runs', hash: () => '#/runs', shown: 'What differs in their recipes', prepare: checkAll },
  {
    name: 'run',
    hash: () => '#/runs/a-run-with-quite-a-long-name-that-no-row-has-room-for',
    shown: /^Layer 0 · q/,
    prepare: (page) => page.getByRole('img', { name: /^Head map/ }).press('ArrowRight'),
  },
  { name: 'run-failed', hash: () => '#/runs/broken-run', shown: 'Resume' },
  { name: 'run-missing', hash: () => '#/runs/no-such-run', shown: 'There is no run' },
  { name: 'library', hash: () => '#/library', shown: 'arithmetic, cut' },
  { name: 'adapter', hash: ({ pruned }) => `#/library/${pruned}`, shown: 'Where it comes from' },
  { name: 'inspector', hash: ({ whole }) => `#/library/${whole}/inspect`, shown: 'Drop curve' },
  {
    name: 'compare',
    hash: ({ pruned, whole }) => `#/library/compare?ids=${whole},${pruned}`,
    shown: 'Head maps as a difference',
  },
  { name: 'playground', hash: ({ whole }) => `#/playground?ids=${whole}`, shown: 'One prompt, answered side by side' },
  { name: 'evaluations', hash: () => '#/evaluations', shown: 'Several adapters on the same examples' },
  { name: 'settings', hash: () => '#/settings', shown: 'Engine and embedded model' },
];

/** Two studios, one with something of each kind in its library, runs of this shape among it, and one with nothing. */
export async function studiosForPages(shape: Shape) {
  const [scratch, bare] = [scratchFolder(), scratchFolder()];
  const model = join(scratch.folder, 'tiny-llama');
  cpSync(TINY_MODEL, model, { recursive: true });
  const rows = join(scratch.folder, 'rows.jsonl');
  writeFileSync(rows, '{"instruction":"Say hello.","output":"Hello."}\n'.repeat(40));
  keepRuns(scratch.folder, [
    { id: 'a-run-with-quite-a-long-name-that-no-row-has-room-for', status: 'finished', shape },
    { id: 'broken-run', status: 'failed', shape, message: 'The gradients are no numbers.' },
    { id: 'second-run', status: 'finished', shape: { ...shape, steps: shape.steps - 4 }, rank: 16 },
  ]);
  await writeRandomAdapter(join(scratch.folder, 'arithmetic'), model, { seed: 1 });
  const host = await startHost(scratch.folder);
  const bareHost = await startHost(bare.folder);
  const { client, close } = await connectClient(host.url);
  const whole = (await client.adapters.import({ path: join(scratch.folder, 'arithmetic'), model })).id;
  const { heads } = await client.adapters.get({ id: whole });
  const gone = heads.slice(0, 3).map(({ name }) => name);
  const pruned = (await client.adapters.prune({ id: whole, name: 'arithmetic, cut', heads: gone, renormalize: false }))
    .id;
  const { id } = await client.datasets.add({ path: rows });
  const table = (await client.datasets.own({ id })).id;
  const ids: Ids = { whole, pruned, table };
  const chat = writeTinyChatModel(join(scratch.folder, 'tiny-chat'));
  const budget = { memoryBytes: 2 ** 31, seconds: null, fixed: {} };
  const mix = [{ path: rows, weight: 1 }];
  const draft: Draft = { step: 2, name: '', model: chat, mix, lossOn: 'answer', ...budget };
  await client.drafts.set({ ...draft, name: 'another-beginning-with-a-name-that-no-row-has-room-for' });
  await client.drafts.begin({ draft });
  await client.runs.describe({ id: 'second-run', notes: 'Learned by heart.', tags: ['maths', 'a'.repeat(40)] });
  /** A view, complete, in a context of its own. Where the wizard is left, it is found again: each view has the same draft. */
  async function open(browser: Browser, { hash, shown, empty, prepare }: View) {
    await client.drafts.set(draft);
    const opened = await openPage(browser, `${(empty ? bareHost : host).url}/${hash(ids)}`, { width: 1440 });
    await prepare?.(opened.page);
    await untilShown(opened.page, shown);
    return opened;
  }
  async function end() {
    close();
    await host.close();
    await bareHost.close();
    scratch.remove();
    bare.remove();
  }
  return { host, ids, open, end };
}
