import type { Tensor2D } from '@tensorflow/tfjs-core';
import { CompiledForward, type Passable } from '../../compiled-forward.ts';
import type { BlockPlace } from '../../parameter-slots.ts';
import type { DiffusionSite, DiffusionSiteShape } from '../site.ts';
import type { WeightFormat } from '../../weight-format.ts';
import { textSites } from '../text/weights.ts';
import { UNet, unetSites } from '../unet/unet.ts';
import { Vae } from '../vae/vae.ts';
import type { DiffusionFile } from './file.ts';
import { Texts } from './texts.ts';

/**
 * Everything of a model that can be adapted: its UNet, then its text encoders, but for the last layer of SDXL's first one, which is
 * never run. Nothing is loaded.
 */
export const diffusionSites = ({ kind, unet, texts }: Pick<DiffusionFile, 'kind' | 'unet' | 'texts'>) => [
  ...unetSites(unet),
  ...texts.flatMap(({ config, group }) =>
    textSites(config, group, config.layers - Number(kind === 'sdxl' && group === 'text')),
  ),
];

/** A diffusion model's UNet and text encoders, frozen, on the engine in use. Its VAE is loaded when pictures are to be made or read. */
export class DiffusionModel implements Passable {
  private constructor(
    readonly file: DiffusionFile,
    readonly unet: UNet,
    readonly texts: Texts,
  ) {}

  /**
   * @param format how the matrices of what can be adapted are held; f32 is the default
   * @throws UserError naming the tensor that is missing or of another shape
   */
  static async load(file: DiffusionFile, format?: WeightFormat): Promise<DiffusionModel> {
    const unet = await UNet.from(file.unet, await file.source('unet'), format);
    try {
      return new DiffusionModel(file, unet, await Texts.load(file, format));
    } catch (error) {
      unet.dispose();
      throw error;
    }
  }

  /** The model's autoencoder; the caller disposes it. @throws UserError */
  async vae(): Promise<Vae> {
    return Vae.from(this.file.vae, await this.file.source('vae'));
  }

  get architecture(): string {
    return this.file.kind;
  }

  /** transformer blocks of the UNet */
  get blocks(): number {
    return this.unet.layout.blocks;
  }

  /** all it is frozen in */
  get weights(): object {
    return this.unet.tensors;
  }

  /** its large matrices */
  get matrices(): { shape: number[] }[] {
    return [this.unet, ...this.texts.encoders].flatMap(({ tensors }) => [...tensors.values()]);
  }

  /** the blocks of its parts */
  get places(): BlockPlace[] {
    const all = this.sites().map(({ block, group }) => [`${block} ${group}`, { block, part: group }] as const);
    return [...new Map(all).values()];
  }

  /** Everything that can be adapted, block by block: the UNet, then the text encoders. */
  sites(): DiffusionSiteShape[] {
    return diffusionSites(this.file);
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight(site: Omit<DiffusionSite, 'group'> & { group: string }): Tensor2D {
    const encoder = this.texts.encoders.find(({ group }) => group === site.group);
    return (encoder ?? this.unet).siteWeight(site);
  }

  dispose(): void {
    CompiledForward.release(this.weights);
    this.unet.dispose();
    this.texts.dispose();
  }
}
