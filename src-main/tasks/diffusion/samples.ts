import type { Adaptation } from '../../models/types.ts';
import { paint } from '../../models/diffusion/pipeline/paint.ts';
import { encodePng } from '../../models/vision/pictures/encode.ts';
import type { KeepSample, PictureSample, Samples } from '../task.ts';
import { captionWith } from './captions.ts';
import type { CaptionedExample } from './dataset.ts';
import type { DiffusionNetwork } from './network.ts';
import type { WholeTraining } from './options.ts';

/** Prompts that are painted again and again, each always from the same noise. */
export class PaintedSamples implements Samples<DiffusionNetwork, PictureSample> {
  constructor(
    private readonly prompts: string[],
    private readonly sampling: WholeTraining['sampling'],
  ) {}

  /** One picture after the other, so that many take no more memory than one. */
  async answer(
    step: number,
    network: DiffusionNetwork,
    adaptation?: Adaptation,
    keep?: KeepSample,
  ): Promise<PictureSample[]> {
    if (this.prompts.length === 0) return [];
    if (!keep) throw new Error('pictures are kept in files');
    const { negative, steps, seed: first, width, height, sampler, guidance } = this.sampling as Painting;
    const how = { negative, steps, width, height, sampler, guidance };
    const { model, parts } = network;
    const readText = network.readsAnew(adaptation) ? undefined : (text: string) => parts.text(text);
    const vae = await model.vae();
    const lines: PictureSample[] = [];
    try {
      for (const [i, prompt] of this.prompts.entries()) {
        const seed = first + i;
        const [picture] = await paint(model, vae, { ...how, prompts: [prompt], seeds: [seed], adaptation, readText });
        const name = `${String(step).padStart(6, '0')}-${i + 1}.png`;
        lines.push({ step, prompt, seed, ...how, picture: await keep(name, await encodePng(picture!)) });
      }
    } finally {
      vae.dispose();
    }
    return lines;
  }
}

type Painting = Required<WholeTraining['sampling']>;

/** The recipe's prompts, else the first captions that are held out, each once, as they are learned. */
export function promptsFor(
  { prompts }: WholeTraining['sampling'],
  heldOut: Iterable<CaptionedExample>,
  count: number,
): string[] {
  if (prompts) return prompts;
  const found = new Set<string>();
  if (count > 0)
    for (const example of heldOut) {
      const caption = captionWith(example.caption, example);
      if (caption !== '') found.add(caption);
      if (found.size === count) break;
    }
  return [...found];
}
