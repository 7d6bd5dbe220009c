/** What the examples with pictures call their runs. */
export const PICTURES_EXAMPLE = 'First fine-tune on pictures';
export const DRAWINGS_EXAMPLE = 'First drawing lessons';

/** Drafts that Home offers, by what the address says of them: models and datasets that come with the studio. */
export const EXAMPLES = {
  '1': {
    name: 'First fine-tune',
    model: 'smollm2-135m',
    dataset: 'example:train.jsonl',
    fixed: { 'training.steps': 60, 'training.sequenceLength': 128 },
  },
  pictures: {
    name: PICTURES_EXAMPLE,
    model: 'smollm2-135m-vision',
    dataset: 'example:train.csv',
    fixed: {
      'training.steps': 200,
      'training.batch': 16,
      'training.sequenceLength': 128,
      'training.learningRate': 0.002,
    },
  },
  drawings: {
    name: DRAWINGS_EXAMPLE,
    model: 'emoji-64',
    dataset: 'example:train',
    // As resources/line-drawings/recipe.yaml has them; the plan has the rest.
    fixed: {
      'method.diffusion.sites': ['attention', 'feed-forward', 'projections', 'convolutions'],
      'training.steps': 900,
      'training.batch': 8,
      'training.learningRate': 0.002,
      'training.clipNorm': 0.2,
      'training.evalEvery': 225,
      'training.diffusion.minSnr': false,
      'training.diffusion.times': 'logit-normal',
      'training.diffusion.sampling.guidance': 6,
    },
  },
};
