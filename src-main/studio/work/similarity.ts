import type { Similarities } from '../../../src-preload/contract/index.ts';
import { withZeros } from '../../effilora/adapter-file.ts';
import { methodOf } from '../../effilora/methods/registry.ts';
import { headName, siteTensor } from '../../effilora/names.ts';
import { cosines } from '../../effilora/similarity.ts';
import type { NamedTensor } from '../../effilora/types.ts';
import { UserError } from '../../engine/types.ts';
import { readAdapter } from '../../trainer/adapter-folder.ts';

/** How alike the heads of a site are: cosine of their B, each as one vector. @throws UserError where the site isn't adapted */
export async function headSimilarity(request: { folder: string; layer: number; site: string }): Promise<Similarities> {
  const { description, tensors } = await readAdapter(request.folder);
  const site = { block: request.layer, site: request.site };
  const { headsIn } = methodOf(description.method);
  const b = withZeros(tensors, description).find(({ name }) => name === siteTensor(site, headsIn));
  if (!b) throw new UserError(`The adapter adapts no ${request.site} in layer ${request.layer}. Choose another site.`);
  const vectors = headsIn === 'B' ? slices(b) : [b.data];
  const names = vectors.map((_, head) => headName({ ...site, head }));
  return { rows: names, columns: names, values: cosines(vectors, vectors) };
}

/** How alike the rows of A of two adapters are. @throws UserError where they have no A of the same width in common */
export async function rowSimilarity(request: { folders: [string, string]; name?: string }) {
  const [one, other] = await Promise.all(request.folders.map(async (folder) => downProjections(folder)));
  const names = [...one!.keys()].filter((name) => other!.get(name)?.shape[1] === one!.get(name)!.shape[1]);
  const name = request.name && names.includes(request.name) ? request.name : names[0];
  if (name === undefined)
    throw new UserError('These two adapters have no A in common: they share it otherwise, or are for other models.');
  const [rows, columns] = [slices(one!.get(name)!), slices(other!.get(name)!)];
  const label = (_: unknown, row: number) => `row ${row}`;
  return { name, names, rows: rows.map(label), columns: columns.map(label), values: cosines(rows, columns) };
}

async function downProjections(folder: string): Promise<Map<string, NamedTensor>> {
  const { tensors } = await readAdapter(folder);
  const isA = (name: string) => /^shared\.A\.|\.A$/.test(name);
  return new Map(tensors.filter(({ name }) => isA(name)).map((tensor) => [tensor.name, tensor]));
}

/** The parts of a tensor along its first axis. */
function slices({ shape, data }: NamedTensor): Float32Array[] {
  const size = data.length / shape[0]!;
  return Array.from({ length: shape[0]! }, (_, at) => data.subarray(at * size, (at + 1) * size));
}
