import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { isOfLanguage } from './methods/structure.ts';
import { headName, readHeadName } from './names.ts';

/**
 * `adapter.json`, beside `adapter.safetensors` (docs/method.md, Adapter file). Version 3 is written for adapters that are not of the
 * language model alone, version 4 for methods that came later: older studios can't put them on a model.
 */
const ADAPTER_FORMAT_VERSION = 4;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');

export const adapterOptionsSchema = z.object({
  name: z.enum(['lora', 'hydralora', 'effilora', 'adalora', 'vera']),
  rank: z.number().int().positive().max(8192),
  heads: z.number().int().positive().max(256),
  alpha: z.number().positive(),
  targets: z.array(z.string().min(1)).min(1),
  /** adapters from elsewhere that leave some layers or sites alone: the ones they adapt */
  sites: z
    .array(z.string().regex(/^\d{1,4}\.[\w.]+$/))
    .min(1)
    .max(10_000)
    .optional(),
  share: z.enum(['global', 'module']),
  router: z.enum(['site', 'layer']),
  dropout: z.number().min(0).lt(1),
  rsLora: z.boolean(),
  dora: z.boolean(),
  vera: z.object({ dInitial: z.number().positive() }).optional(),
  /** what of the model is trained whole */
  whole: z
    .array(
      z.object({
        name: z.string().min(1).max(200),
        shape: z
          .array(
            z
              .number()
              .int()
              .positive()
              .max(1 << 24),
          )
          .min(1)
          .max(2),
        group: z.string().min(1).max(100),
      }),
    )
    .min(1)
    .max(1000)
    .optional(),
});

const headFacts = z.object({
  importance: z.number().nonnegative(),
  /** the step after which it froze for good; null: active to the end */
  frozenSince: z.number().int().positive().nullable(),
  dropped: z.boolean(),
});

/** As many digits as names are read with. */
const count = z.number().int().nonnegative().max(999_999_999);

/** From version 2 on a head says its block, site and number. */
const headList = z
  .array(
    headFacts.extend({
      block: count,
      site: z.string().min(1),
      head: count,
    }),
  )
  .refine((heads) => new Set(heads.map(headName)).size === heads.length, 'names a head twice')
  .transform((heads) =>
    Object.fromEntries(heads.map(({ block, site, head, ...facts }) => [headName({ block, site, head }), facts])),
  );

/** In version 1 heads stood under their names. */
const headRecord = z.record(
  z.string().refine((name) => readHeadName(name) !== undefined),
  headFacts,
);

const described = z.object({
  method: adapterOptionsSchema,
  baseModel: z.object({ name: z.string(), architecture: z.string(), sha256 }),
  /** one entry a dataset of the mix */
  datasets: z.array(z.object({ name: z.string(), sha256, examples: z.number().int().nonnegative() })),
  /** complete: reproduces the run */
  recipe: z.record(z.string(), z.unknown()),
  /** final metrics, e.g. steps, loss, evalLoss */
  metrics: z.record(z.string(), z.number().nullable()),
  /** whether the softmax runs over the heads that stay, where some are dropped */
  renormalize: z.boolean(),
  /** what the model calls its blocks, where a number says little (a UNet's "down 0") */
  blocks: z.array(z.string().max(100)).max(10_000).optional(),
  /** of adapter.safetensors: tells that the two files were written together; nothing in older ones */
  tensorsSha256: sha256.optional(),
});

const versions = {
  1: described.extend({ heads: headRecord }),
  2: described.extend({ heads: headList }),
  3: described.extend({ heads: headList }),
  4: described.extend({ heads: headList }),
};

/** What an `adapter.json` of any version says; its heads by name. */
export type AdapterDescription = z.infer<(typeof versions)[1]>;

/** The content of an `adapter.json` that `parseAdapterDescription` reads back as this description. */
export function formatAdapterDescription(description: AdapterDescription): string {
  const heads = Object.entries(description.heads).map(([name, facts]) => ({ ...readHeadName(name)!, ...facts }));
  return JSON.stringify({ ...description, formatVersion: versionOf(description), heads }, null, 1);
}

/** The oldest version that says it. Sites of other parts than the language model have the part's name before them. */
const versionOf = ({ method }: Pick<AdapterDescription, 'method'>): number => {
  if (!['lora', 'hydralora', 'effilora'].includes(method.name)) return 4;
  return method.whole || !method.targets.every(isOfLanguage) ? 3 : 2;
};

/**
 * Checks an `adapter.json`.
 * @param text its content
 * @param file its name, for messages
 * @throws UserError naming the field
 */
export function parseAdapterDescription(text: string, file: string): AdapterDescription {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new UserError(`${file} is not JSON: it is damaged, or no adapter's description. Export the adapter again.`);
  }
  const version = (json as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === 'number' && version > ADAPTER_FORMAT_VERSION) {
    throw new UserError(
      `${file} has format version ${version}, this studio knows up to ${ADAPTER_FORMAT_VERSION}: update the studio.`,
    );
  }
  const schema = version === 1 || version === 2 || version === 3 || version === 4 ? versions[version] : undefined;
  if (!schema)
    throw new UserError(
      `${file}, field formatVersion: must be 1 to ${ADAPTER_FORMAT_VERSION}. Export the adapter again.`,
    );
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new UserError(`${file}, field ${path.join('.') || '(all)'}: ${message}. Export the adapter again.`);
}
