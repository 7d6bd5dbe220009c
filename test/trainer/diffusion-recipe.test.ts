import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { diffusionTargets } from '../../src-main/recipe/diffusion.ts';
import { fitRecipe } from '../../src-main/recipe/kinds.ts';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import type { SiteShape } from '../../src-main/effilora/types.ts';

const read = (more: object) => parseRecipe(stringify({ model: 'm', dataset: 'd', ...more }), 'recipe.yaml');
const PAINTS = { makes: 'pictures', name: 'painter' } as const;
const WRITES = { makes: 'texts', name: 'writer' } as const;

describe('a recipe for a model that makes pictures', () => {
  it.each([
    [{ training: { sequenceLength: 512 } }, 'training.sequenceLength'],
    [{ training: { packing: true } }, 'training.packing'],
    [{ training: { loss: 'answer' } }, 'training.loss'],
    [{ training: { long: 'cut' } }, 'training.long'],
    [{ training: { rateOfConnector: 0.2 } }, 'training.rateOfConnector'],
    [{ training: { precision: 'int8' } }, 'training.precision'],
    [{ method: { targets: ['q_proj'] } }, 'method.targets'],
    [{ method: { vision: { tower: 'adapted' } } }, 'method.vision'],
    [{ method: { reducer: { policy: 'prefix', ratio: 0.5 } } }, 'method.reducer.policy'],
  ])('refuses %j by name, though it be the default', (written, key) => {
    expect(() => fitRecipe(read(written), PAINTS)).toThrow(key);
  });

  it('has learning rates of its own where none is written, and is read again as it was written', () => {
    const recipe = read({ method: { name: 'lora' } });
    expect(recipe.training.learningRate).toBe(5e-4);
    fitRecipe(recipe, PAINTS);
    expect(recipe.training.learningRate).toBe(2e-4);
    const again = parseRecipe(formatRecipe(recipe), 'recipe.yaml');
    fitRecipe(again, PAINTS);
    expect(again.training).toEqual(recipe.training);
    const given = read({ training: { learningRate: 0.01 } });
    fitRecipe(given, PAINTS);
    expect(given.training.learningRate).toBe(0.01);
  });

  it.each([{ method: { diffusion: {} } }, { training: { diffusion: { resolution: 512 } } }])(
    'is none for one that writes: %j',
    (written) => expect(() => fitRecipe(read(written), WRITES)).toThrow(/diffusion is for models that make pictures/),
  );

  it.each([
    [{ resolutin: 512 }, 'training.diffusion.resolutin" is not known; did you mean "resolution"'],
    [{ crop: 'middle' }, 'training.diffusion.crop can\'t be "middle"'],
    [{ sampling: { sampler: 'dpm' } }, 'sampler can\'t be "dpm"; did you mean'],
    [{ captionDropout: 2 }, "training.diffusion.captionDropout can't be 2"],
    [{ minSnr: true }, "training.diffusion.minSnr can't be true"],
  ])('says what is wrong with %j', (diffusion, said) => {
    expect(() => read({ training: { diffusion } })).toThrow(said);
  });
});

describe('sites of a model that makes pictures', () => {
  const site = (name: string, group = 'unet', kind: SiteShape['kind'] = 'linear') => ({ site: name, group, kind }) as SiteShape; // prettier-ignore
  const sites = [
    ...['unet.proj_in', 'unet.attn1.to_q', 'unet.attn2.to_k', 'unet.ff.net_0', 'unet.proj_out'].map((name) =>
      site(name),
    ),
    site('unet.conv1', 'unet', 'conv'),
    ...[site('text.q_proj', 'text'), site('text.fc1', 'text')],
  ];
  const targets = (named: string[], textEncoder: 'frozen' | 'adapted' = 'frozen') => diffusionTargets({ sites: named, textEncoder }, sites); // prettier-ignore

  it('are named by kind or by themselves', () => {
    expect(targets(['attention'])).toEqual(['unet.attn1.to_q', 'unet.attn2.to_k']);
    expect(targets(['feed-forward', 'projections'])).toEqual(['unet.proj_in', 'unet.ff.net_0', 'unet.proj_out']);
    expect(targets(['convolutions', 'unet.attn2.to_k'])).toEqual(['unet.attn2.to_k', 'unet.conv1']);
    expect(targets(['attention'], 'adapted')).toEqual(expect.arrayContaining(['text.q_proj', 'text.fc1']));
    expect(targets(['text.fc1'], 'adapted')).toEqual(['text.fc1']);
  });

  it('that are not there are refused, with the nearest that are', () => {
    expect(() => targets(['atention'])).toThrow('did you mean "attention"');
    expect(() => targets(['text.fc1'])).toThrow('textEncoder: adapted');
    expect(() => diffusionTargets({ sites: ['convolutions'], textEncoder: 'frozen' }, [sites[0]!])).toThrow('names convolutions, and this model has none'); // prettier-ignore
  });
});
