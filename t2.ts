import { openModelFile, resolveModel } from './src-main/models/open.ts';
import fs from 'node:fs';
for (const p of [await resolveModel('smollm2-135m'), '/tmp/gemma/g.gguf']) {
console.time('open'); const m = await openModelFile(p); console.timeEnd('open');
console.log(m.config, m.tensors.length, await m.sha256());
console.time('w'); let s=0; for (const t of m.tensors.slice(0,10)) { const f=await m.readTensor(t.name); s+=f[0]!; } console.timeEnd('w'); console.log(s);
if (m.chatTemplate) console.log(m.chatTemplate.render([{role:'user',content:'Hi'}],{addGenerationPrompt:true}));
const corpus = JSON.parse(fs.readFileSync('/tmp/corpus.json','utf8')) as string[];
fs.writeFileSync('/tmp/ours-'+m.config.architecture+'.json', JSON.stringify(corpus.map(c=>m.tokenizer!.encode(c))));
let bad=0; for (const c of corpus) { const ids=m.tokenizer!.encode(c); const b=Buffer.concat(ids.map(i=>Buffer.from(m.tokenizer!.tokenBytes(i)))).toString(); if(b!==c) {bad++; console.log('bytes differ', JSON.stringify(c).slice(0,60), JSON.stringify(b).slice(0,60));} if (m.tokenizer!.decode(ids)!==c) console.log('decode differs', JSON.stringify(c).slice(0,50), JSON.stringify(m.tokenizer!.decode(ids)).slice(0,50)); }
}
