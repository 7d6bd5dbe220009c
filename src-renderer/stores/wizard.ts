import { defineStore } from 'pinia';
import { computed, reactive, ref, watch } from 'vue';
import type { DatasetEntry, Draft, Plan, Recipe } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';
import { copyOf, useKeeping, useKeptDrafts } from './kept-drafts.ts';

const EMPTY: Draft = {
  step: 0,
  name: '',
  model: null,
  mix: [],
  lossOn: 'answer',
  memoryBytes: null,
  seconds: null,
  fixed: {},
};
/** The new fine-tune as far as it has got; kept by the studio, so that a restart loses nothing. */
export const useWizard = defineStore('wizard', () => {
  const draft = reactive<Draft>({ ...EMPTY });
  const plan = ref<Plan>();
  const loaded = ref(false);
  /** what the plan was made from has changed since */
  const planIsOld = ref(false);
  /** the mix could not be read: there is no going on with it */
  const refused = ref(false);
  /** what is wrong with values fixed by hand, by dotted recipe key: there is no going on with them, either */
  const problems = ref<Record<string, string>>({});
  /** goes up whenever another draft is at hand: nothing a step shows holds for that */
  const turn = ref(0);
  const { kept, before, loadKept } = useKeptDrafts();
  const save = useKeeping(draft, loaded);

  async function load() {
    loaded.value = false;
    plan.value = undefined;
    Object.assign(draft, await studio.drafts.get());
    // A plan is made anew: the last step waits for it.
    draft.step = Math.min(draft.step, reachable.value);
    loaded.value = true;
    await loadKept();
  }
  /** Begins another, empty or given; what had been begun is kept. */
  async function begin(given?: Draft) {
    await save();
    before.value = (await studio.drafts.begin({ draft: given })).kept;
    await take(given ?? { ...EMPTY, mix: [], fixed: {} });
  }
  async function resume(id: string) {
    await save();
    const found = await studio.drafts.resume({ id });
    before.value = null;
    await take(found);
  }
  async function take(other: Draft) {
    turn.value += 1;
    plan.value = undefined;
    refused.value = false;
    problems.value = {};
    Object.assign(draft, other);
    draft.step = Math.min(draft.step, reachable.value);
    await loadKept();
  }
  /** Adds data to the mix, as its columns are read; twice it isn't added. */
  function takeData({ path, format, mapping, sheet, config }: DatasetEntry) {
    if (!draft.mix.some((part) => part.path === path))
      draft.mix.push({ path, weight: 1, format, mapping, sheet, config });
  }
  /** Another model on the page of models, which looks for them anew. */
  function takeModel(reference: string) {
    Object.assign(draft, { model: reference, step: 0 });
    turn.value += 1;
  }
  /** It has become a run: nothing of it is kept. */
  async function clear() {
    await take({ ...EMPTY, mix: [], fixed: {} });
    await studio.drafts.set(copyOf(draft));
  }
  // A plan is for a model and data: of others nothing of it holds.
  watch(
    () => JSON.stringify([draft.model, draft.mix]),
    () => (plan.value = undefined),
    { flush: 'sync' },
  );
  watch(
    () => JSON.stringify([draft.memoryBytes, draft.seconds, draft.fixed]),
    () => (planIsOld.value = true),
    { flush: 'sync' },
  );
  const reachable = computed(() => {
    if (draft.model === null) return 0;
    if (draft.mix.length === 0 || refused.value) return 1;
    if (Object.keys(problems.value).length > 0) return 2;
    return plan.value?.fits && !planIsOld.value ? 3 : 2;
  });
  const state = { draft, plan, planIsOld, loaded, refused, problems, reachable, kept, before, turn };
  return { ...state, load, loadKept, begin, resume, takeData, takeModel, clear };
});

/** Keys of a recipe's training that the draft holds elsewhere, or that a plan makes again. */
const NOT_FIXED = ['training.loss'];

/** Keys of a recipe beside method and training that a plan doesn't make. */
const KEPT = ['engine', 'init'];

/** A run's recipe as a new draft: what it trained with is fixed, and can be given back to the plan. */
export function draftOf(recipe: Recipe, name: string): Draft {
  const fixed = {
    ...flatten(recipe.method, 'method'),
    ...flatten(recipe.training, 'training'),
    ...Object.fromEntries(KEPT.filter((key) => recipe[key] !== undefined).map((key) => [key, recipe[key]])),
  };
  for (const key of NOT_FIXED) delete fixed[key];
  const budget = recipe['budget'] as { memoryBytes?: number; seconds?: number } | undefined;
  const mix = typeof recipe.dataset === 'string' ? [{ path: recipe.dataset }] : recipe.dataset;
  return {
    ...EMPTY,
    step: 2,
    name,
    model: recipe.model,
    mix: mix.map(({ path, ...part }) => ({ weight: 1, ...part, path })),
    lossOn: recipe.training['loss'] === 'all' ? 'all' : 'answer',
    memoryBytes: budget?.memoryBytes ?? null,
    seconds: budget?.seconds ?? null,
    fixed,
  };
}

/** `{ reducer: { ratio: 0.5 } }` -> `{ 'method.reducer.ratio': 0.5 }`; lists stay whole. */
function flatten(value: object, prefix: string): Record<string, unknown> {
  const entries = Object.entries(value).map(([key, inner]): [string, unknown][] =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.entries(flatten(inner as object, `${prefix}.${key}`))
      : [[`${prefix}.${key}`, inner]],
  );
  return Object.fromEntries(entries.flat());
}
