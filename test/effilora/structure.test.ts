import { describe, expect, it } from 'vitest';
import { adaptedSites, adapterTensors, headNames, parameterCounts } from '../../src-main/effilora/methods/structure.ts';
import { options, sites } from './support.ts';

const names = (changes: Parameters<typeof options>[0]) =>
  Object.fromEntries(
    adapterTensors(adaptedSites(sites, options(changes)), options(changes)).map((t) => [t.name, t.shape]),
  );

describe('the tensors of an adapter', () => {
  it('effilora shares one A per input width and has a B and a router a site', () => {
    expect(names({ targets: ['q_proj', 'down_proj'] })).toEqual({
      'shared.A.6': [2, 6],
      'shared.A.8': [2, 8],
      'layers.0.q_proj.B': [3, 6, 2],
      'layers.0.q_proj.router': [3, 6],
      'layers.0.down_proj.B': [3, 6, 2],
      'layers.0.down_proj.router': [3, 8],
      'layers.1.q_proj.B': [3, 6, 2],
      'layers.1.q_proj.router': [3, 6],
      'layers.1.down_proj.B': [3, 6, 2],
      'layers.1.down_proj.router': [3, 8],
    });
  });

  it('shares A per site name, and the router per layer and width, where asked', () => {
    expect(Object.keys(names({ targets: ['q_proj', 'v_proj'], share: 'module', router: 'layer' }))).toEqual([
      'shared.A.q_proj',
      'shared.A.v_proj',
      'layers.0.q_proj.B',
      'layers.0.router.6',
      'layers.0.v_proj.B',
      'layers.1.q_proj.B',
      'layers.1.router.6',
      'layers.1.v_proj.B',
    ]);
  });

  it('lora has A and one B a site, hydralora A a site with N heads', () => {
    expect(names({ name: 'lora', targets: ['v_proj'] })['layers.1.v_proj.B']).toEqual([1, 4, 2]);
    expect(Object.keys(names({ name: 'lora', targets: ['v_proj'], dora: true }))).toEqual(
      [0, 1].flatMap((i) => ['A', 'B', 'magnitude'].map((t) => `layers.${i}.v_proj.${t}`)),
    );
    expect(Object.keys(names({ name: 'hydralora', targets: ['v_proj'] }))).toEqual(
      [0, 1].flatMap((i) => ['A', 'B', 'router'].map((t) => `layers.${i}.v_proj.${t}`)),
    );
  });

  it('counts what is trained', () => {
    const effilora = parameterCounts(sites, options());
    // A: 2*6 + 2*8; B: 2 layers * 3 heads * 2 * (6 + 4 + 6); router: 2 layers * 3 * (6 + 6 + 8)
    expect(effilora).toEqual({ A: 28, B: 192, router: 120, all: 340, frozen: 0 });
    expect(parameterCounts(sites, options({ name: 'lora' }))).toMatchObject({ A: 80, B: 64, all: 144 });
  });

  it('vera has one A and one B of the widest site, never trained, and two vectors a site', () => {
    const vera = options({ name: 'vera', rank: 5 });
    expect(names(vera)).toMatchObject({
      'shared.A': [5, 8],
      'shared.B': [1, 6, 5],
      'layers.1.v_proj.lambda_d': [5],
      'layers.1.v_proj.lambda_b': [4],
    });
    // 2 layers of 3 sites with 5 rows each and 6 + 4 + 6 outputs; A 5*8 and B 6*5
    expect(parameterCounts(sites, vera)).toEqual({ lambda_d: 30, lambda_b: 32, all: 62, frozen: 70 });
    expect(headNames(sites, vera)).toHaveLength(6);
    const filter = { ...sites[0]!, kind: 'conv' as const, kernel: 3 };
    expect(() => adapterTensors([filter], vera)).toThrow(/vera adapts linears alone, and 0\.q_proj is a convolution/);
  });

  it('names heads by layer, site and head in the order that breaks ties', () => {
    expect(headNames(sites, options()).slice(2, 5)).toEqual(['0.q_proj.2', '0.v_proj.0', '0.v_proj.1']);
  });

  it('refuses a target the model does not have, by name', () => {
    expect(() => adaptedSites(sites, options({ targets: ['w_proj'] }))).toThrow(
      /no site w_proj.*q_proj, v_proj, down_proj/,
    );
  });
});
