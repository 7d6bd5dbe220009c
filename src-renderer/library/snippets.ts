import type { Served } from '../../src-preload/contract/index.ts';

const QUESTION = 'Hello!';
/** What is asked of a model that sees, and the file it is asked about. */
const OF_PICTURE = 'What is in the picture?';
const PICTURE = 'picture.png';
const DATA_URL = 'data:image/png;base64,';

/** A word for a POSIX shell, whatever is in it. */
const shell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A call of the served model by curl, and one in Python with its standard library alone; `sees`: about a picture. */
export function snippetsOf(served: Served, model: string, sees = false): { curl: string; python: string } {
  const address = `${served.url.replace(/\/$/, '')}/chat/completions`;
  const asked = { address, token: served.token, model };
  return { curl: curlOf(asked, sees), python: pythonOf(asked, sees) };
}

interface Asked {
  address: string;
  token: string | null;
  model: string;
}

function curlOf({ address, token, model }: Asked, sees: boolean): string {
  const body = (content: unknown) => JSON.stringify({ model, messages: [{ role: 'user', content }] });
  const call = (data: string) =>
    [
      `curl ${shell(address)}`,
      `-H ${shell(`Authorization: Bearer ${token}`)}`,
      `-H ${shell('Content-Type: application/json')}`,
      `-d ${data}`,
    ].join(' \\\n  ');
  if (!sees) return call(shell(body(QUESTION)));
  // Through a pipe: a picture is longer than an argument may be.
  const mark = '<picture>';
  const parts = [
    { type: 'image_url', image_url: { url: `${DATA_URL}${mark}` } },
    { type: 'text', text: OF_PICTURE },
  ];
  const whole = body(parts);
  const at = whole.lastIndexOf(mark);
  const [before, after] = [whole.slice(0, at), whole.slice(at + mark.length)].map(shell);
  const json = `{ printf %s ${before}; base64 < ${PICTURE} | tr -d '\\n'; printf %s ${after}; }`;
  return `${json} |\n${call('@-')}`;
}

function pythonOf({ address, token, model }: Asked, sees: boolean): string {
  const text = JSON.stringify;
  const content = sees
    ? `[
        {"type": "image_url", "image_url": {"url": ${text(DATA_URL)} + picture}},
        {"type": "text", "text": ${text(OF_PICTURE)}},
    ]`
    : text(QUESTION);
  const picture = sees ? `\npicture = base64.b64encode(open(${text(PICTURE)}, "rb").read()).decode()` : '';
  return `import ${sees ? 'base64, ' : ''}json, urllib.request
${picture}
request = urllib.request.Request(
    ${text(address)},
    json.dumps({"model": ${text(model)}, "messages": [{"role": "user", "content": ${content}}]}).encode(),
    {"Authorization": ${text(`Bearer ${token}`)}, "Content-Type": "application/json"},
)
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
`;
}
