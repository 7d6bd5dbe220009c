import type { KernelBackend, Scalar, Tensor, Tensor1D, Tensor2D, Tensor4D, TensorInfo } from '@tensorflow/tfjs-core';

import type { Activation, AdamWOptions, AttentionOptions, FusedKernels, GroupNormOptions } from '../fused-kernels.ts';
import type { Attribute } from './addon.ts';
import { attribute } from './addon.ts';

/** tfjs-node's backend, as far as we use it. */
export interface NodeBackend extends KernelBackend {
  binding: unknown;
  executeSingleOutput(name: string, attributes: Attribute[], inputs: TensorInfo[]): Tensor;
  executeMultipleOutputs(name: string, attributes: Attribute[], inputs: TensorInfo[], outputs: number): Tensor[];
}

const { float, int } = attribute;

/** Shapes that TensorFlow cannot infer, for the recorder; null where it can. Not an attribute of the operation. */
export const shapes = (...list: (number[] | null)[]): Attribute => attribute.string('_shapes', JSON.stringify(list));

const ACTIVATIONS: Record<Activation, number> = { silu: 0, gelu_tanh: 1, gelu: 2, quick_gelu: 3 };

function attentionAttributes(options: AttentionOptions): Attribute[] {
  return [
    int('length', options.length),
    int('heads', options.heads),
    int('key_value_heads', options.keyValueHeads),
    int('window', options.window ?? 0),
    int('key_length', options.keyLength ?? 0),
    float('scale', options.scale),
  ];
}

const groupNormAttributes = ({ groups, silu, epsilon }: GroupNormOptions): Attribute[] => [
  int('groups', groups),
  int('silu', silu ? 1 : 0),
  float('epsilon', epsilon),
];

function groupNorms(backend: NodeBackend): Pick<FusedKernels, 'groupNorm' | 'groupNormGrad'> {
  const two = <T>(name: string, attributes: Attribute[], inputs: TensorInfo[]) =>
    backend.executeMultipleOutputs(name, attributes, inputs, 2) as T;
  return {
    groupNorm: (x, shift, weight, bias, options) =>
      two<[Tensor4D, Tensor]>(
        'StudioGroupNorm',
        [...groupNormAttributes(options), shapes(null, [x.shape[0], 2, options.groups])],
        [x, shift, weight, bias],
      ),
    groupNormGrad: (dy, saved, options) =>
      two<[Tensor4D, Tensor2D]>(
        'StudioGroupNormGrad',
        [...groupNormAttributes(options), shapes(null, [dy.shape[0], dy.shape[3]])],
        [dy, ...saved],
      ),
  };
}

/** Our addon's operations (addon/operations.cc) as the engine's fused kernels; they run eagerly and inside compiled steps. */
export function tensorflowKernels(backend: NodeBackend): Omit<FusedKernels, 'packed'> {
  const one = (name: string, attributes: Attribute[], inputs: TensorInfo[]) =>
    backend.executeSingleOutput(name, attributes, inputs) as Tensor2D;
  const many = <T>(name: string, attributes: Attribute[], inputs: TensorInfo[], count: number) =>
    backend.executeMultipleOutputs(name, attributes, inputs, count) as T;
  return {
    rmsNorm: (x, weight, epsilon) => one('StudioRmsNorm', [float('epsilon', epsilon)], [x, weight]),
    rmsNormGrad: (dy, x, weight, epsilon) => one('StudioRmsNormGrad', [float('epsilon', epsilon)], [dy, x, weight]),
    layerNorm: (x, weight, bias, epsilon) => one('StudioLayerNorm', [float('epsilon', epsilon)], [x, weight, bias]),
    layerNormGrad: (dy, x, weight, epsilon) => one('StudioLayerNormGrad', [float('epsilon', epsilon)], [dy, x, weight]),
    ...groupNorms(backend),
    rotary: (x, cos, sin, heads, sign) =>
      one('StudioRotary', [int('heads', heads), float('sign', sign)], [x, cos, sin]),
    gated: (gate, up, activation) => one('StudioGated', [int('activation', ACTIVATIONS[activation])], [gate, up]),
    gatedGrad: (dy, gate, up, activation) =>
      many<[Tensor2D, Tensor2D]>('StudioGatedGrad', [int('activation', ACTIVATIONS[activation])], [dy, gate, up], 2),
    activated: (x, activation) => one('StudioActivation', [int('activation', ACTIVATIONS[activation])], [x]),
    activatedGrad: (dy, x, activation) =>
      one('StudioActivationGrad', [int('activation', ACTIVATIONS[activation])], [dy, x]),
    attention: (q, k, v, segments, options) =>
      many<[Tensor2D, Tensor2D]>(
        'StudioAttention',
        [...attentionAttributes(options), shapes(null, [q.shape[0], options.heads])],
        [q, k, v, segments],
        2,
      ),
    attentionGrad: (saved, dOut, options) =>
      many<[Tensor2D, Tensor2D, Tensor2D]>('StudioAttentionGrad', attentionAttributes(options), [...saved, dOut], 3),
    loss: (x, weight, transposed, labels) =>
      many<[Scalar, Tensor2D]>(
        'StudioLoss',
        [int('transposed', transposed ? 1 : 0), int('split', 1), shapes([], null)],
        [x, weight, labels],
        2,
      ),
    productAdd: (y, a, b, scale) => one('StudioProductAdd', [float('scale', scale)], [y, a, b]),
    mixture: (mixed, rank, heads) =>
      many<[Tensor2D, Tensor2D]>(
        'StudioMixture',
        [int('rank', rank), int('heads', heads), shapes([mixed.shape[0], rank * heads], [mixed.shape[0], heads])],
        [mixed],
        2,
      ),
    mixtureGrad: (dOut, mixed, weights, rank, heads) =>
      one('StudioMixtureGrad', [int('rank', rank), int('heads', heads)], [dOut, mixed, weights]),
    blockProduct: (a, b, active) =>
      one('StudioBlockProduct', [int('blocks', active.size), shapes([a.shape[1], b.shape[1]])], [a, b, active]),
    squares: (g, rows) => backend.executeSingleOutput('StudioSquares', [shapes([])], [g, rows]) as Scalar,
    sensitivity: (p, g, blocks) =>
      backend.executeSingleOutput('StudioSensitivity', [int('blocks', blocks), shapes([blocks])], [p, g]) as Tensor1D,
    adamw: (state, g, rows, norm, options: AdamWOptions) =>
      many<[Tensor, Tensor, Tensor]>(
        'StudioAdamW',
        [
          float('beta1', options.beta1),
          float('beta2', options.beta2),
          float('epsilon', options.epsilon),
          float('clip', options.clipNorm),
        ],
        [...state, g, rows, norm],
        3,
      ),
  };
}
