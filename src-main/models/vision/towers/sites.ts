import type { EncoderConfig, QwenConfig, VisionConfig } from './config.ts';

/** The parts of what a model sees with: A is shared inside one, never across. */
export const TOWER = 'tower';
export const CONNECTOR = 'connector';
export type SeeingPart = typeof TOWER | typeof CONNECTOR;

/** Which linear of a tower or connector it is, as adapters name it. */
export interface SeeingSite {
  group: SeeingPart;
  block: number;
  /** `tower.q_proj`, `connector.linear_1` */
  site: string;
}

/** A tensor that can be trained whole. */
export interface SeeingTensor {
  name: string;
  /** as it is held, which is as transformers would make a linear or a norm of it */
  shape: number[];
  group: SeeingPart;
}

type Linear = [name: string, outFeatures: number, inFeatures: number];

/** The site of a linear by its name of the one form that towers have here; undefined for one that is not adapted. */
export function seeingSite(name: string): SeeingSite | undefined {
  const merger = /^tower\.merger\.mlp\.(\d)$/.exec(name)?.[1];
  if (merger) return { group: CONNECTOR, block: 0, site: `${CONNECTOR}.mlp_${merger}` };
  const [, block, site] = /^tower\.(?:encoder\.layers|blocks)\.(\d+)\..*\.(\w+)$/.exec(name) ?? [];
  if (site) return { group: TOWER, block: Number(block), site: `${TOWER}.${site}` };
  const inside = /^connector\.(?:.*\.)?(\w+)$/.exec(name)?.[1];
  return inside ? { group: CONNECTOR, block: 0, site: `${CONNECTOR}.${inside}` } : undefined;
}

/** Every linear of tower and connector that can be adapted, by its name, with its site. */
export const seeingLinears = (config: VisionConfig): { name: string; site: SeeingSite }[] =>
  linearsOf(config).map(([name]) => ({ name, site: seeingSite(name)! }));

const linearsOf = (config: VisionConfig): Linear[] => [...towerLinears(config.tower), ...connectorLinears(config)];

/** The sites of tower and connector, in the order of the forward pass. */
export function seeingSites(config: VisionConfig) {
  return linearsOf(config).map(([name, outFeatures, inFeatures]) => ({
    ...seeingSite(name)!,
    ...{ path: modulePath(name, config), inFeatures, outFeatures },
    kind: 'linear' as const,
    reads: 'self' as const,
  }));
}

function towerLinears(tower: VisionConfig['tower']): Linear[] {
  const { hiddenSize: hidden, intermediateSize: inner, layers } = tower;
  const inLayer: Linear[] =
    tower.kind === 'qwen2.5'
      ? [
          ['attn.qkv', 3 * hidden, hidden],
          ['attn.proj', hidden, hidden],
          ['mlp.gate_proj', inner, hidden],
          ['mlp.up_proj', inner, hidden],
          ['mlp.down_proj', hidden, inner],
        ]
      : [
          ...['q', 'k', 'v', 'out'].map((part): Linear => [`self_attn.${part}_proj`, hidden, hidden]),
          ['mlp.fc1', inner, hidden],
          ['mlp.fc2', hidden, inner],
        ];
  const stack = tower.kind === 'qwen2.5' ? 'tower.blocks' : 'tower.encoder.layers';
  return Array.from({ length: layers }, (_, i) =>
    inLayer.map(([name, ...widths]): Linear => [`${stack}.${i}.${name}`, ...widths]),
  ).flat();
}

function connectorLinears({ tower, connector }: VisionConfig): Linear[] {
  const { outSize } = connector;
  switch (connector.kind) {
    case 'shuffle':
      return [['connector.modality_projection.proj', outSize, tower.hiddenSize * connector.scale ** 2]];
    case 'mlp':
      return [
        ['connector.linear_1', outSize, tower.hiddenSize],
        ['connector.linear_2', outSize, outSize],
      ];
    case 'merge': {
      const merged = tower.hiddenSize * (tower as QwenConfig).merge ** 2;
      return [
        ['tower.merger.mlp.0', merged, merged],
        ['tower.merger.mlp.2', outSize, merged],
      ];
    }
    case 'pool':
      // A bare product, which no module does.
      return [];
  }
}

/** Every tensor of the connector. */
export function connectorTensors(config: VisionConfig): SeeingTensor[] {
  const { tower, connector } = config;
  const biased = connector.kind === 'merge' || (connector.kind === 'mlp' && connector.bias);
  const linears = connectorLinears(config).flatMap(([name, out, inside]): [string, number[]][] => [
    [`${name}.weight`, [out, inside]],
    ...(biased ? [[`${name}.bias`, [out]] as [string, number[]]] : []),
  ]);
  const { hiddenSize } = tower;
  const others: [string, number[]][] =
    connector.kind === 'pool'
      ? [
          ['connector.mm_soft_emb_norm.weight', [hiddenSize]],
          ['connector.mm_input_projection_weight', [connector.outSize, hiddenSize]],
        ]
      : connector.kind === 'merge'
        ? [['tower.merger.ln_q.weight', [hiddenSize]]]
        : [];
  return [...others, ...linears].map(([name, shape]) => ({ name, shape, group: CONNECTOR }));
}

/** A module's or tensor's name, of the one form, as transformers 5 has it in the whole model. */
export function modulePath(name: string, { connector: { kind } }: Pick<VisionConfig, 'connector'>): string {
  const tower = { shuffle: 'vision_model', mlp: 'vision_tower', pool: 'vision_tower', merge: 'visual' }[kind];
  const connector = kind === 'shuffle' ? 'connector' : 'multi_modal_projector';
  return name.replace(/^tower\./, `model.${tower}.`).replace(/^connector\./, `model.${connector}.`);
}

/** Every tensor that an adapter can change, by name, and its shape as files have it. */
export function changeableTensors(config: VisionConfig): { name: string; shape: number[] }[] {
  const weights = linearsOf(config).map(([name, ...shape]) => ({ name: `${name}.weight`, shape: shape as number[] }));
  const connector = connectorTensors(config).map(({ name, shape }) => ({
    name,
    shape: name === 'connector.mm_input_projection_weight' ? shape.toReversed() : shape,
  }));
  return [...new Map([...weights, ...connector].map((tensor) => [tensor.name, tensor])).values()];
}

/** A connector's tensor as files have it, of the numbers as they are held: Gemma's product the other way round, its norm less 1. */
export function inFileForm({ name, shape }: Pick<SeeingTensor, 'name' | 'shape'>, values: Float32Array) {
  if (name === 'connector.mm_soft_emb_norm.weight') return { shape, data: values.map((value) => value - 1) };
  if (name !== 'connector.mm_input_projection_weight') return { shape, data: values };
  const [rows, columns] = shape as [number, number];
  const data = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[j * rows + i] = values[i * columns + j]!;
  return { shape: [columns, rows], data };
}

/** How many rows of a picture of so many patches an encoder's linears see. */
export const encoderRows = ({ kind, imageSize, patchSize }: EncoderConfig): number =>
  Math.floor(imageSize / patchSize) ** 2 + Number(kind === 'clip');
