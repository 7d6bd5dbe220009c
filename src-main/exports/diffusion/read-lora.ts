import { UserError } from '../../engine/types.ts';
import { FileReader } from '../../models/file-reader.ts';
import { readFloats, readSafetensorsHeader, type SafetensorsEntry } from '../../models/safetensors.ts';
import { headerScales, type HeaderScales } from './header-scales.ts';
import { Keys, type Role } from './keys.ts';
import { shapesOf, type LoraPair } from './pairs.ts';
import type { LoraPlace, LoraPlaces } from './places.ts';

/** A LoRA of a diffusion model, read from another program's file. */
export interface ReadLora {
  pairs: LoraPair[];
  /** as the file says it, for people; undefined: it doesn't */
  name?: string;
  /** what the user should know, a sentence each */
  notes: string[];
}

interface Module {
  place: LoraPlace;
  name: string;
  parts: Partial<Record<Role, SafetensorsEntry>>;
}

/** The ranks that adapter.json can say. */
const MOST_RANK = 8192;

/**
 * Reads a LoRA as diffusers, PEFT, kohya's scripts and what goes by them write it.
 * @throws UserError naming the file and the tensor that can't be held; nothing is left out in silence
 */
export async function readDiffusionLora(file: string, places: LoraPlaces): Promise<ReadLora> {
  if (/\.(bin|pt|ckpt)$/i.test(file))
    throw new UserError(`${file} is a pickle, which can run programs as it is read and is not opened; save it as safetensors where you trust it`); // prettier-ignore
  const reader = await FileReader.open(file);
  try {
    const { tensors, metadata } = await readSafetensorsHeader(reader);
    const notes: string[] = [];
    const modules = modulesOf([...tensors.values()], places, file, notes);
    const scales = headerScales(metadata, modules, file);
    const pairs: LoraPair[] = [];
    for (const module of modules) pairs.push(await readPair(reader, module, scales));
    const bare = modules.filter(({ place, parts }) => !parts.alpha && !scales.has(place)).length;
    if (bare > 0) notes.push(`The file says no alpha for ${bare === pairs.length ? 'its' : `${bare} of its`} linears: it is taken for the rank, a scale of 1, as other programs do.`); // prettier-ignore
    checkDora(pairs, file);
    return { pairs, name: metadata.ss_output_name, notes };
  } finally {
    await reader.close();
  }
}

/** The file's tensors by the linears they belong to, in the model's order. */
function modulesOf(entries: SafetensorsEntry[], places: LoraPlaces, file: string, notes: string[]): Module[] {
  const keys = new Keys(places);
  const modules = new Map<LoraPlace, Module>();
  let idle = 0;
  for (const entry of entries) {
    const key = keys.find(entry.name);
    if (key === 'idle') idle++;
    else if (typeof key === 'string') throw new UserError(`${file} ${key}`);
    else {
      const module = modules.get(key.place) ?? { place: key.place, name: key.module, parts: {} };
      modules.set(key.place, module);
      if (module.parts[key.role] || module.name !== key.module)
        throw new UserError(`${file} holds two LoRAs of one linear, "${module.name}" and "${entry.name}"; save one of them alone`); // prettier-ignore
      module.parts[key.role] = entry;
    }
  }
  if (modules.size === 0) throw new UserError(`${file} adapts no linear of this model`);
  if (idle > 0) notes.push(`${idle} tensors of a text encoder's last layer are left out: this model never runs it.`);
  return places.adapted.flatMap((place) => modules.get(place) ?? []);
}

async function readPair(reader: FileReader, module: Module, scales: HeaderScales): Promise<LoraPair> {
  const { place, name, parts } = module;
  const { A, B, alpha } = parts;
  if (!A || !B) throw new UserError(`${reader.path} lacks ${A ? 'the second matrix' : 'the first matrix'} of ${name}: it is not whole`); // prettier-ignore
  const rank = A.shape[0] ?? 0;
  const wanted = shapesOf({ place, rank });
  checkShape(A, wanted.a, reader.path);
  checkShape(B, wanted.b, reader.path);
  if (!(rank > 0 && rank <= MOST_RANK)) throw new UserError(`${reader.path}: ${A.name} has a rank of ${rank}; 1 to ${MOST_RANK} are read`); // prettier-ignore
  const told = scales.get(place);
  if (told && told.rank !== rank) throw new UserError(`${reader.path}: ${A.name} has the rank ${rank}, and the file's header gives it ${told.rank}`); // prettier-ignore
  const [a, b] = [await finite(reader, A), await finite(reader, B)];
  const magnitude = await readMagnitude(reader, module);
  if (told?.dora && !magnitude) throw new UserError(`${reader.path} lacks the DoRA magnitude of ${name}, which its header promises: it is not whole`); // prettier-ignore
  return { place, rank, alpha: alpha ? await readAlpha(reader, alpha) : (told?.alpha ?? rank), a, b, magnitude };
}

/** Linears may be written as convolutions of 1 x 1, and the other way round. */
function checkShape({ name, shape }: SafetensorsEntry, wanted: number[], file: string): void {
  const spread = (of: number[]) => (of.length === 2 ? [...of, 1, 1] : of).join();
  if (spread(shape) === spread(wanted)) return;
  const said = `${file}: ${name} is [${shape.join(', ')}]`;
  throw new UserError(`${said} where the model needs [${wanted.join(', ')}]; was it made for another model?`);
}

async function readMagnitude(reader: FileReader, { place, parts }: Module): Promise<Float32Array | undefined> {
  const entry = parts.magnitude ?? parts.scale;
  if (!entry) return undefined;
  const out = place.outFeatures;
  const said = `${reader.path}: ${entry.name} is [${entry.shape.join(', ')}]`;
  // LyCORIS may measure what comes from each input instead: [1, in].
  if (parts.scale && entry.shape[0] !== out) throw new UserError(`${said}; a DoRA over inputs instead of outputs is not read`); // prettier-ignore
  if (entry.shape.filter((size) => size !== 1).reduce((product, size) => product * size, 1) !== out)
    throw new UserError(`${said} where ${out} numbers are needed`);
  return finite(reader, entry);
}

/** diffusers' own conversion writes alphas as whole numbers. */
async function readAlpha(reader: FileReader, entry: SafetensorsEntry): Promise<number> {
  const bad = () => new UserError(`${reader.path}: ${entry.name} is no single number`);
  if (entry.shape.some((size) => size !== 1)) throw bad();
  if (entry.dtype !== 'I64' && entry.dtype !== 'I32') return (await finite(reader, entry))[0] ?? NaN;
  const bytes = await reader.read(entry.offset, entry.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return entry.dtype === 'I64' ? Number(view.getBigInt64(0, true)) : view.getInt32(0, true);
}

async function finite(reader: FileReader, entry: SafetensorsEntry): Promise<Float32Array> {
  const values = await readFloats(reader, entry);
  if (!values.every(Number.isFinite)) throw new UserError(`${reader.path}: ${entry.name} holds values that are no numbers`); // prettier-ignore
  return values;
}

function checkDora(pairs: LoraPair[], file: string): void {
  const bare = pairs.find(({ magnitude }) => !magnitude);
  if (bare && pairs.some(({ magnitude }) => magnitude))
    throw new UserError(`${file} has a DoRA magnitude at some linears and none for ${bare.place.diffusers}`);
}
