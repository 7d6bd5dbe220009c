const QUESTIONS: Record<string, string> = {
  instruction: 'Which column is the question?',
  output: 'Which the answer?',
  input: 'Does one hold more that belongs to the question?',
  system: 'Does one say how the model should behave?',
  answer: 'Does one hold the right option alone, as a word or letter?',
  prompt: 'Which column is the beginning?',
  completion: 'Which says how it goes on?',
  messages: 'Which column holds the conversations?',
  text: 'Which column is the text?',
  input_ids: 'Which column holds the token numbers?',
  history: 'Does one hold what was said before the question?',
  tools: 'Does one list what the model may call upon, as a chat template has it?',
  documents: 'Does one hold texts to answer from?',
  weight: 'Does one say which rows count, with 0 for those that don’t?',
  labels: 'Does one hold what is to be learned, as numbers?',
};

/** What a person is asked to say which column serves as a field of a format. */
export function questionFor(field: string, needed: boolean): string {
  const question = QUESTIONS[field] ?? `Which column is “${field}”?`;
  return needed ? question : `${question} (not needed)`;
}
