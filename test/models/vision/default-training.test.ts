import path from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { packagesOf, runPython } from '../../support/python.ts';

const here = import.meta.dirname;
const training = path.join(here, '../../../resources/vision-default/training');
let pillow: string;

const told = async (script: string, ...more: string[]) =>
  JSON.parse(await runPython(path.join(here, script), [training, ...more], pillow)) as Record<string, unknown>;

beforeAll(async () => {
  pillow = await packagesOf('requirements-pillow.txt');
});

it('the default vision-language model trains on in the same numbers after a kill, and transformers opens what it writes', async () => {
  // A checkpoint a step and one at a stage's end: the fourth is of the second stage's first step.
  const { loss, transformers, ...rest } = await told('default_training.py', '4');
  expect(rest).toEqual({ resumedAt: [1, 1], different: [], unmoved: [], missing: [], unexpected: [] });
  expect(loss).toBeCloseTo(transformers as number, 4);
});

it('what its scenes say of themselves is what their pixels show, and what is asked has the true answer', async () => {
  const { said, plurals, ...rest } = await told('default_scenes.py');
  // A dog at the top left, a blue arrow at the top right, red stars in the middle and at the bottom right, on orange.
  const places = ['bottom right', 'top left', 'center', 'top right'];
  expect(rest).toEqual({ scenes: 60, wrong: [], same: true, unnamed: [], places });
  expect(said).toMatchObject({
    'Describe the picture.': 'A dog, two red stars and a blue arrow on an orange background.',
    'What color is the background? Answer in one word.': 'orange',
    'What color is the arrow?': 'The arrow is blue.',
    'What shape is blue?': 'The blue shape is an arrow.',
    'How many stars are there?': 'There are two stars.',
    'How many things are there? Answer in one word.': 'four',
    'Is there an arrow?': 'Yes, there is an arrow.',
    'Is there an octopus? Answer in one word.': 'no',
    'Where is the dog?': 'The dog is at the top left.',
    'What is at the center?': 'A red star.',
    'Is the dog right of the arrow?': 'No, the dog is left of the arrow.',
    'Which is larger, the dog or the arrow?': 'The dog is larger.',
  });
  // Of two stars none is "the star", and none of them has the only red.
  const asked = Object.keys(said as object).join('\n');
  expect(asked).not.toMatch(/the star|What shape is red/);
  expect(plurals).toEqual({
    ...{ mouse: 'mice', butterfly: 'butterflies', octopus: 'octopuses', potato: 'potatoes', wolf: 'wolves', fox: 'foxes' },
    ...{ key: 'keys', cherry: 'cherries', tomato: 'tomatoes', volcano: 'volcanoes', leaf: 'leaves' },
  }); // prettier-ignore
});
