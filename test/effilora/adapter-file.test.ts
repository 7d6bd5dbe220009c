import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { checkAdapterTensors, openAdapter, withoutDropped } from '../../src-main/effilora/adapter-file.ts';
import {
  formatAdapterDescription,
  parseAdapterDescription,
  type AdapterDescription,
} from '../../src-main/effilora/adapter-schema.ts';
import { headNames } from '../../src-main/effilora/methods/structure.ts';
import { uniform } from '../../src-main/effilora/random.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { UserError } from '../../src-main/engine/types.ts';
import { options, sites } from './support.ts';

beforeAll(async () => {
  await openEngine('cpu');
});

function description(changes: Partial<AdapterDescription> = {}): AdapterDescription {
  const method = changes.method ?? options();
  const heads = headNames(sites, method).map((name) => [name, { importance: 0.5, frozenSince: null, dropped: false }]);
  return {
    method,
    baseModel: { name: 'tiny', architecture: 'llama', sha256: 'ab'.repeat(32) },
    datasets: [{ name: 'rows', sha256: 'cd'.repeat(32), examples: 7 }],
    recipe: { training: { steps: 3 } },
    metrics: { loss: 1.5, evalLoss: null },
    heads: Object.fromEntries(heads) as AdapterDescription['heads'],
    renormalize: false,
    ...changes,
  };
}

async function tensorsOf() {
  const adapter = new Adapter(sites, options(), 1);
  const tensors = (await adapter.export()).map((t) => ({ ...t, data: uniform(5, t.name, t.data.length, -1, 1) }));
  adapter.dispose();
  return tensors;
}

function output(adapter: Adapter): Float32Array {
  return tf.tidy(() => {
    const x = tf.tensor2d(uniform(3, 'x', 12, -1, 1), [2, 6]);
    const y = tf.zeros<tf.Rank.R2>([2, 4]);
    return adapter
      .apply({ block: 1, site: 'v_proj' }, x, y, adapter.parameters(1), () => {
        throw new Error('not DoRA');
      })
      .dataSync() as Float32Array;
  });
}

describe('the adapter file', () => {
  it('gives back what was put in', async () => {
    const tensors = await tensorsOf();
    const text = formatAdapterDescription(description());
    const adapter = openAdapter(parseAdapterDescription(text, 'adapter.json'), tensors, sites, 'adapter.safetensors');
    expect(await adapter.export()).toEqual(tensors);
    adapter.dispose();
  });

  it('a pruned adapter without its dropped heads does what the whole one does with them masked', async () => {
    const tensors = await tensorsOf();
    const pruned = description();
    for (const head of ['1.v_proj.1', '0.q_proj.0', '0.q_proj.1', '0.q_proj.2']) pruned.heads[head]!.dropped = true;
    for (const renormalize of [false, true]) {
      const whole = openAdapter({ ...pruned, renormalize }, tensors, sites, 'a.safetensors');
      const dropped = new Set(Object.keys(pruned.heads).filter((head) => pruned.heads[head]!.dropped));
      const small = withoutDropped(tensors, options(), dropped);
      expect(small.find(({ name }) => name === 'layers.1.v_proj.B')!.shape).toEqual([2, 4, 2]);
      expect(small.find(({ name }) => name === 'layers.0.q_proj.B')!.shape).toEqual([0, 6, 2]);
      const reopened = openAdapter({ ...pruned, renormalize }, small, sites, 'a.safetensors');
      expect(output(reopened)).toEqual(output(whole));
      whole.dispose();
      reopened.dispose();
    }
  });

  it('says in one sentence what differs where an adapter is not of this model', async () => {
    const tensors = await tensorsOf();
    const check = (model = sites, given = tensors, d = description()) => {
      const before = tf.memory().numTensors;
      let message = '';
      try {
        checkAdapterTensors(given, model, d, 'a.safetensors');
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        message = (error as Error).message;
      }
      expect(tf.memory().numTensors).toBe(before);
      return message;
    };
    expect(check()).toBe('');
    const wider = sites.map((site) => ({ ...site, inFeatures: site.inFeatures * 2 }));
    expect(check(wider)).toMatch(/lacks shared\.A\.12|does not fit this model/);
    const otherOut = sites.map((s) => ({ ...s, outFeatures: s.site === 'v_proj' ? 5 : s.outFeatures }));
    expect(check(otherOut)).toMatch(
      /layers\.0\.v_proj\.B is \[3, 4, 2\], the model needs \[3, 5, 2\].*trained on tiny/,
    );
    expect(check(sites.filter(({ block }) => block === 0))).toMatch(/adapts 2 layers, the model has 1/);
    expect(check(sites.map((s) => ({ ...s, site: `x_${s.site}` })))).toMatch(/no site q_proj.*trained on tiny/);
    expect(check(sites, tensors.slice(1))).toMatch(/a\.safetensors lacks shared\.A\.6 \[2, 6\]/);
    expect(check(sites, [...tensors, { name: 'layers.9.q_proj.B', shape: [1], data: new Float32Array(1) }])).toMatch(
      /holds layers\.9\.q_proj\.B/,
    );
  });

  it('refuses a damaged or newer description by field', () => {
    const parse = (changes: object) => () =>
      parseAdapterDescription(JSON.stringify({ formatVersion: 1, ...description(), ...changes }), 'adapter.json');
    expect(() => parseAdapterDescription('{"formatVersion": 1', 'adapter.json')).toThrow(/adapter\.json is not JSON/);
    expect(() => parseAdapterDescription('null', 'adapter.json')).toThrow(UserError);
    expect(parse({ formatVersion: 5 })).toThrow(/version 5.*update the studio/);
    expect(parse({ method: { ...options(), rank: 1e12 } })).toThrow(/field method\.rank/);
    expect(parse({ baseModel: { name: 'x', architecture: 'llama', sha256: 'no' } })).toThrow(/field baseModel\.sha256/);
  });
});
