import { defineStore } from 'pinia';
import { computed, reactive, ref, watch } from 'vue';
import type { Draft, Plan, Recipe } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';

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
/** Kept this long after the last change, milliseconds. */
const KEEP_MS = 300;

/** The new fine-tune as far as it has got; kept by the studio, so that a restart loses nothing. */
export const useWizard = defineStore('wizard', () => {
  const draft = reactive<Draft>({ ...EMPTY });
  const plan = ref<Plan>();
  const loaded = ref(false);
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function load() {
    Object.assign(draft, await studio.drafts.get());
    loaded.value = true;
  }
  async function clear() {
    Object.assign(draft, { ...EMPTY, mix: [], fixed: {} });
    plan.value = undefined;
    await studio.drafts.set({ ...draft });
  }
  watch(
    draft,
    () => {
      if (!loaded.value) return;
      clearTimeout(timer);
      timer = setTimeout(() => void studio.drafts.set(JSON.parse(JSON.stringify(draft)) as Draft), KEEP_MS);
    },
    { deep: true },
  );
  const reachable = computed(() => (draft.model === null ? 0 : draft.mix.length === 0 ? 1 : plan.value?.fits ? 3 : 2));
  return { draft, plan, loaded, reachable, load, clear };
});

/** A finished run's recipe as a new draft. */
export function draftOf(recipe: Recipe, name: string): Draft {
  const { method, training } = recipe;
  const fixed: Record<string, unknown> = {
    'method.name': method.name,
    'method.rank': method.rank,
    'method.heads': method.heads,
    'method.reducer.ratio': method.reducer?.ratio,
    'training.steps': training.steps,
    'training.batch': training.batch,
    'training.sequenceLength': training.sequenceLength,
    'training.learningRate': training.learningRate,
  };
  const budget = recipe['budget'] as { memoryBytes?: number; seconds?: number } | undefined;
  const mix = typeof recipe.dataset === 'string' ? [{ path: recipe.dataset }] : recipe.dataset;
  return {
    ...EMPTY,
    step: 2,
    name,
    model: recipe.model,
    mix: mix.map(({ path, ...part }) => ({ weight: 1, ...part, path })),
    memoryBytes: budget?.memoryBytes ?? null,
    seconds: budget?.seconds ?? null,
    fixed: Object.fromEntries(Object.entries(fixed).filter(([, value]) => value !== undefined)),
  };
}
