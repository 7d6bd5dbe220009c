import { mergedWeight } from '../effilora/exports/merged-weight.ts';
import type { PlainLora } from '../effilora/exports/plain-lora.ts';
import { isOfLanguage, scaleOf } from '../effilora/methods/structure.ts';
import { readSiteTensor, siteTensor, type SiteId } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import type { ModelFile } from '../models/types.ts';
import { inFileForm, seeingSite } from '../models/vision/towers/sites.ts';
import { linearPath } from '../models/weights.ts';

/** Reads a base model's tensors with a plain LoRA worked into the linears it adapts. */
export class MergedTensors {
  readonly #file: ModelFile;
  readonly #plain: PlainLora;
  readonly #tensors: Map<string, NamedTensor>;
  /** the adapted sites by their weight's Hugging Face name */
  readonly #adapted = new Map<string, SiteId>();

  constructor(file: ModelFile, plain: PlainLora) {
    this.#file = file;
    this.#plain = plain;
    this.#tensors = new Map(plain.tensors.map((tensor) => [tensor.name, tensor]));
    for (const { name } of plain.tensors) {
      const tensor = readSiteTensor(name);
      if (tensor?.part === 'A' && isOfLanguage(tensor.site))
        this.#adapted.set(`${linearPath(tensor.block, tensor.site)}.weight`, tensor);
    }
  }

  /**
   * A tensor of tower or connector likewise, or as it was trained whole.
   * @param name of the one form that towers have here
   * @param values as the base model's file has them
   */
  async seen(name: string, values: Float32Array): Promise<Float32Array> {
    const whole = this.#tensors.get(name);
    if (whole) return inFileForm(whole, whole.data).data;
    const site = this.#seeingSite(name);
    return site ? this.#merged(values, site) : values;
  }

  /** Whether a tensor of tower or connector is changed. */
  changesSeen(name: string): boolean {
    return this.#tensors.has(name) || this.#seeingSite(name) !== undefined;
  }

  /** The adapted site whose weight it is. */
  #seeingSite(name: string): SiteId | undefined {
    const site = name.endsWith('.weight') ? seeingSite(name.replace(/\.weight$/, '')) : undefined;
    return site && this.#tensors.has(siteTensor(site, 'A')) ? site : undefined;
  }

  /** Whether a tensor, by its Hugging Face name, is changed by the adapter. */
  changes(name: string): boolean {
    return this.#adapted.has(name);
  }

  /** The tensor in f32 and Hugging Face layout: W, or W + scale B A of an adapted linear (with DoRA its rows rescaled). */
  async read(name: string): Promise<Float32Array> {
    const values = await this.#file.readTensor(name);
    const site = this.#adapted.get(name);
    return site ? this.#merged(values, site) : values;
  }

  #merged(values: Float32Array, site: SiteId): Promise<Float32Array> {
    const [a, b, magnitude] = (['A', 'B', 'magnitude'] as const).map((part) =>
      this.#tensors.get(siteTensor(site, part)),
    );
    const pair = { a: a!.data, b: b!.data, rank: a!.shape[0]!, magnitude: magnitude?.data };
    return mergedWeight(values, { ...pair, scale: scaleOf(this.#plain.options) });
  }
}
