import { isOfLanguage } from '../effilora/methods/structure.ts';
import type { AdapterOptions, SiteShape, WholeTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import type { Recipe } from './recipe.ts';

type Vision = Recipe['method']['vision'];

/** What a model sees pictures with, as adapters know it. */
export interface SeeingParts {
  sites: SiteShape[];
  whole: WholeTensor[];
}

/**
 * What a recipe's method.vision adds to the targets of the language model.
 * @param parts of the model; undefined: it reads text alone
 * @throws UserError where the model has no such part
 */
export function seeingOptions(
  vision: Vision,
  parts: SeeingParts | undefined,
): { targets: string[]; whole?: WholeTensor[] } {
  if (!vision || (vision.tower === 'frozen' && vision.connector === 'frozen')) return { targets: [] };
  if (!parts || (parts.sites.length === 0 && parts.whole.length === 0))
    throw new UserError('method.vision is for models that take pictures, and this one reads text alone; leave it out');
  const sitesOf = (group: string) => [
    ...new Set(parts.sites.flatMap((site) => (site.group === group ? site.site : []))),
  ];
  const connector = vision.connector === 'adapted' ? sitesOf('connector') : [];
  if (vision.connector === 'adapted' && connector.length === 0)
    throw new UserError(
      'method.vision.connector is adapted, and this model’s connector is a bare product that no adapter can stand beside; make it whole, or frozen',
    );
  return {
    targets: [...(vision.tower === 'adapted' ? sitesOf('tower') : []), ...connector],
    ...(vision.connector === 'whole' && { whole: parts.whole.filter(({ group }) => group === 'connector') }),
  };
}

/** What adapters know of a model. */
interface ModelParts {
  sites(): SiteShape[];
  wholeTensors?(): WholeTensor[];
}

/**
 * A recipe's method as the options of an adapter of a model that writes.
 * @param model undefined: one that reads text alone
 * @throws UserError where method.vision is of another model
 */
export function adapterOptions({ method }: Pick<Recipe, 'method'>, model?: ModelParts): AdapterOptions {
  const { name, rank, heads, alpha, targets, share, router, dropout, rsLora, dora } = method;
  const seeing = seeingOptions(method.vision, model && partsOf(model));
  const options = { name, rank, heads, alpha, targets, share, router, dropout, rsLora, dora };
  const own = method.vera && { vera: method.vera };
  return { ...options, ...own, ...seeing, targets: [...targets, ...seeing.targets] };
}

/** What of a model sees pictures; nothing of one of text alone. */
const partsOf = (model: ModelParts): SeeingParts => ({
  sites: model.sites().filter(({ site }) => !isOfLanguage(site)),
  whole: model.wholeTensors?.() ?? [],
});

/** An adapter's structure as a recipe's method says it. */
export function methodOf({ targets, whole, ...options }: AdapterOptions) {
  const hasSite = (group: string) => targets.some((target) => target.startsWith(`${group}.`));
  const others = whole !== undefined || !targets.every(isOfLanguage);
  return {
    ...options,
    targets: targets.filter(isOfLanguage),
    vision: others
      ? {
          tower: hasSite('tower') ? ('adapted' as const) : ('frozen' as const),
          connector: whole ? ('whole' as const) : hasSite('connector') ? ('adapted' as const) : ('frozen' as const),
        }
      : undefined,
  };
}
