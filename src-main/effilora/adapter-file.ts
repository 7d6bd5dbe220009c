import { UserError } from '../engine/types.ts';
import { Adapter } from './adapter.ts';
import type { AdapterDescription } from './adapter-schema.ts';
import { adapterTensors, adaptedSites, blocksOf, headNames, headsPerSite } from './methods/structure.ts';
import type { TensorSpec } from './methods/tensors.ts';
import { headName, readHeadName, readSiteTensor, type SiteId } from './names.ts';
import type { Reducer } from './reducer.ts';
import type { AdapterOptions, HeadName, NamedTensor, SiteShape, WholeTensor } from './types.ts';

/** A tensor as a file's header gives it. */
export type TensorShape = Pick<NamedTensor, 'name' | 'shape'>;

/** `heads` of adapter.json. */
export function describeHeads(
  reducer: Reducer,
  dropped: ReadonlySet<HeadName> = new Set(),
): AdapterDescription['heads'] {
  return Object.fromEntries(
    reducer.heads.map((name, head) => [
      name,
      { importance: reducer.importance[head]!, frozenSince: reducer.frozenSince(head), dropped: dropped.has(name) },
    ]),
  );
}

/**
 * Checks a file's tensors against a model before their data is read.
 *
 * A B whose dropped heads are left out has [N - dropped, out, r].
 * @param file name of the tensors' file, for messages
 * @throws UserError that says which tensor, site or shape differs
 */
export function checkAdapterTensors(
  tensors: TensorShape[],
  modelSites: SiteShape[],
  description: AdapterDescription,
  file: string,
): void {
  const { method, baseModel } = description;
  const sites = sitesOf(modelSites, description, file);
  const given = new Map(tensors.map(({ name, shape }) => [name, shape]));
  for (const spec of adapterTensors(sites, method)) {
    const shape = given.get(spec.name);
    if (!shape)
      throw new UserError(`${file} lacks ${spec.name} ${list(spec.shape)}: it is not whole. Export it again.`);
    const compact = compactShape(spec, description);
    if (list(shape) !== list(spec.shape) && list(shape) !== list(compact)) {
      throw new UserError(
        `${file} does not fit this model: ${spec.name} is ${list(shape)}, the model needs ${list(spec.shape)}. It was trained on ${baseModel.name}; open it on that model.`,
      );
    }
    given.delete(spec.name);
  }
  const [extra] = given.keys();
  if (extra !== undefined) {
    throw new UserError(
      `${file} does not fit this model: it holds ${extra}, for which the model has no place. It was trained on ${baseModel.name}; open it on that model.`,
    );
  }
}

/** @throws UserError where the model lacks what a file's adapter trained whole, or has it in another shape */
export function checkWholeTensors({ method, baseModel }: AdapterDescription, model: WholeTensor[], file: string): void {
  const known = new Map(model.map(({ name, shape }) => [name, list(shape)]));
  const other = method.whole?.find(({ name, shape }) => known.get(name) !== list(shape));
  if (!other) return;
  const theirs = known.get(other.name);
  throw new UserError(
    `${file} does not fit this model: it holds ${other.name} ${list(other.shape)}, and the model ${theirs ? `has ${theirs}` : 'has no such tensor'}. It was trained on ${baseModel.name}; open it on that model.`,
  );
}

/** The adapter in a file, on a model; its dropped heads are left out of the forward pass. Throws as `checkAdapterTensors`. */
export function openAdapter(
  description: AdapterDescription,
  tensors: NamedTensor[],
  modelSites: SiteShape[],
  file: string,
): Adapter {
  checkAdapterTensors(tensors, modelSites, description, file);
  const adapter = new Adapter(modelSites, description.method, 0);
  const specs = new Map(adapter.tensors.map((own) => [own.name, own]));
  adapter.import(tensors.map((tensor) => withDropped(tensor, specs.get(tensor.name)!, description)));
  adapter.drop({ heads: droppedHeads(description), renormalize: description.renormalize });
  return adapter;
}

