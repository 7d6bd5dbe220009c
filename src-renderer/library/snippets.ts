import type { Served } from '../../src-preload/contract/index.ts';

const QUESTION = 'Hello!';

/** A word for a POSIX shell, whatever is in it. */
const shell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A call of the served model by curl, and one in Python with its standard library alone. */
export function snippetsOf({ url, token }: Served, model: string): { curl: string; python: string } {
  const body = { model, messages: [{ role: 'user', content: QUESTION }] };
  const address = `${url.replace(/\/$/, '')}/chat/completions`;
  const curl = [
    `curl ${shell(address)}`,
    `-H ${shell(`Authorization: Bearer ${token}`)}`,
    `-H ${shell('Content-Type: application/json')}`,
    `-d ${shell(JSON.stringify(body))}`,
  ].join(' \\\n  ');
  const python = `import json, urllib.request

request = urllib.request.Request(
    ${JSON.stringify(address)},
    json.dumps({"model": ${JSON.stringify(model)}, "messages": [{"role": "user", "content": ${JSON.stringify(QUESTION)}}]}).encode(),
    {"Authorization": ${JSON.stringify(`Bearer ${token}`)}, "Content-Type": "application/json"},
)
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
`;
  return { curl, python };
}
