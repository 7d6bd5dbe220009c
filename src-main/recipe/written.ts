/** Keys that were written in a recipe's file, by the recipe that was read from it; every other one has its default. */
const written = new WeakMap<object, ReadonlySet<string>>();

/** Remembers which keys a recipe's file has, by their dotted names. */
export function rememberWritten(recipe: object, text: unknown): void {
  written.set(recipe, new Set(keysIn(text, '')));
}

function keysIn(value: unknown, prefix: string): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [prefix];
  return Object.entries(value).flatMap(([key, inner]) => [
    ...(prefix ? [prefix] : []),
    ...keysIn(inner, prefix ? `${prefix}.${key}` : key),
  ]);
}

/** The keys of a recipe's file; undefined for a recipe that was read from none. */
export const writtenKeys = (recipe: object): ReadonlySet<string> | undefined => written.get(recipe);

/** Keys of texts alone, each with the end of the sentence that refuses it for a model that makes pictures. */
export const OF_TEXTS: Record<string, string> = {
  'training.sequenceLength': 'captions are as long as its text encoder reads',
  'training.packing': 'a batch holds pictures of one size',
  'training.loss': 'the loss is of the noise in pictures',
  'training.long': 'the end of a longer caption is not learned, and the run says of which',
  'training.rateOfConnector': 'nothing of it is trained whole',
  'method.targets': 'its sites are named by method.diffusion.sites',
  'method.vision': 'it sees no pictures',
};
/** A recipe as it is written: of one for pictures without what is of texts alone. */
export function toWrite(recipe: { training: { diffusion?: object } }): object {
  if (!recipe.training.diffusion) return recipe;
  const whole = structuredClone(recipe) as object;
  for (const key of Object.keys(OF_TEXTS)) {
    const path = key.split('.');
    const last = path.pop()!;
    delete (valueAt(whole, path.join('.')) as Record<string, unknown>)[last];
  }
  return whole;
}

export const valueAt = (value: object, key: string): unknown =>
  key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], value);

/** Whether an option, by its dotted key, says something to models that make pictures alone. */
export const isOfPictures = (key: string): boolean => /^(method|training)\.diffusion\b/.test(key);

/** Whether it does to models that write alone. */
export const isOfTexts = (key: string): boolean =>
  Object.keys(OF_TEXTS).some((one) => key === one || key.startsWith(`${one}.`));
