import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import { readJsonFile } from '../../json-file.ts';
import { visionConfig, type VisionConfig } from './config.ts';
import { connect, loadConnector } from './connector.ts';
import { encode, loadEncoder } from './encoder.ts';
import { withVisionLoader, type VisionLoader } from './loader.ts';
import { encodeQwen, loadQwen } from './qwen.ts';
import { windowLayout, type PatchGrid } from './windows.ts';

/** From patches to the language model's embeddings, see `VisionModel.features`. */
type Features = (patches: Float32Array, grids: PatchGrid[]) => Tensor2D;

const MOST_CONFIG_BYTES = 16 << 20;

/** What a model sees with: a tower and its connector, on the engine in use. */
export class VisionModel {
  private constructor(
    readonly config: VisionConfig,
    /** its weights, by names that begin with `tower.` or `connector.` whatever form the file has */
    readonly tensors: Map<string, Tensor>,
    /**
     * The language model's embeddings of some pictures, [image tokens, outSize], picture after picture; differentiable with respect
     * to the weights.
     * @param patches as `patchRows` gives them, of all pictures: [patches, 3 * frames * patch * patch]
     * @param grids of each picture, or tile of one
     * @throws UserError for a picture of a size that the tower doesn't take
     */
    readonly features: Features,
  ) {}

  /** Reads it from a Hugging Face folder. @throws UserError naming file and field, or the tensor */
  static async load(folder: string): Promise<VisionModel> {
    const file = path.join(folder, 'config.json');
    const config = visionConfig(await readJsonFile(file, MOST_CONFIG_BYTES), file);
    const read = (loader: VisionLoader) => loadFeatures(config, loader);
    const { loaded, tensors } = await withVisionLoader(folder, config.tower.layers, read);
    return new VisionModel(config, tensors, loaded);
  }

  dispose(): void {
    tf.dispose([...this.tensors.values()]);
  }
}

async function loadFeatures({ tower, connector }: VisionConfig, loader: VisionLoader): Promise<Features> {
  if (tower.kind === 'qwen2.5') {
    const weights = await loadQwen(tower, connector.outSize, loader);
    return (patches, grids) => {
      checkGrids(grids, ({ rows, columns }) => rows % tower.merge === 0 && columns % tower.merge === 0);
      return encodeQwen(patches, windowLayout(grids, tower), tower, weights);
    };
  }
  if (connector.kind === 'merge') throw new Error('a merger belongs to its own tower');
  const weights = await loadEncoder(tower, loader);
  const joint = await loadConnector(connector, tower, loader);
  const side = Math.floor(tower.imageSize / tower.patchSize);
  return (patches, grids) => {
    checkGrids(grids, ({ rows, columns }) => rows === side && columns === side);
    return tf.tidy(() => {
      const input = tf.tensor2d(patches, [grids.length * side ** 2, 3 * tower.patchSize ** 2]);
      return connect(encode(input, tower, weights), connector, tower, joint);
    });
  };
}

function checkGrids(grids: PatchGrid[], fits: (grid: PatchGrid) => boolean): void {
  const other = grids.find((grid) => !fits(grid));
  if (other)
    throw new UserError(
      `A picture was prepared as ${other.columns} x ${other.rows} patches, which the model's tower doesn't take; do its config.json and its preprocessor_config.json belong together?`,
    );
}
