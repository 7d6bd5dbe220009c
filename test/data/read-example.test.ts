import { describe, expect, it } from 'vitest';
import { planColumns } from '../../src-main/data/columns.ts';
import { fieldText } from '../../src-main/data/field-text.ts';
import { parseJson } from '../../src-main/data/formats/json-values.ts';
import { readExample } from '../../src-main/data/read-example.ts';
import { chatTemplate } from '../../src-main/models/chat-template.ts';

/** A row of JSON as an example, its format recognised by its columns. */
function read(json: string, mapping?: Record<string, string>) {
  const fields = parseJson(json) as Record<string, unknown>;
  return readExample({ row: 1, fields }, planColumns(Object.keys(fields), 'x.jsonl', mapping));
}
const messages = (json: string, mapping?: Record<string, string>) => {
  const example = read(json, mapping);
  return typeof example === 'object' && example.kind === 'chat' ? example.messages : example;
};
const HELLO = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
];
const CALL = { type: 'function', function: { name: 'w', arguments: '{"c": 1}' } };

describe('chats', () => {
  it.each([
    ['messages', '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]}'],
    ['ShareGPT', '{"conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello"}]}'],
    ['JSON in a text, as CSV holds it', JSON.stringify({ messages: JSON.stringify(HELLO) })],
    ['absent fields as null', '{"messages":[{"role":"user","content":"Hi","from":null,"value":null,"tool_calls":null,"name":null},{"role":"assistant","content":"Hello","reasoning_content":null,"tool_calls":[],"weight":null}],"tools":null,"system":null}'], // prettier-ignore
    ['content in parts', '{"messages":[{"role":"user","content":[{"type":"text","text":"H"},{"type":"text","text":"i","image":null}]},{"role":"assistant","content":["Hello"]}]}'], // prettier-ignore
    ['other spellings of roles', '{"conversation":[{"role":"Prompter","content":"Hi"},{"role":"AI","content":"Hello"}]}'], // prettier-ignore
    ['TRL, both sides messages', '{"prompt":[{"role":"user","content":"Hi"}],"completion":[{"role":"assistant","content":"Hello"}]}'], // prettier-ignore
    ['Alpaca', '{"instruction":"Hi","input":"","output":"Hello","history":[]}'],
  ])('%s', (_, json) => {
    expect(messages(json)).toEqual(HELLO);
  });

  it('the system column comes first, and must not differ from a system message', () => {
    const chat = '"conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello"}]';
    const system = { role: 'system', content: 'Be brief.' };
    expect(messages(`{"system":"Be brief.",${chat}}`)).toEqual([system, ...HELLO]);
    const own = '"messages":[{"role":"system","content":"Be brief."},{"role":"assistant","content":"ok"}]';
    expect(messages(`{"system":"Be brief.",${own}}`)).toEqual([system, { role: 'assistant', content: 'ok' }]);
    expect(messages(`{"system":"Be long.",${own}}`)).toMatch(/two system prompts/);
  });

  it('history comes before the question', () => {
    expect(messages('{"instruction":"c","output":"d","system":"s","history":[["a","b"]]}')).toEqual([
      { role: 'system', content: 's' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'c' },
      { role: 'assistant', content: 'd' },
    ]);
    expect(messages('{"instruction":"c","output":"d","history":["a"]}')).toMatch(/history is not a list of \[question/);
  });

  it('of prompt and completion as messages the completion alone carries loss', () => {
    const given = [...HELLO, { role: 'user', content: 'And?' }];
    const json = JSON.stringify({ prompt: given, completion: [{ role: 'assistant', content: 'So.' }] });
    expect(messages(json)).toEqual([
      HELLO[0],
      { ...HELLO[1], weight: 0 },
      { role: 'user', content: 'And?' },
      { role: 'assistant', content: 'So.' },
    ]);
    expect(messages(JSON.stringify({ prompt: given, completion: 'So.' }))).toMatch(/one is a list of messages/);
  });

  it('a weight of 0 stays with its message, 1 says nothing, others are refused', () => {
    const of = (weight: string) =>
      messages(
        `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello","weight":${weight}}]}`,
      );
    expect(of('0')).toEqual([HELLO[0], { ...HELLO[1], weight: 0 }]);
    expect(of('1.0')).toEqual(HELLO);
    expect(of('0.5')).toMatch(/weight is 0\.5/);
  });

  it.each(['train', 'training', 'trainable', 'loss'])('"%s": false on a message leaves it unlearned, too', (name) => {
    const of = (said: string) =>
      messages(`{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello",${said}}]}`);
    expect(of(`"${name}":false`)).toEqual([HELLO[0], { ...HELLO[1], weight: 0 }]);
    expect(of(`"${name}":true`)).toEqual(HELLO);
    expect(of(`"${name}":false,"masked":true`)).toEqual([HELLO[0], { ...HELLO[1], weight: 0 }]);
    expect(of(`"${name}":true,"mask":1`)).toMatch(/one says that it is learned, and one that it is not/);
    expect(of(`"${name}":0.25`)).toMatch(`${name} is 0.25`);
  });

  it.each(['0', '0.0', '"0"', 'false'])('a row of the weight %s is left out, in every form', (weight) => {
    for (const form of [
      '"instruction":"Hi","output":"Hello"',
      '"prompt":"Hi","completion":"Hello"',
      '"text":"Hi"',
      `"messages":${JSON.stringify(HELLO)}`,
      '"input_ids":[1,2]',
    ])
      // prettier-ignore
      expect(read(`{${form},"weight":${weight}}`)).toMatch(/its weight is 0/);
  });

  it('a row of the weight 1 is as any other, and one of another weight says so', () => {
    for (const weight of ['1', '"1.0"', 'true', 'null', '""'])
      expect(messages(`{"instruction":"Hi","output":"Hello","weight":${weight}}`)).toEqual(HELLO);
    expect(messages('{"instruction":"Hi","output":"Hello","weight":0.5}')).toMatch(/its weight is 0\.5/);
  });

  it.each(['"image":"a.png"', '"images":["a.png"]', '"Image":{"bytes":"x"}', '"audio":"a.wav"', '"videos":["a.mp4"]'])(
    'an answer about %s is not learned without it',
    (media) => {
      for (const form of [
        '"question":"What?","answer":"Red"',
        `"conversations":${JSON.stringify(HELLO)}`,
        '"text":"Red"',
      ])
        // prettier-ignore
        expect(read(`{${form},${media}}`)).toMatch(/something to see or hear \(column "/);
    },
  );

  it('a row whose column of pictures is empty is text', () => {
    for (const media of ['"image":null', '"images":[]', '"image":""'])
      expect(messages(`{"instruction":"Hi","output":"Hello",${media}}`)).toEqual(HELLO);
  });

  it.each(['false', '0', '"False"', '"0"'])('a completion whose label is %s is not learned', (label) => {
    expect(read(`{"prompt":"Hi","completion":"Hello","label":${label}}`)).toMatch(/its label is false/);
  });

  it('tool calls, thoughts, tools and documents are passed on', () => {
    const calls = [CALL];
    const json = JSON.stringify({
      messages: [
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: null, reasoning_content: 'Hm.', tool_calls: calls },
        { role: 'tool', content: '3', name: 'w', tool_call_id: 'c1' },
        { role: 'assistant', content: '3 degrees' },
      ],
      tools: JSON.stringify([{ type: 'function', function: { name: 'w', parameters: { a: null } } }]),
      documents: [{ title: 't', text: 'x' }],
    });
    expect(read(json)).toEqual({
      kind: 'chat',
      row: 1,
      messages: [
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: '', reasoning_content: 'Hm.', tool_calls: calls },
        { role: 'tool', content: '3', name: 'w', tool_call_id: 'c1' },
        { role: 'assistant', content: '3 degrees' },
      ],
      tools: [{ type: 'function', function: { name: 'w', parameters: {} } }],
      documents: [{ title: 't', text: 'x' }],
    });
  });

  it('older ways to write a call are calls, too', () => {
    const call = { type: 'function', function: { name: 'w', arguments: { c: 1 } } };
    const before = '{"from":"human","value":"?"}';
    const after = '{"from":"observation","value":"3"},{"from":"gpt","value":"ok"}';
    const sharegpt = `{"conversations":[${before},{"from":"function_call","value":"{\\"name\\":\\"w\\",\\"arguments\\":{\\"c\\":1}}"},${after}],"tools":"[]"}`;
    expect(messages(sharegpt)).toMatchObject([{ role: 'user' }, { role: 'assistant', tool_calls: [call] }, { role: 'tool', content: '3' }, {}]); // prettier-ignore
    const openai =
      '{"messages":[{"role":"assistant","content":null,"function_call":{"name":"w","arguments":{"c":1}}}]}';
    expect(messages(openai)).toMatchObject([{ tool_calls: [call] }]);
    expect(messages(sharegpt.replace('{\\"name', '[\\"name'))).toMatch(/not JSON with name and arguments/);
  });

  it.each([
    ['{"messages":[{"role":"judge","content":"x"}]}', /the role "judge" is not known/],
    [
      '{"messages":[{"role":"user","content":null},{"role":"assistant","content":"x"}]}',
      /"user" has no content \(null/,
    ],
    ['{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null}]}', /neither content nor tool calls \(null/], // prettier-ignore
    ['{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":" "}]}', /assistant’s message is empty/],
    ['{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]}]}', /part of the kind "image_url"/],
    ['{"messages":[{"role":"user","content":"x"}]}', /no message is the assistant/],
    ['{"messages":"[{\'role\': \'user\'}]"}', /messages is not a list of messages/],
    ['{"messages":[{"role":"assistant","content":"x"}],"tools":"x"}', /tools is not a list/],
    ['{"prompt":"a","completion":"b","label":false}', /label is false/],
    ['{"prompt":"a","completion":"b","system":"c"}', /its system needs messages/],
    ['{"text":[{"role":"user","content":"x"}]}', /text is a list of messages.*messages=text/],
  ])('%s is refused by name', (json, reason) => {
    expect(read(json)).toMatch(reason);
  });

  it('preferences are named, and their better answers learned where the user says so', () => {
    const rows = '{"prompt":[{"role":"user","content":"Hi"}],"chosen":[{"role":"assistant","content":"Hello"}],"rejected":[{"role":"assistant","content":"No"}]}'; // prettier-ignore
    expect(() => read(rows)).toThrow(/x\.jsonl holds preferences.*completion=chosen/);
    expect(messages(rows, { completion: 'chosen' })).toEqual(HELLO);
    const whole = JSON.stringify({ chosen: HELLO, rejected: HELLO });
    expect(() => read(whole)).toThrow(/messages=chosen/);
    expect(messages(whole, { messages: 'chosen' })).toEqual(HELLO);
    expect(read('{"prompt":"a","chosen":"b","rejected":"c"}', { completion: 'chosen' })).toMatchObject({ completion: 'b' }); // prettier-ignore
  });

  it('numbers in tools reach the template as Python’s json gives them', () => {
    const chat = read(
      '{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"tools":[{"a":12345678901234567890,"b":3.0,"c":1.10,"d":1e3,"e":7}]}',
    );
    if (typeof chat === 'string' || chat.kind !== 'chat') throw new Error('no chat');
    const template = chatTemplate('{{ tools | tojson }}', {}, 'test');
    // json.dumps(json.loads(…)) of the same text
    const theirs = '[{"a": 12345678901234567890, "b": 3.0, "c": 1.1, "d": 1000.0, "e": 7}]';
    expect(template.render(chat.messages, { tools: structuredClone(chat.tools) })).toBe(theirs);
  });
});

describe('values that are no text', () => {
  it.each([
    ['12345678901234567890', '12345678901234567890'],
    ['1.10', '1.10'],
    ['1e400', '1e400'],
    ['7', '7'],
    ['true', 'true'],
    ['null', ''],
    ['{"a":[1.50,{"b":"c"}],"d":9007199254740993}', '{"a":[1.50,{"b":"c"}],"d":9007199254740993}'],
    ['["x","y"]', '["x","y"]'],
  ])('%s is read with every digit', (json, text) => {
    expect(read(`{"prompt":"a","completion":${json}}`)).toEqual(text === '' ? 'the completion is empty' : expect.objectContaining({ completion: text })); // prettier-ignore
  });

  it('bytes and what is no number are refused by name', () => {
    expect(() => fieldText({ bytes: new Uint8Array(3) }, 'image')).toThrow(/image holds bytes/);
    expect(() => fieldText([NaN], 'score')).toThrow(/score holds NaN/);
  });
});

describe('tokens', () => {
  it('padding is left out, numbers of any spelling are read', () => {
    expect(read('{"input_ids":[0,5.0,6],"labels":[-100,5,6],"attention_mask":[0,1,1]}')).toEqual({
      ...{ kind: 'tokens', row: 1, inputIds: [5, 6], labels: [5, 6] },
    });
    expect(read('{"input_ids":"[5, 6]"}')).toMatchObject({ inputIds: [5, 6] });
    expect(read('{"input_ids":[5.5]}')).toMatch(/not a list of token ids/);
    expect(read('{"input_ids":[5],"attention_mask":[1,1]}')).toMatch(/attention_mask is not a list as long/);
  });
});
