/** What the example with pictures calls its run. */
export const PICTURES_EXAMPLE = 'First fine-tune on pictures';

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
};
