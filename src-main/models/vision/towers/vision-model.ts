import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { frozenTransposed, packedKernels } from '../../../engine/frozen.ts';
import { PackedMatrix, type FrozenMatrix } from '../../../engine/packed.ts';
import { UserError } from '../../../engine/types.ts';
import type { Feeds } from '../../feeds.ts';
import { readJsonFile } from '../../json-file.ts';
import { openMmproj } from '../mmproj/header.ts';
import { isMmproj } from './source.ts';
import { featuresOf, visionConfig, type VisionConfig } from './config.ts';
import { connect, loadConnector } from './connector.ts';
import { encode, loadEncoder } from './encoder.ts';
import { disposeTensors, withVisionLoader, type SeeingTensors, type VisionLoader } from './loader.ts';
import { encodeQwen, loadQwen, qwenFeeds } from './qwen.ts';
import type { SeeingPass } from './parts.ts';
import { encoderRows, seeingSite, type SeeingPart } from './sites.ts';
import { windowLayout, windowsOf, type PatchGrid } from './windows.ts';

/** A tower with its connector, in two halves: what is laid on the host, and what the engine computes. */
interface Seeing {
  /**
   * What some pictures feed. Equal sizes of pictures give feeds of equal shapes.
   * @param patches as `patchRows` gives them, of all pictures: [patches, 3 * frames * patch * patch]
   * @param grids of each picture, or tile of one
   * @throws UserError for a picture of a size that the tower doesn't take
   */
  feeds(patches: Float32Array, grids: PatchGrid[]): Feeds;
  /**
   * The language model's embeddings of these pictures, [image tokens, outSize], picture after picture; differentiable with respect
   * to the weights.
   * @param inputs the feeds as tensors
   */
  features(inputs: Record<string, Tensor>, grids: PatchGrid[], pass?: SeeingPass): Tensor2D;
  /** of every row that the tower's linears see: 1, or 0 where there is no patch */
  rows(grids: PatchGrid[]): Uint8Array;
}

const MOST_CONFIG_BYTES = 16 << 20;

/** What a model sees with: a tower and its connector, on the engine in use. */
export class VisionModel {
  private constructor(
    readonly config: VisionConfig,
    /** its weights, by names that begin with `tower.` or `connector.` whatever form the file has */
    readonly tensors: SeeingTensors,
    /** that they were read from */
    readonly files: string[],
    private readonly seeing: Seeing,
  ) {}

  /** Reads it from a Hugging Face folder, or from an mmproj file. @throws UserError naming file and field, or the tensor */
  static async load(place: string): Promise<VisionModel> {
    const config = await configAt(place);
    const read = (loader: VisionLoader) => loadSeeing(config, loader);
    const { loaded, tensors, files } = await withVisionLoader(place, config.tower.layers, read);
    return new VisionModel(config, tensors, files, loaded);
  }

  /** How many image tokens these pictures, or tiles of some, become. */
  tokens(grids: PatchGrid[]): number {
    return grids.reduce((sum, grid) => sum + featuresOf(grid, this.config), 0);
  }

  feeds(patches: Float32Array, grids: PatchGrid[]): Feeds {
    return this.seeing.feeds(patches, grids);
  }

  features(inputs: Record<string, Tensor>, grids: PatchGrid[], pass?: SeeingPass): Tensor2D {
    return this.seeing.features(inputs, grids, pass);
  }

  /** The rows that the linears of each part see of these pictures: 1, or 0 where there is no patch. */
  rows(grids: PatchGrid[]): Record<SeeingPart, Uint8Array> {
    return { tower: this.seeing.rows(grids), connector: new Uint8Array(this.tokens(grids)).fill(1) };
  }

  /** The frozen weight of a site, [in, out]; the caller disposes it. */
  siteWeight({ group, block, site }: { group: string; block: number; site: string }): Tensor2D {
    const isIt = (name: string) => {
      const found = seeingSite(name.replace(/\.weight$/, ''));
      return name.endsWith('.weight') && found?.group === group && found.block === block && found.site === site;
    };
    const [, weight] = [...this.tensors].find(([name]) => isIt(name))!;
    return frozenTransposed(weight as FrozenMatrix);
  }

  /** One of its tensors as it is frozen; the caller disposes it. */
  wholeTensor(name: string): Tensor {
    const tensor = this.tensors.get(name)!;
    return tensor instanceof PackedMatrix ? packedKernels()!.unpack(tensor) : tf.clone(tensor);
  }

  dispose(): void {
    disposeTensors(this.tensors);
  }
}

async function configAt(place: string): Promise<VisionConfig> {
  if (isMmproj(place)) {
    const { opened, config } = await openMmproj(place);
    await opened.close();
    return config;
  }
  const file = path.join(place, 'config.json');
  return visionConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file);
}

async function loadSeeing({ tower, connector }: VisionConfig, loader: VisionLoader): Promise<Seeing> {
  const width = 3 * tower.patchSize ** 2;
  if (tower.kind === 'qwen2.5') {
    const weights = await loadQwen(tower, connector.outSize, loader);
    return {
      feeds: (patches, grids) => {
        checkGrids(grids, ({ rows, columns }) => rows % tower.merge === 0 && columns % tower.merge === 0);
        return qwenFeeds(patches, windowLayout(grids, tower), width * tower.frames);
      },
      features: (inputs, grids, pass) => encodeQwen(inputs, windowsOf(grids, tower), tower, weights, pass),
      rows: (grids) => Uint8Array.from(windowLayout(grids, tower).patches, (patch) => Number(patch >= 0)),
    };
  }
  if (connector.kind === 'merge') throw new Error('a merger belongs to its own tower');
  const weights = await loadEncoder(tower, loader);
  const joint = await loadConnector(connector, tower, loader);
  const side = Math.floor(tower.imageSize / tower.patchSize);
  return {
    feeds: (patches, grids) => {
      checkGrids(grids, ({ rows, columns }) => rows === side && columns === side);
      return { patches: { values: patches, shape: [grids.length * side ** 2, width] } };
    },
    features: ({ patches }, _, pass) =>
      tf.tidy(() => connect(encode(patches as Tensor2D, tower, weights, pass), connector, tower, joint, pass)),
    rows: (grids) => new Uint8Array(grids.length * encoderRows(tower)).fill(1),
  };
}

function checkGrids(grids: PatchGrid[], fits: (grid: PatchGrid) => boolean): void {
  const other = grids.find((grid) => !fits(grid));
  if (other)
    throw new UserError(
      `A picture was prepared as ${other.columns} x ${other.rows} patches, which the model's tower doesn't take; do its config.json and its preprocessor_config.json belong together?`,
    );
}
