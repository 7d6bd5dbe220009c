import { readingOptions } from '../../data/reading-options.ts';
import { splitDataset } from '../../data/held-out.ts';
import { UserError } from '../../engine/types.ts';
import type { ModelFile } from '../../models/types.ts';
import { dataUrl, thumbnailOf } from '../../models/vision/pictures/decode.ts';
import { VisionLanguageModel, type PictureBatch } from '../../models/vision/vision-language.ts';
import type { Recipe } from '../../recipe/recipe.ts';
import { adapterOptions, methodOf } from '../../recipe/vision.ts';
import { optionsOf, writtenAnswerOf } from '../answers.ts';
import { datasetOptions, splitRunData } from '../run-data.ts';
import { HeldOutPrompts, type Asked } from '../held-out-prompts.ts';
import type { RunData, TextTask } from '../task.ts';
import { textCost, textHeld, textPlan } from '../text-plan.ts';
import { openPictureDataset, openPictureSample, type SeenExample } from './dataset.ts';
import { answersToTheLetter, batchOf, likeliestOption, logLikelihoods, meanLoss } from './evaluation.ts';
import { pictureObjective, type PictureTensors } from './objective.ts';
import { pictureFacts, seeingFacts } from './plan.ts';
import { pictureReading } from './reading.ts';

/** Longest side of a sample's picture as the run's files have it, pixels. */
const SAMPLE_SIDE = 192;

const ASKED: Asked<VisionLanguageModel, SeenExample> = {
  writes: (model) => model.language,
  seen: async (model, { ids, of }, adaptation) => model.seenIn(ids, await of.fed(), adaptation),
  told: async (example, step) => ({
    pictures: example.pictures,
    ...(step === 0 && { thumbnails: await thumbnailsOf(example) }),
  }),
};

const PLAN = textPlan({ model: seeingFacts, seen: pictureFacts });

/** The next token of texts with pictures, by a decoder behind a tower. */
export const visionLanguage: TextTask<SeenExample, PictureBatch, PictureTensors, VisionLanguageModel> = {
  unit: 'tokens',
  load: (file, format) => VisionLanguageModel.load(file, format),
  ...{ adapterOptions, methodOf, reading: readingOptions },
  examples: readPictures,
  dataset: async (source, index, file, options) =>
    openPictureDataset(source, index, options, await pictureReading(file, options)),
  sample: async (source, index, file, options) =>
    openPictureSample(source, index, options, await pictureReading(file, options)),
  async measure(source, file, options) {
    const dataset = await openPictureDataset(source, 0, options, await pictureReading(file, options));
    dataset.close();
    return dataset;
  },
  pictures: (example, most) => example.shown(most),
  batch: batchOf,
  objective: pictureObjective,
  evaluate: meanLoss,
  evaluated: (examples) => Array.from(examples, (example) => () => batchOf([example])),
  choices: {
    of: optionsOf,
    written: writtenAnswerOf,
    likelihoods: logLikelihoods,
    toTheLetter: answersToTheLetter,
    likeliest: (model, example, candidates, _, adaptation) => likeliestOption(model, example, candidates, adaptation),
  },
  samples: ({ tokenizer }, heldOut, { samples: count }) => new HeldOutPrompts(ASKED, tokenizer, heldOut, count),
  ...{ plan: PLAN, cost: textCost(PLAN), heldBytes: textHeld(PLAN) },
};

async function thumbnailsOf({ pictures, shown }: SeenExample): Promise<string[]> {
  const urls = [];
  for (const { name, bytes } of await shown(pictures.length))
    urls.push(dataUrl(await thumbnailOf(bytes, name, SAMPLE_SIDE)));
  return urls;
}

/** Reads and splits a recipe's datasets. @throws UserError */
async function readPictures(recipe: Recipe, file: ModelFile): Promise<RunData<SeenExample>> {
  if (recipe.training.long === 'cut')
    throw new UserError(
      'training.long is "cut", and a picture is never cut: of a model with pictures, examples that are too long are left out; remove training.long',
    );
  const options = datasetOptions(recipe, file);
  const reading = await pictureReading(file, options);
  return splitRunData(recipe, (source, index) =>
    splitDataset(source, recipe.training, (part) => openPictureDataset(part, index, options, reading)),
  );
}
