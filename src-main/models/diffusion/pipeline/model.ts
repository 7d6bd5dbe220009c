import type { Tensor2D } from '@tensorflow/tfjs-core';
import { CompiledForward, type Passable } from '../../compiled-forward.ts';
import type { BlockPlace } from '../../parameter-slots.ts';
import type { DiffusionSite, DiffusionSiteShape } from '../site.ts';
import type { WeightFormat } from '../../weight-format.ts';
import { Vae } from '../vae/vae.ts';
import type { DiffusionFile } from './file.ts';
import { diffusionSites, loadNetwork, textReader, type NoiseNetwork, type TextReader } from './network.ts';

/** What takes the noise out of a diffusion model's latents, and what reads its texts, frozen, on the engine in use. Its VAE is loaded when pictures are to be made or read. */
export class DiffusionModel implements Passable {
  private constructor(
    readonly file: DiffusionFile,
    readonly network: NoiseNetwork,
    readonly texts: TextReader,
  ) {}

  /**
   * @param format how the matrices of what can be adapted are held; f32 is the default
   * @throws UserError naming the tensor that is missing or of another shape
   */
  static async load(file: DiffusionFile, format?: WeightFormat): Promise<DiffusionModel> {
    const network = await loadNetwork(file, format);
    try {
      const texts = textReader(file, format);
      await texts.open();
      return new DiffusionModel(file, network, texts);
    } catch (error) {
      network.dispose();
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

  /** transformer blocks of its network */
  get blocks(): number {
    return this.network.blocks;
  }

  /** all it is frozen in */
  get weights(): object {
    return this.network.tensors;
  }

  /** its large matrices */
  get matrices(): { shape: number[] }[] {
    return [...this.network.tensors.values(), ...this.texts.matrices];
  }

  /** the blocks of its parts */
  get places(): BlockPlace[] {
    const all = this.sites().map(({ block, group }) => [`${block} ${group}`, { block, part: group }] as const);
    return [...new Map(all).values()];
  }

  /** Everything that can be adapted, block by block: its network, then the text encoders. */
  sites(): DiffusionSiteShape[] {
    return diffusionSites(this.file);
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight(site: Omit<DiffusionSite, 'group'> & { group: string }): Tensor2D {
    return this.texts.siteWeight(site) ?? this.network.siteWeight(site);
  }

  dispose(): void {
    CompiledForward.release(this.weights);
    this.network.dispose();
    this.texts.release();
  }
}
