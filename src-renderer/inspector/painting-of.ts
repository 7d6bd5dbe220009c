import type { AdapterDetail, Painting } from '../../src-preload/contract/index.ts';
import { SAMPLERS } from '../../src-preload/contract/choices.ts';

const objectIn = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;

/** How pictures were painted along an adapter's training: its recipe's words, which may be anybody's. */
export function paintingOf({ recipe }: Pick<AdapterDetail, 'recipe'>): Painting {
  const diffusion = objectIn(recipe['training'], 'diffusion');
  const told = objectIn(diffusion, 'sampling');
  const text = (name: string) => asText(objectIn(told, name));
  const number = (name: string) => {
    const value = objectIn(told, name);
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };
  const prompts = objectIn(told, 'prompts');
  return {
    prompt: (Array.isArray(prompts) && asText(prompts[0])) || (asText(objectIn(diffusion, 'trigger')) ?? ''),
    ...{ negative: text('negative'), seed: number('seed'), steps: number('steps'), guidance: number('guidance') },
    ...{ sampler: SAMPLERS.find((sampler) => sampler === text('sampler')) },
    ...{ width: number('width'), height: number('height') },
  };
}

const asText = (value: unknown) => (typeof value === 'string' ? value : undefined);