export function droppedHeads({ heads }: AdapterDescription): Set<HeadName> {
  return new Set(Object.keys(heads).filter((name) => heads[name]!.dropped));
}

/** The tensors without the dropped heads' B: what a pruned adapter's file holds. */
export function withoutDropped(
  tensors: NamedTensor[],
  options: AdapterOptions,
  dropped: ReadonlySet<HeadName>,
): NamedTensor[] {
  return tensors.map((tensor) => {
    const site = siteOfB(tensor.name);
    if (site === undefined) return tensor;
    const [, out, rank] = tensor.shape as [number, number, number];
    const kept = stays(site, headsPerSite(options), dropped);
    const data = new Float32Array(kept.length * out * rank);
    kept.forEach((head, k) => {
      data.set(tensor.data.subarray(head * out * rank, (head + 1) * out * rank), k * out * rank);
    });
    return { name: tensor.name, shape: [kept.length, out, rank], data };
  });
}

/** The other way, without a model: every B with all its heads, zeros where one was left out. */
export function withZeros(tensors: NamedTensor[], description: AdapterDescription): NamedTensor[] {
  const heads = headsPerSite(description.method);
  return tensors.map((tensor) =>
    siteOfB(tensor.name) === undefined
      ? tensor
      : withDropped(tensor, { name: tensor.name, shape: [heads, ...tensor.shape.slice(1)] }, description),
  );
}

/** Zeros where a head was left out. */
function withDropped(
  tensor: NamedTensor,
  spec: Pick<TensorSpec, 'name' | 'shape'>,
  description: AdapterDescription,
): NamedTensor {
  if (list(tensor.shape) === list(spec.shape)) return tensor;
  const [heads, out, rank] = spec.shape as [number, number, number];
  const data = new Float32Array(heads * out * rank);
  stays(siteOfB(spec.name)!, heads, droppedHeads(description)).forEach((head, k) => {
    data.set(tensor.data.subarray(k * out * rank, (k + 1) * out * rank), head * out * rank);
  });
  return { name: spec.name, shape: spec.shape, data };
}

/** The adapted sites, and that adapter.json speaks of their heads. */
function sitesOf(modelSites: SiteShape[], { method, heads, baseModel }: AdapterDescription, file: string): SiteShape[] {
  let sites: SiteShape[];
  try {
    sites = adaptedSites(modelSites, method);
  } catch (error) {
    throw new UserError(
      `${file} does not fit this model: ${(error as Error).message} It was trained on ${baseModel.name}.`,
    );
  }
  const names = headNames(sites, method);
  const missing = names.find((name) => !(name in heads));
  const extra = Object.keys(heads).length > names.length;
  if (missing === undefined && !extra) return sites;
  const layers = blocksOf(sites);
  const theirs = new Set(Object.keys(heads).map((name) => readHeadName(name)?.block)).size;
  throw new UserError(
    theirs === layers
      ? `${file} does not fit its adapter.json: the heads named there are not the model's (${missing ?? 'some are too many'}). Export it again.`
      : `${file} does not fit this model: it adapts ${theirs} layers, the model has ${layers}. It was trained on ${baseModel.name}; open it on that model.`,
  );
}

function compactShape({ name, shape }: TensorSpec, description: AdapterDescription): number[] {
  const site = siteOfB(name);
  if (site === undefined) return shape;
  return [stays(site, shape[0]!, droppedHeads(description)).length, ...shape.slice(1)];
}

/** The site whose B a tensor is, by its name. */
function siteOfB(name: string): SiteId | undefined {
  const tensor = readSiteTensor(name);
  return tensor?.part === 'B' ? tensor : undefined;
}

const stays = (site: SiteId, heads: number, dropped: ReadonlySet<HeadName>) =>
  Array.from({ length: heads }, (_, head) => head).filter((head) => !dropped.has(headName({ ...site, head })));

const list = (shape: number[]) => `[${shape.join(', ')}]`;
