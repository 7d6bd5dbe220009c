import { UserError } from '../../engine/types.ts';
import { headName, readHeadName, siteName, siteTensor } from '../names.ts';
import type { AdapterOptions, HeadName, SiteShape } from '../types.ts';
import { LANGUAGE } from './parts-of-models.ts';
import { isRouted, methodOf } from './registry.ts';
import { type SiteTensors, type TensorRole, type TensorSpec, ZEROS } from './tensors.ts';

export { isOfLanguage, LANGUAGE } from './parts-of-models.ts';

/** N where a router weighs them, else 1. */
export function headsPerSite(options: AdapterOptions): number {
  return isRouted(options) ? options.heads : 1;
}

/** alpha / rank, or alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732). */
export function scaleOf(options: AdapterOptions): number {
  return options.alpha / (options.rsLora ? Math.sqrt(options.rank) : options.rank);
}

/** The names of the tensors that act at a site: its method's, and with DoRA `layers.<i>.<site>.magnitude` [out]. */
export function siteTensors(shape: SiteShape, options: AdapterOptions): SiteTensors {
  const names = methodOf(options).names(shape, options);
  return options.dora ? { ...names, magnitude: siteTensor(shape, 'magnitude') } : names;
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

/** Every tensor of an adapter, shared ones first, then by layer and site, then whole ones. `sites` are the adapted ones. */
export function adapterTensors(sites: SiteShape[], options: AdapterOptions): TensorSpec[] {
  const method = methodOf(options);
  const specs = new Map<string, TensorSpec>();
  for (const shape of sites) {
    const names = siteTensors(shape, options);
    const { outFeatures } = shape;
    const parts = method.parts(shape, options, sites);
    if (options.dora) parts.push({ role: 'magnitude', shape: [outFeatures], width: outFeatures, start: ZEROS });
    for (const part of parts) {
      const name = names[part.role]!;
      const before = specs.get(name);
      if (before && before.shape.join() !== part.shape.join()) {
        throw new UserError(
          `The sites that share ${name} have different input widths (${before.width} and ${part.width}): use share: global.`,
        );
      }
      specs.set(name, { name, ...part, layer: isShared({ name }) ? undefined : shape.block });
    }
  }
  const whole = (options.whole ?? []).map(({ name, shape }): TensorSpec => {
    return { name, role: 'whole', shape, width: shape.at(-1)!, start: ZEROS };
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

/** How many numbers an adapter trains, in all and by role, and how many more it holds that are never trained. */
export function parameterCounts(
  sites: SiteShape[],
  options: AdapterOptions,
): Partial<Record<TensorRole, number>> & { all: number; frozen: number } {
  const counts: ReturnType<typeof parameterCounts> = { all: 0, frozen: 0 };
  for (const { role, shape, isFrozen } of adapterTensors(sites, options)) {
    const size = shape.reduce((a, b) => a * b, 1);
    if (isFrozen) counts.frozen += size;
    else {
      counts[role] = (counts[role] ?? 0) + size;
      counts.all += size;
    }
  }
  return counts;
}
