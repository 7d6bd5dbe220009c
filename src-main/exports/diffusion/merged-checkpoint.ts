import type { PartName, UNetFile } from '../../models/diffusion/pipeline/file.ts';
import type { DiffusionSource } from '../../models/diffusion/source.ts';
import { ZERO_TERMINAL_MARK, V_MARK } from '../../models/diffusion/single/open.ts';
import { isOpenClip, partInFile } from '../../models/diffusion/single/parts.ts';
import { FileReader } from '../../models/file-reader.ts';
import { joined } from '../../models/floats.ts';
import { DTYPE_BYTES, type Dtype } from '../../models/safetensors.ts';
import { writeSafetensors, type TensorToWrite } from '../../models/safetensors-write.ts';
import { bytesOf, changesOf, countTensors, rewrite, sizeOf, withPair } from './merged-tensors.ts';
import { modelspecOf } from './modelspec.ts';
import type { LoraPair } from './pairs.ts';

type OnTensor = (done: number, total: number) => void;

/** Moving averages of a training: another state of the network, which no adapter is for. */
const AVERAGES = /^model_ema\./;

/**
 * Writes a checkpoint as the one that the base model is, with the pairs worked in: names, order and number types stay.
 * @returns what the user should know, a sentence each
 * @throws UserError where a weight can't be merged into
 */
export async function rewriteCheckpoint(
  to: string,
  base: UNetFile,
  pairs: LoraPair[],
  onTensor: OnTensor,
): Promise<string[]> {
  const changes = [];
  for (const part of ['unet', ...base.texts.map(({ group }) => group)] as const)
    for (const own of (await changesOf(base, part, pairs)).values()) changes.push(...own);
  const total = await countTensors([base.path]);
  let [done, averages] = [0, 0];
  const leaves = (name: string) => {
    const isLeft = AVERAGES.test(name);
    averages += Number(isLeft);
    return isLeft;
  };
  await rewrite(base.path, to, changes, { leaves, onTensor: () => onTensor(++done, total - averages) });
  return averages === 0 ? [] : [`The base model's moving averages (${averages} tensors, model_ema.…) are left out: they would be the model as it was.`]; // prettier-ignore
}

/** A tensor of a checkpoint: of q, k and v in one matrix from three tensors, else from one. */
interface Gathered {
  name: string;
  shape: number[];
  from: Origin[];
}

interface Origin {
  part: PartName;
  name: string;
  turned?: boolean;
}

/**
 * Writes a checkpoint in one file of a diffusers folder, under the names that Stable Diffusion's makers gave, in the folder's number types.
 * Whether such a file can say all of the model is asked before (`refuseUntold`).
 */
export async function writeCheckpoint(
  to: string,
  base: UNetFile,
  pairs: LoraPair[],
  title: string,
  onTensor: OnTensor,
): Promise<void> {
  const sources = new Map<PartName, DiffusionSource>();
  const readers = new Map<string, FileReader>();
  const byWeight = new Map(pairs.map((pair) => [`${pair.place.group} ${pair.place.path}.weight`, pair]));
  const pairOf = ({ part, name }: Origin) => byWeight.get(`${part} ${name}`);
  try {
    for (const part of partsOf(base)) {
      const source = await base.source(part);
      sources.set(part, source);
      for (const file of source.files) if (!readers.has(file)) readers.set(file, await FileReader.open(file));
    }
    const values = async (origin: Origin) => {
      const { read, shape } = sources.get(origin.part)!.find(origin.name)!;
      const pair = pairOf(origin);
      const own = pair ? await withPair(await read(), pair) : await read();
      return origin.turned ? transposed(own, shape[1]!) : own;
    };
    /** Most of a model is changed by no adapter, and goes along as it lies. */
    const unchanged = (origin: Origin, others: number) => {
      const { place, shape } = sources.get(origin.part)!.find(origin.name)!;
      if (others > 0 || origin.turned || pairOf(origin) || !place) return undefined;
      return readers.get(place.path)!.read(place.offset, sizeOf(shape) * DTYPE_BYTES[place.type.toUpperCase() as Dtype]); // prettier-ignore
    };
    const types = new Map([...sources].flatMap(([part, { infos }]) => infos.map(({ name, type }) => [`${part} ${name}`, type.toUpperCase() as Dtype]))); // prettier-ignore
    const tensors = gathered(base).map(({ name, shape, from }): TensorToWrite => {
      const dtype = types.get(`${from[0]!.part} ${from[0]!.name}`)!;
      const bytes = async () => {
        const same = await unchanged(from[0]!, from.length - 1);
        if (same) return same;
        const all: Float32Array[] = [];
        for (const one of from) all.push(await values(one));
        return bytesOf(joined(all), dtype, name);
      };
      return { name, shape, dtype, bytes };
    });
    const written = [...tensors, ...marksOf(base)];
    await writeSafetensors(to, written, metadataOf(base, title), (done) => onTensor(done, written.length));
  } finally {
    for (const opened of [...sources.values(), ...readers.values()]) await opened.close();
  }
}

