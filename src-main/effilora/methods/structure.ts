import { UserError } from '../../engine/types.ts';
import { headName, inBlock, readHeadName, siteName, siteTensor } from '../names.ts';
import type { AdapterOptions, HeadName, SiteShape } from '../types.ts';

/** What a tensor of an adapter is: down-projection, up-projections, router, DoRA's magnitude, or a tensor of the model trained whole. */
export type TensorRole = 'A' | 'B' | 'router' | 'magnitude' | 'whole';

/** One trainable tensor under its name and shape in `adapter.safetensors` (docs/method.md, Adapter file). */
export interface TensorSpec {
  name: string;
  role: TensorRole;
  shape: number[];
  /** width of the input it reads; of the output for magnitudes; the last axis of a whole one */
  width: number;
  /** the layer it belongs to; undefined where layers share it */
  layer?: number;
}

/** The group of a language model's blocks. */
export const LANGUAGE = 'language';

/** Whether a target is the language model's: in other parts its name begins with the part's. */
export const isOfLanguage = (target: string): boolean => !target.includes('.');

/** The names of the tensors that act at one site. */
export interface SiteTensors {
  A: string;
  B: string;
  router?: string;
  magnitude?: string;
}

/** `lora` has one B a site and no router; the others have N. */
export function headsPerSite(options: AdapterOptions): number {
  return options.name === 'lora' ? 1 : options.heads;
}

/** alpha / rank, or alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732). */
export function scaleOf(options: AdapterOptions): number {
  return options.alpha / (options.rsLora ? Math.sqrt(options.rank) : options.rank);
}

/**
 * Which tensors act at a site.
 *
 * | method | A | B | router |
 * | --- | --- | --- | --- |
 * | lora | `layers.<i>.<site>.A` | `layers.<i>.<site>.B`, one head | |
 * | hydralora | `layers.<i>.<site>.A` | `layers.<i>.<site>.B` | `layers.<i>.<site>.router` |
 * | effilora | `shared.A.<in_features>`, share module: `shared.A.<site>` | as above | as above, router layer: `layers.<i>.router.<in_features>` |
 *
 * Of convolutions that see more than a pixel `<in_features>` is `<kernel>x<kernel>.<channels>`. With DoRA each site also has `layers.<i>.<site>.magnitude` [out]. In other parts of the model than the language model, what sites
 * share has the part's name in it: `shared.A.tower.768`.
 */
export function siteTensors(shape: SiteShape, options: AdapterOptions): SiteTensors {
  const { block, group } = shape;
  const part = group === LANGUAGE ? '' : `${group}.`;
  return {
    A: options.name === 'effilora' ? sharedA(shape, options) : siteTensor(shape, 'A'),
    B: siteTensor(shape, 'B'),
    router:
      options.name === 'lora'
        ? undefined
        : options.router === 'layer'
          ? inBlock(block, `${part}router.${widthOf(shape)}`)
          : siteTensor(shape, 'router'),
    magnitude: options.dora ? siteTensor(shape, 'magnitude') : undefined,
  };
}

/** What sites read, as names have it: a linear and a filter may see equally many numbers, and are no kin. */
const widthOf = ({ kind, kernel, inFeatures }: SiteShape): string =>
  kind === 'linear' ? String(inFeatures) : `${kernel}x${kernel}.${inFeatures / kernel! ** 2}`;

/** Language models' files name no group; the other parts' A stand apart by theirs, which may begin their sites' names already. */
function sharedA(shape: SiteShape, options: AdapterOptions): string {
  const { group, site } = shape;
  const shared = options.share === 'module' ? site : widthOf(shape);
  return group === LANGUAGE || shared.startsWith(`${group}.`) ? `shared.A.${shared}` : `shared.A.${group}.${shared}`;
}

/** The sites of a model that an adapter adapts, in the model's order. Throws where a target is no site of the model. */
export function adaptedSites(sites: SiteShape[], options: AdapterOptions): SiteShape[] {
  const known = new Set(sites.map(({ site }) => site));
  for (const target of options.targets) {
    if (!known.has(target)) {
      throw new UserError(`The model has no site ${target} to adapt: choose targets among ${[...known].join(', ')}.`);
    }
  }
  const targeted = sites.filter(({ site }) => options.targets.includes(site));
  if (!options.sites) return targeted;
  const chosen = new Set(options.sites);
  const adapted = targeted.filter((shape) => chosen.delete(siteName(shape)));
  const [missing] = chosen;
  if (missing === undefined) return adapted;
  const layers = blocksOf(sites);
  throw new UserError(`It adapts ${missing}, the model has ${layers} layers of ${[...known].join(', ')}.`);
}

/** How many blocks a model's sites lie in; of its language model where it has one. */
export function blocksOf(sites: SiteShape[]): number {
  const own = sites.filter(({ group }) => group === LANGUAGE);
  return new Set((own.length > 0 ? own : sites).map(({ block }) => block)).size;
}

/** Every trainable tensor of an adapter, shared ones first, then by layer and site, then whole ones. `sites` are the adapted ones. */
export function adapterTensors(sites: SiteShape[], options: AdapterOptions): TensorSpec[] {
  const { rank } = options;
  const heads = headsPerSite(options);
  const specs = new Map<string, TensorSpec>();
  const add = (layer: number, name: string | undefined, role: TensorRole, shape: number[], width: number) => {
    if (name === undefined) return;
    const before = specs.get(name);
    if (before && before.shape.join() !== shape.join()) {
      throw new UserError(
        `The sites that share ${name} have different input widths (${before.width} and ${width}): use share: global.`,
      );
    }
    specs.set(name, { name, role, shape, width, layer: isShared({ name }) ? undefined : layer });
  };
  for (const shape of sites) {
    const names = siteTensors(shape, options);
    add(shape.block, names.A, 'A', [rank, shape.inFeatures], shape.inFeatures);
    add(shape.block, names.B, 'B', [heads, shape.outFeatures, rank], shape.inFeatures);
    add(shape.block, names.router, 'router', [heads, shape.inFeatures], shape.inFeatures);
    add(shape.block, names.magnitude, 'magnitude', [shape.outFeatures], shape.outFeatures);
  }
  const whole = (options.whole ?? []).map(({ name, shape }): TensorSpec => {
    return { name, role: 'whole', shape, width: shape.at(-1)! };
  });
  const all = [...specs.values(), ...whole];
  return [...all.filter(isShared), ...all.filter((spec) => !isShared(spec))];
}

const isShared = ({ name }: { name: string }) => name.startsWith('shared.');

/** `<layer>.<site>.<head>` of every head, in the order that breaks ties: layer, site, head. */
export function headNames(sites: SiteShape[], options: AdapterOptions): HeadName[] {
  return sites.flatMap((shape) =>
    Array.from({ length: headsPerSite(options) }, (_, head) => headName({ ...shape, head })),
  );
}

/** The layer a head belongs to, by its name. */
export const layerOfHead = (name: HeadName): number => readHeadName(name)!.block;

/** How many numbers an adapter trains, in all and by role. */
export function parameterCounts(sites: SiteShape[], options: AdapterOptions): Record<TensorRole | 'all', number> {
  const counts = { A: 0, B: 0, router: 0, magnitude: 0, whole: 0, all: 0 };
  for (const { role, shape } of adapterTensors(sites, options)) {
    const size = shape.reduce((a, b) => a * b, 1);
    counts[role] += size;
    counts.all += size;
  }
  return counts;
}
