import type { AdapterOptions, SiteShape } from '../types.ts';
import { inBlock, siteTensor } from '../names.ts';
import type { Method } from './method.ts';
import { LANGUAGE } from './parts-of-models.ts';
import { ZEROS, type Start } from './tensors.ts';

/**
 * lora, hydralora and effilora: what is multiplied with is what learns.
 *
 * | method | A | B | router |
 * | --- | --- | --- | --- |
 * | lora | `layers.<i>.<site>.A` | `layers.<i>.<site>.B`, one head | |
 * | hydralora | `layers.<i>.<site>.A` | `layers.<i>.<site>.B` | `layers.<i>.<site>.router` |
 * | effilora | `shared.A.<in_features>`, share module: `shared.A.<site>` | as above | as above, router layer: `layers.<i>.router.<in_features>` |
 *
 * Of convolutions that see more than a pixel `<in_features>` is `<kernel>x<kernel>.<channels>`. In other parts of the model than the
 * language model, what sites share has the part's name in it: `shared.A.tower.768`.
 */
function mixture(isRouted: boolean, nameOfA: (shape: SiteShape, options: AdapterOptions) => string): Method {
  return {
    isRouted,
    headsIn: 'B',
    names: (shape, options) => ({
      A: nameOfA(shape, options),
      B: siteTensor(shape, 'B'),
      ...(isRouted && { router: routerName(shape, options) }),
    }),
    parts({ inFeatures, outFeatures }, { rank, heads: many }) {
      const heads = isRouted ? many : 1;
      const uniform: Start = { kind: 'uniform', bound: 1 / Math.sqrt(inFeatures) };
      return [
        { role: 'A', shape: [rank, inFeatures], width: inFeatures, start: uniform },
        { role: 'B', shape: [heads, outFeatures, rank], width: inFeatures, start: ZEROS },
        ...(isRouted
          ? [{ role: 'router' as const, shape: [heads, inFeatures], width: inFeatures, start: uniform }]
          : []),
      ];
    },
    makesPair: false,
    isFollowed: false,
    pair: ({ A, B }) => ({ a: A, b: B }),
  };
}

const ownA = (shape: SiteShape) => siteTensor(shape, 'A');

export const lora = mixture(false, ownA);
export const hydralora = mixture(true, ownA);
export const effilora = mixture(true, sharedA);

/** What sites read, as names have it: a linear and a filter may see equally many numbers, and are no kin. */
const widthOf = ({ kind, kernel, inFeatures }: SiteShape): string =>
  kind === 'linear' ? String(inFeatures) : `${kernel}x${kernel}.${inFeatures / kernel! ** 2}`;

/** Language models' files name no group; the other parts' A stand apart by theirs, which may begin their sites' names already. */
function sharedA(shape: SiteShape, options: AdapterOptions): string {
  const { group, site } = shape;
  const shared = options.share === 'module' ? site : widthOf(shape);
  return group === LANGUAGE || shared.startsWith(`${group}.`) ? `shared.A.${shared}` : `shared.A.${group}.${shared}`;
}

function routerName(shape: SiteShape, options: AdapterOptions): string {
  if (options.router !== 'layer') return siteTensor(shape, 'router');
  const part = shape.group === LANGUAGE ? '' : `${shape.group}.`;
  return inBlock(shape.block, `${part}router.${widthOf(shape)}`);
}