/** What a checkpoint of that folder holds, without its values. */
export const checkpointShapes = (base: UNetFile) => gathered(base).map(({ name, shape }) => ({ name, shape }));

const partsOf = ({ texts }: UNetFile): PartName[] => ['unet', 'vae', ...texts.map(({ group }) => group)];

function gathered(base: UNetFile): Gathered[] {
  const all = new Map<string, Gathered>();
  for (const part of partsOf(base)) {
    const { prefix, placeOf } = partInFile(part, base);
    for (const { name, shape } of base.tensors[part]!) {
      const { name: inside, third, turned } = placeOf(name);
      const own = all.get(prefix + inside) ?? {
        name: prefix + inside,
        shape: shapeInFile(part, inside, shape, turned),
        from: [],
      };
      if (third === undefined) own.from.push({ part, name, turned });
      else {
        own.from[third] = { part, name };
        own.shape = [3 * shape[0]!, ...shape.slice(1)];
      }
      all.set(own.name, own);
    }
  }
  return [...all.values(), ...lastLayer(base, [...all.values()])];
}

/** An autoencoder's attention is made of convolutions there. */
function shapeInFile(part: PartName, name: string, shape: number[], turned = false): number[] {
  if (turned) return shape.toReversed();
  return part === 'vae' && /\.attn_1\.(q|k|v|proj_out)\.weight$/.test(name) ? [...shape.slice(0, 2), 1, 1] : shape;
}

/** Stable Diffusion 2 never runs its text encoder's last layer, and folders leave it out: programs that ask for it get the one before. */
function lastLayer(base: UNetFile, all: Gathered[]): Gathered[] {
  const text = base.texts[0]!;
  if (base.kind !== 'sd' || !isOpenClip(base.kind, text)) return [];
  const layer = (i: number) => `.resblocks.${i}.`;
  const { layers } = text.config;
  return all
    .filter(({ name }) => name.includes(layer(layers - 1)))
    .map(({ name, ...rest }) => ({ ...rest, name: name.replace(layer(layers - 1), layer(layers)) }));
}

/** What names and shapes don't say of a network. */
function marksOf({ noise, kind, texts }: UNetFile): TensorToWrite[] {
  const mark = (name: string): TensorToWrite => ({
    ...{ name, dtype: 'F32', shape: [1] },
    bytes: () => Promise.resolve(new Uint8Array(Float32Array.of(1).buffer)),
  });
  const isPlain = noise.prediction === 'epsilon' || isOpenClip(kind, texts[0]!);
  return [
    ...(isPlain ? [] : [mark(V_MARK)]),
    ...(noise.kind === 'variance' && noise.zeroTerminal ? [mark(ZERO_TERMINAL_MARK)] : []),
  ];
}

function metadataOf(base: UNetFile, title: string): Record<string, string> {
  const { architecture, metadata } = modelspecOf(base);
  const own = { 'modelspec.sai_model_spec': '1.0.0', 'modelspec.architecture': architecture, 'modelspec.title': title };
  return { format: 'pt', ...own, ...metadata };
}

/** [rows, columns] -> [columns, rows] */
function transposed(values: Float32Array, columns: number): Float32Array {
  const rows = values.length / columns;
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}
