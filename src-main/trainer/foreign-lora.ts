import { headName, siteName, siteTensor } from '../effilora/names.ts';
import type { NamedTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { DECODER_SITES } from '../models/types.ts';
import type { StoredAdapter } from './stored-adapter.ts';

/** A low-rank change of one linear, y += scale * b a x, as another program keeps it. */
export interface ForeignSite {
  layer: number;
  site: string;
  /** [rank, in] */
  a: NamedTensor;
  /** [out, rank] */
  b: NamedTensor;
  scale: number;
  /** DoRA's [out] */
  magnitude?: NamedTensor;
}

/** What holds for the whole of a foreign LoRA. */
export interface ForeignLora {
  /** of most sites: shown to the user, and kept where all agree */
  rank: number;
  alpha: number;
  rsLora: boolean;
  dropout: number;
  baseModel: { name: string; architecture: string };
  /** only the sites that are there are meant: some layers or linears of the model are left alone on purpose */
  partial: boolean;
}

/** The ranks that adapter.json can say. */
const MOST_RANK = 8192;
/** Sites of a smaller rank are filled up with zeros; more numbers than this (8 GiB) are not made of a file. */
const MOST_NUMBERS = 2 ** 31;

/**
 * A foreign LoRA as an adapter of method `lora`. Ranks and scales that differ by site are said exactly by one: smaller ranks are
 * filled up with zeros, other scales are worked into B.
 * @param names of the model's sites, in its order
 * @throws UserError naming the file for shapes that can't be
 */
export function storedLora(
  sites: ForeignSite[],
  lora: ForeignLora,
  file: string,
  names: readonly string[] = DECODER_SITES,
): StoredAdapter {
  if (sites.length === 0) throw new UserError(`${file} adapts no linear of a decoder block; export the adapter again`);
  for (const site of sites) checkShapes(site, file);
  const dora = sites.some(({ magnitude }) => magnitude);
  const bare = sites.find(({ magnitude }) => dora && !magnitude);
  if (bare) throw new UserError(`${file} has a DoRA magnitude at some linears and none for ${siteName(idOf(bare))}`);
  const nominal = lora.alpha / (lora.rsLora ? Math.sqrt(lora.rank) : lora.rank);
  const rank = Math.max(...sites.map(rankOf));
  const isPlain = sites.every((site) => rankOf(site) === lora.rank && isClose(site.scale, nominal));
  const structure = isPlain
    ? { rank: lora.rank, alpha: lora.alpha, rsLora: lora.rsLora }
    : { rank, alpha: nominal * rank, rsLora: false };
  if (rank > MOST_RANK) throw new UserError(`${file} has a rank of ${rank}; at most ${MOST_RANK} is read`);
  const numbers = sites.reduce((sum, { a, b }) => sum + (a.shape[1]! + b.shape[0]!) * rank, 0);
  if (numbers > MOST_NUMBERS)
    throw new UserError(`${file} needs ${numbers} numbers with every linear at its largest rank, ${rank}: too many`);
  const targets = names.filter((name) => sites.some(({ site }) => site === name));
  return {
    tensors: sites.flatMap((site) => tensorsOf(site, rank, isPlain ? 1 : site.scale / nominal)),
    description: {
      method: {
        name: 'lora',
        heads: 1,
        ...structure,
        targets,
        share: 'global',
        router: 'site',
        dropout: lora.dropout,
        dora,
        ...(lora.partial && { sites: sites.map((site) => siteName(idOf(site))) }),
      },
      baseModel: { ...lora.baseModel, sha256: '0'.repeat(64) },
      datasets: [],
      recipe: {},
      metrics: {},
      heads: Object.fromEntries(
        sites.map((site) => [
          headName({ ...idOf(site), head: 0 }),
          { importance: 0, frozenSince: null, dropped: false },
        ]),
      ),
      renormalize: false,
    },
  };
}

const rankOf = ({ a }: ForeignSite) => a.shape[0]!;
const idOf = ({ layer, site }: ForeignSite) => ({ block: layer, site });
const isClose = (a: number, b: number) => Math.abs(a - b) <= 1e-9 * Math.abs(b);

function checkShapes({ a, b, magnitude }: ForeignSite, file: string): void {
  const fits = a.shape.length === 2 && b.shape.length === 2 && a.shape[0] === b.shape[1] && a.shape[0]! > 0;
  if (!fits) throw new UserError(`${file}: ${a.name} [${a.shape.join(', ')}] and ${b.name} [${b.shape.join(', ')}] don't fit together`); // prettier-ignore
  if (magnitude && magnitude.data.length !== b.shape[0])
    throw new UserError(
      `${file}: ${magnitude.name} has ${magnitude.data.length} numbers where ${b.shape[0]} are needed`,
    );
  for (const { name, data } of [a, b, ...(magnitude ? [magnitude] : [])])
    if (!data.every(Number.isFinite)) throw new UserError(`${file}: ${name} holds values that are no numbers`);
}

/** Names and shapes of docs/method.md, Adapter file: B has a head axis. */
function tensorsOf(site: ForeignSite, rank: number, factor: number): NamedTensor[] {
  const id = idOf(site);
  const own = rankOf(site);
  const [inFeatures, out] = [site.a.shape[1]!, site.b.shape[0]!];
  let { data: a } = site.a;
  let { data: b } = site.b;
  if (own !== rank) {
    a = new Float32Array(rank * inFeatures);
    a.set(site.a.data);
    b = new Float32Array(out * rank);
    for (let row = 0; row < out; row++) b.set(site.b.data.subarray(row * own, (row + 1) * own), row * rank);
  }
  if (factor !== 1) b = b.map((value) => value * factor);
  const tensors: NamedTensor[] = [
    { name: siteTensor(id, 'A'), shape: [rank, inFeatures], data: a },
    { name: siteTensor(id, 'B'), shape: [1, out, rank], data: b },
  ];
  if (site.magnitude) tensors.push({ name: siteTensor(id, 'magnitude'), shape: [out], data: site.magnitude.data });
  return tensors;
}
