import type { SingleStructure } from '../../models/diffusion/single/parts.ts';

/** What one structure has in another way than another: its name for people, and both values in words. */
export interface Difference {
  what: string;
  own: string;
  other: string;
}

/** What a structure's numbers are called. */
const NOUNS: Record<string, string> = {
  ...{ channels: 'number of channels', layers: 'number of blocks', heads: 'number of attention heads' },
  ...{ depth: 'number of transformer blocks', groups: 'number of groups in a norm', epsilon: 'epsilon of the norms' },
  ...{ inChannels: 'number of channels that go in', outChannels: 'number of channels that come out' },
  ...{ contextWidth: 'width of a token', cosineFirst: 'cosines standing first', timeWidth: 'width of a size' },
  ...{ inFeatures: 'width of sizes and text', pictureChannels: 'number of colours', attends: 'attention' },
  ...{ latentChannels: 'number of latent channels', linearIn: 'linear before the latents', scale: 'scale of latents' },
  ...{
    linearOut: 'linear behind the latents',
    shift: 'shift',
    vocabularySize: 'number of tokens',
    hiddenSize: 'width',
  },
  ...{ intermediateSize: 'inner width', positions: 'longest text', activation: 'activation' },
  ...{ projectionSize: 'width of a whole text' },
};
/** What its parts are called. */
const PARTS: Record<string, string> = {
  ...{ down: 'way down', middle: 'middle', up: 'way up', time: 'time features', added: 'sizes beside the text' },
};

/** The first thing that two structures differ in; undefined: nothing that counts. */
export function firstDifference(own: SingleStructure, other: SingleStructure): Difference | undefined {
  if (own.kind !== other.kind) return { what: 'the kind of model', own: said(own.kind), other: said(other.kind) };
  const parts: [string, unknown, unknown][] = [
    ['the UNet', networkOf(own), networkOf(other)],
    ['the autoencoder', own.vae, other.vae],
    ...own.texts.map(({ group, config }, i): [string, unknown, unknown] => [
      group === 'text' ? 'the text encoder' : 'the second text encoder',
      // With CLIP's own words the last one is known.
      { ...config, endToken: undefined },
      { ...other.texts[i]?.config, endToken: undefined },
    ]),
  ];
  for (const [name, ...values] of parts) {
    const found = differenceIn(...values, name);
    if (found) return found;
  }
  return undefined;
}

/** Without what says nothing: heads where there is no attention, and the size that is painted where none is asked for. */
function networkOf({ unet }: SingleStructure): object {
  const level = ({ heads, depth, ...rest }: { heads: number; depth: number }) => ({ ...rest, depth, heads: depth > 0 ? heads : 0 }); // prettier-ignore
  const { down, middle, up } = unet;
  return { ...unet, down: down.map(level), middle: level(middle), up: up.map(level), sampleSize: undefined };
}

/** @param where what has them, e.g. "the UNet"; @param name the value's own name there */
function differenceIn(own: unknown, other: unknown, where: string, name = ''): Difference | undefined {
  if (Array.isArray(own) && Array.isArray(other)) {
    if (own.length !== other.length) return { what: `the number of levels of ${where}`, own: said(own.length), other: said(other.length) }; // prettier-ignore
    return own.map((value, i) => differenceIn(value, other[i], `level ${i + 1} of ${where}`)).find(Boolean);
  }
  if (isObject(own) && isObject(other)) {
    const at = name ? `the ${PARTS[name] ?? name} of ${where}` : where;
    return [...new Set([...Object.keys(own), ...Object.keys(other)])]
      .map((key) =>
        differenceIn(own[key], other[key], Array.isArray(own[key]) ? `the ${PARTS[key] ?? key} of ${at}` : at, key),
      ) // prettier-ignore
      .find(Boolean);
  }
  if (own === other) return undefined;
  return { what: `the ${NOUNS[name] ?? PARTS[name] ?? name} of ${where}`, own: said(own), other: said(other) };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value); // prettier-ignore

function said(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' || typeof value === 'string' ? String(value) : value === undefined ? 'none' : 'some';
}
