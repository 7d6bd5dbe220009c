/** What a column of a table holds, counted over the rows that were looked at. */
export interface ColumnFacts {
  name: string;
  /** rows with something in it, and how many different things that is */
  filled: number;
  distinct: number;
  /** words of one value in the mean */
  words: number;
  /** share of its values that end as a question does, and that are a number or a date alone */
  questions: number;
  numbers: number;
  /** the first different values, shortened */
  examples: string[];
}

/** The columns of a question and its answer, or of one text; none where nothing looks like it. */
export interface ColumnGuess {
  question?: string;
  answer?: string;
  text?: string;
}

const QUESTION =
  /question|query|prompt|instruction|input|request|subject|frage|anfrage|betreff|kund|customer|user|pregunta|domanda|pergunta|vraag|fr[aå]ga|pytanie|вопрос|问题|質問|質问/iu;
const ANSWER =
  /answer|response|reply|output|completion|solution|agent|assistant|antwort|l[öo]sung|respuesta|r[ée]ponse|risposta|resposta|antwoord|svar|odpowied|ответ|回答|答案/iu;

/** A value that is a number, a date or a time, and no sentence. */
export const isNumberLike = (text: string): boolean =>
  /^[\s\d.,:/+%€$£-]+$|^\d{4}-\d\d-\d\d([T ][\d:.+Z-]+)?$/.test(text);

/**
 * Guesses which column is the question and which the answer: by name in some languages, then by content (questions end in a question
 * mark, answers are the longest texts); columns of numbers, of dates, of a few repeated values and blank ones are neither.
 */
export function guessColumns(columns: ColumnFacts[]): ColumnGuess {
  const texts = columns.filter(isText);
  if (texts.length === 0) return {};
  if (texts.length === 1) return { text: texts[0]!.name };
  const asks = (column: ColumnFacts) => Number(QUESTION.test(column.name)) * 2 + column.questions * 2;
  const answers = (column: ColumnFacts) => Number(ANSWER.test(column.name)) * 4 - asks(column);
  const longest = Math.max(...texts.map(({ words }) => words));
  const answer = best(texts, (column) => answers(column) + column.words / longest);
  const question = best(
    texts.filter((column) => column !== answer),
    (column) => asks(column) - answers(column) / 4,
  );
  return { question: question.name, answer: answer.name };
}

function isText({ name, filled, distinct, numbers }: ColumnFacts): boolean {
  if (filled === 0 || numbers > 0.8) return false;
  const isCategory = filled >= 20 && distinct <= Math.max(2, filled / 20);
  return !isCategory || QUESTION.test(name) || ANSWER.test(name);
}

/** The first with the highest score. */
function best(columns: ColumnFacts[], score: (column: ColumnFacts) => number): ColumnFacts {
  return columns.reduce((most, column) => (score(column) > score(most) ? column : most));
}
