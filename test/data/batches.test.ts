import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { labelCount, packBatch, padBatch } from '../../src-main/data/batches.ts';
import { heterogeneity } from '../../src-main/data/heterogeneity.ts';
import { DataOrder, epochOrder, heldOutSplit } from '../../src-main/data/order.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { shiftedLabels } from '../../src-main/models/batch.ts';

const example = fc
  .array(fc.record({ id: fc.integer({ min: 0, max: 999 }), learned: fc.boolean() }), { minLength: 1, maxLength: 40 })
  .map((tokens) => ({
    inputIds: Int32Array.from(tokens, (t) => t.id),
    labels: Int32Array.from(tokens, (t) => (t.learned ? t.id : -100)),
  }));
const examples = fc.array(example, { minLength: 1, maxLength: 12 });

describe.each([
  ['packed', (list: Parameters<typeof padBatch>[0]) => packBatch(list, 64)],
  ['padded', padBatch],
])('%s batches', (_, make) => {
  it('hold every example whole, once, at positions from 0, in a segment of its own', () => {
    fc.assert(
      fc.property(examples, (list) => {
        const batch = make(list);
        const found: string[] = [];
        for (let t = 0; t < batch.inputIds.length; t++) {
          if (batch.segments[t]! < 0) continue;
          const fresh = t % batch.length === 0 || batch.segments[t] !== batch.segments[t - 1];
          if (fresh) found.push('');
          expect(batch.positions[t]).toBe(fresh ? 0 : batch.positions[t - 1]! + 1);
          found[found.length - 1] += `${batch.inputIds[t]}:${batch.labels[t]} `;
        }
        const given = list.map((e) => [...e.inputIds].map((id, i) => `${id}:${e.labels[i]} `).join(''));
        expect(found.sort()).toEqual(given.sort());
      }),
      { seed: 3 },
    );
  });

  it('predict exactly the labels that have a token before them', () => {
    fc.assert(
      fc.property(examples, (list) => {
        expect(shiftedLabels(make(list))).toHaveLength(labelCount(list));
      }),
      { seed: 4 },
    );
  });
});

describe('order', () => {
  it('an interrupted order goes on as the whole one', () => {
    const args = [[7, 5], [1, 1.5], 3, true] as const;
    const whole = new DataOrder([...args[0]], [...args[1]], args[2], args[3]).next(100);
    for (const cut of [1, 13, 14, 15, 40]) {
      const first = new DataOrder([...args[0]], [...args[1]], args[2], args[3]);
      const start = first.next(cut);
      const rest = new DataOrder([...args[0]], [...args[1]], args[2], args[3], first.state).next(100 - cut);
      expect([...start, ...rest]).toEqual(whole);
    }
  });

  it('weights say how often an example is seen in an epoch', () => {
    const order = epochOrder([4, 10], [2, 0.5], 0, 1, true);
    for (let i = 0; i < 4; i++) expect(order.filter((x) => x === i)).toHaveLength(2);
    const half = order.filter((x) => x >= 4);
    expect(new Set(half).size).toBe(5);
    expect(half).toHaveLength(5);
    const later = epochOrder([4, 10], [2, 0.5], 1, 1, true).filter((x) => x >= 4);
    expect([...later].sort()).not.toEqual([...half].sort());
  });

  it('the held-out part and the rest are all, without overlap, the same each time', () => {
    const all = Array.from({ length: 50 }, (_, i) => i);
    const { train, heldOut } = heldOutSplit(50, 0.2, 4);
    expect(heldOut).toHaveLength(10);
    expect([...train, ...heldOut].sort((a, b) => a - b)).toEqual(all);
    expect(heldOutSplit(50, 0.2, 4).heldOut).toEqual(heldOut);
    expect(heldOutSplit(50, 7, 4).heldOut).toHaveLength(7);
  });
});

describe('heterogeneity', () => {
  const topics = [
    ['river', 'boat', 'harbour', 'sail', 'tide', 'anchor'],
    ['oven', 'flour', 'butter', 'knead', 'crust', 'yeast'],
    ['violin', 'melody', 'chord', 'tempo', 'concert', 'bow'],
    ['planet', 'orbit', 'comet', 'telescope', 'moon', 'star'],
  ];
  it.each([2, 3, 4])('%i clear topics give that many heads', (count) => {
    const random = randomStream(1, 'topics');
    const texts = Array.from({ length: 40 * count }, (_, i) =>
      Array.from({ length: 12 }, () => topics[i % count]![Math.floor(random() * 6)]).join(' '),
    );
    expect(heterogeneity(texts).clusters).toBe(count);
  });
  it('texts that don’t differ need one', () => {
    expect(heterogeneity(new Array(20).fill('the same words each time')).clusters).toBe(1);
  });
});
