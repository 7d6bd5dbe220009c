import { ref, watch } from 'vue';
import type { CurvePoint, DropCurve, MeasureData } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';
import { useJob } from '../use-job.ts';

/** Shares of the heads that are left out one after the other. */
export const RATIOS = Array.from({ length: 11 }, (_, k) => k / 10);
/** Random orders beside the one by importance. */
const SEEDS = [1, 2];

/** The drop curve of an adapter: the one kept last, or one that is being measured. */
export function useCurve(id: string) {
  const { busy, error, job, start, rejoin, cancel } = useJob();
  const points = ref<CurvePoint[]>([]);
  const kept = ref<DropCurve[]>([]);
  /** why the one kept can't be shown */
  const failure = ref<unknown>();

  async function load() {
    kept.value = await studio.inspector.curves({ id });
    if (points.value.length === 0) points.value = kept.value[0]?.points ?? [];
  }
  async function measure(data: MeasureData, renormalize = false) {
    points.value = [];
    const asked = { id, data, ratios: RATIOS, seeds: SEEDS, renormalize };
    if (await start(() => studio.inspector.startCurve(asked))) await takeKept();
  }
  /** The curve as it was kept last, in place of what is shown. */
  async function takeKept() {
    await load();
    points.value = kept.value[0]?.points ?? [];
  }
  const failed = (problem: unknown) => (failure.value = problem);
  watch(job, (now) => {
    if (now?.progress?.points) points.value = now.progress.points;
  });
  load().catch(failed);
  rejoin(({ kind, adapterId }) => kind === 'curve' && adapterId === id)
    .then((result) => (result ? takeKept() : undefined))
    .catch(failed);
  return { busy, error, failure, job, points, kept, measure, cancel };
}

export type Curve = ReturnType<typeof useCurve>;
