import { expect, it } from 'vitest';
import { questionOf } from '../bench/commonsense-data.ts';

it('questions of the commonsense sets are read with what may answer them, and other forms are none', () => {
  const choice =
    'Please choose the correct answer to the question: What is wet?\n\nAnswer1: Water. Answer2: Dry sand, of which Answer 1 is made. Answer3: A stone.\n\nAnswer format: answer1/answer2/answer3';
  expect(questionOf(choice, 'answer2')).toEqual({
    question: 'What is wet?',
    options: ['Water.', 'Dry sand, of which Answer 1 is made.', 'A stone.'],
    right: 1,
  });
  const yesOrNo =
    'Please answer the following question with true or false, question: is water wet?\n\nAnswer format: true/false';
  expect(questionOf(yesOrNo, 'true')).toEqual({ question: 'is water wet?', options: ['true', 'false'], right: 0 });
  // an answer that is none of the options; fewer options than there are names; no form at all
  expect(questionOf(yesOrNo, 'yes')).toBeUndefined();
  expect(questionOf(choice.replace('answer2/', ''), 'answer1')).toBeUndefined();
  expect(questionOf('What is 2 + 2?', '4')).toBeUndefined();
});
