import { describe, expect, it } from 'vitest';
import { adapterTensors, headNames } from '../../src-main/effilora/methods/structure.ts';
import { headName, readHeadName, readSiteName, readSiteTensor, siteTensor } from '../../src-main/effilora/names.ts';
import { linear, options, sites } from './support.ts';

describe('names', () => {
  it('are read as they were made, also where a site has dots in its own', () => {
    for (const site of ['q_proj', 'attn1.to_out.0', 'mlp.B']) {
      const id = { block: 12, site, head: 3 };
      expect(readHeadName(headName(id))).toEqual(id);
      expect(readSiteTensor(siteTensor(id, 'B'))).toEqual({ block: 12, site, part: 'B' });
    }
    expect(headName({ block: 0, site: 'q_proj', head: 2 })).toBe('0.q_proj.2');
    expect(readSiteName('7.v_proj')).toEqual({ block: 7, site: 'v_proj' });
  });

  it.each(['', 'q_proj', '0.q_proj', 'a.q_proj.0', '0.q_proj.x', '0..', '-1.q_proj.0'])('are none: %j', (name) => {
    expect(readHeadName(name)).toBeUndefined();
  });
});

describe('sites of several parts of a model', () => {
  const tower = [2, 3].map((block) => ({
    ...linear(block, 'q_proj'),
    group: 'vision',
    inFeatures: 6,
    outFeatures: 6,
  }));
  const namesWith = (changes = {}) => adapterTensors([...sites, ...tower], options(changes)).map(({ name }) => name);

  it.each([
    [{}, ['shared.A.6', 'shared.A.8', 'shared.A.vision.6']],
    [{ share: 'module' }, ['shared.A.q_proj', 'shared.A.v_proj', 'shared.A.down_proj', 'shared.A.vision.q_proj']],
  ])('share A inside a part, never across: %j', (changes, shared) => {
    expect(namesWith(changes).filter((name) => name.startsWith('shared.'))).toEqual(shared);
  });

  it('have heads by block, site and head', () => {
    expect(headNames(tower, options({ heads: 2 }))).toEqual(['2.q_proj.0', '2.q_proj.1', '3.q_proj.0', '3.q_proj.1']);
  });

  it.each([
    [{}, ['shared.A.6', 'shared.A.8', 'shared.A.vision.2x2.3', 'shared.A.vision.12'], 'layers.5.conv.router'],
    [
      { router: 'layer' },
      ['shared.A.6', 'shared.A.8', 'shared.A.vision.2x2.3', 'shared.A.vision.12'],
      'layers.5.vision.router.2x2.3',
    ],
  ] as const)('share no A between filters and linears that see as many numbers: %j', (changes, shared, router) => {
    const more = [
      { ...tower[0]!, block: 5, path: 'vision.conv', site: 'conv', kind: 'conv' as const, kernel: 2, inFeatures: 12 },
      { ...tower[0]!, block: 5, path: 'vision.wide', site: 'wide', inFeatures: 12 },
    ];
    const language = sites.filter(({ group }) => group === 'language');
    const chosen = options({ targets: [...new Set([...language, ...more].map(({ site }) => site))], ...changes });
    const names = adapterTensors([...language, ...more], chosen).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('shared.'))).toEqual(shared);
    expect(names).toContain(router);
  });
});
