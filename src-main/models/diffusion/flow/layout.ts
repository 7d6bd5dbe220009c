import type { DiffusionSiteShape } from '../site.ts';
import type { FlowTransformerConfig } from './config.ts';

/** What the tokens of a block are of. */
export type Seen = 'picture' | 'text' | 'both';

/** A block: its place in the file, and what goes through it. */
export interface BlockLayout {
  name: string;
  /** counted in the order of the forward pass */
  number: number;
  sees: Seen;
}

/** How rows are called that linears of a block see. */
export const rowsName = (sees: Seen): string => `transformer.${sees}`;

/** The blocks in the order of the forward pass: those over the picture alone, those over the text alone, those over both. */
export function flowBlocks({ refiners, layers }: FlowTransformerConfig): BlockLayout[] {
  const all = (count: number, stem: string, sees: Seen) =>
    Array.from({ length: count }, (_, i) => ({ name: `${stem}.${i}`, sees }));
  return [
    ...all(refiners, 'noise_refiner', 'picture'),
    ...all(refiners, 'context_refiner', 'text'),
    ...all(layers, 'layers', 'both'),
  ].map((block, number) => ({ ...block, number }));
}

/** A block's linears that can be adapted, by their names in it, in the order of the forward pass: [name, out, in]. */
export const flowLinears = ({ width, innerWidth }: FlowTransformerConfig): [string, number, number][] => [
  ...['to_q', 'to_k', 'to_v', 'to_out.0'].map((name): [string, number, number] => [`attention.${name}`, width, width]),
  ['feed_forward.w1', innerWidth, width],
  ['feed_forward.w3', innerWidth, width],
  ['feed_forward.w2', width, innerWidth],
];

export const flowSite = (block: number, name: string) => ({
  ...{ group: 'transformer' as const, block, site: `transformer.${name.replace('to_out.0', 'to_out')}` },
});

/** Everything that can be adapted, in the order of the forward pass. */
export const flowSites = (config: FlowTransformerConfig): DiffusionSiteShape[] =>
  flowBlocks(config).flatMap(({ name, number, sees }) =>
    flowLinears(config).map(([inside, outFeatures, inFeatures]) => ({
      ...flowSite(number, inside),
      ...{ path: `${name}.${inside}`, inFeatures, outFeatures, rows: rowsName(sees) },
      kind: 'linear' as const,
      reads: 'self' as const,
    })),
  );
