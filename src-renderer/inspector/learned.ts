import type { AdapterHead, LearnedHeads } from '../../src-preload/contract/index.ts';
import type { Dot, Words } from '../charts/scatter.ts';

/** A head with everything that is known of it. */
export interface LearnedHead {
  name: string;
  importance: number;
  /** undefined: no router */
  share?: number;
  /** how much the loss rises without it: an estimate, or measured */
  rise: number;
  isMeasured: boolean;
}

/** The heads that are there with what was found of them, those first whose loss costs most. */
export function learnedHeads(
  heads: readonly AdapterHead[],
  { heads: found }: Pick<LearnedHeads, 'heads'>,
  measured: ReadonlyMap<string, number>,
): LearnedHead[] {
  const byName = new Map(found.map((head) => [head.name, head]));
  return heads
    .flatMap(({ name, importance, dropped }) => {
      const head = byName.get(name);
      if (!head || dropped) return [];
      const rise = measured.get(name);
      return [{ name, importance, share: head.share ?? undefined, rise: rise ?? head.rise, isMeasured: rise !== undefined }]; // prettier-ignore
    })
    .sort((a, b) => b.rise - a.rise);
}

const AXES = {
  importance: 'Importance in the training',
  share: 'Share that the router gives it',
  rise: 'Change of the loss without it',
};

/**
 * Where each head lies: by its importance and its share; the change of the loss takes the place of what wasn't measured (an imported
 * adapter has no importance, plain LoRA no router).
 */
export function scatterOf(heads: readonly LearnedHead[], title: string): { dots: Dot[]; words: Words } {
  const hasImportance = heads.some(({ importance }) => importance > 0);
  const hasShare = heads.some(({ share }) => share !== undefined);
  const [x = 'rise', y = 'rise'] = ([hasImportance && 'importance', hasShare && 'share'] as const).filter(
    (axis) => axis !== false,
  );
  const dots = heads.map((head) => ({ name: head.name, x: head[x] ?? 0, y: head[y] ?? 0, weight: head.rise, sure: head.isMeasured })); // prettier-ignore
  const words = { title, x: AXES[x], y: AXES[y], rises: 'Loss rises without it', falls: 'Loss falls without it' };
  return { dots, words };
}

/** So many at the top are measured at once. */
const AT_ONCE = 3;

/** Those whose estimate says most: estimates of large effects are the least sure. */
export const topHeads = ({ heads }: Pick<LearnedHeads, 'heads'>): string[] =>
  [...heads]
    .sort((a, b) => Math.abs(b.rise) - Math.abs(a.rise))
    .slice(0, AT_ONCE)
    .map(({ name }) => name);
