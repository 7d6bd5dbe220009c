/** What a person may have to look up, in two sentences each; `TermHelp` adds a picture. */
export const TERMS = {
  head: {
    title: 'Head',
    text: 'A head is one of several small parts that a layer of the model gets to learn with. Each can take up another kind of question, and one that turns out not to matter can be frozen or left out.',
  },
  reducer: {
    title: 'Reducer',
    text: 'The Reducer measures which heads the answers hardly depend on, and freezes those: they stay as they are. The rest goes on learning, which does little harm, and saves time where whole layers are frozen.',
  },
  router: {
    title: 'Router',
    text: 'The router decides for every piece of text how much each head has a say. It learns that along with the heads.',
  },
  learned: {
    title: 'What a head does',
    text: 'Importance is how strongly the loss answered to a head while it trained (the smoothed mean of |B · dL/dB|), the share how much of a say the router gives it on these examples (mean omega). What is lost without it is estimated for all heads at once (−Σ B · dL/dB), and measured for the three largest and those you click.',
  },
  time: {
    title: 'Time step',
    text: 'A picture is painted out of nothing but noise, of which each step takes some away; the time step says how much is left. At every one the router decides anew (omega) how much each head has a say: first for the layout, at last for the details.',
  },
  tower: {
    title: 'Tower',
    text: 'The tower is the part of a model that looks at a picture, patch by patch. It has seen very many, and seldom has to learn more: only where yours are of a kind that it can’t know, such as scans or drawings, and then it takes more memory and time.',
  },
  connector: {
    title: 'Connector',
    text: 'The connector hands what the tower saw to the language model, as something that it can read among words. It is small, and where pictures are of a new kind it is the first part to let learn.',
  },
  'held-out': {
    title: 'Held out',
    text: 'Held-out examples are never trained on, so the model can’t know them by heart. The held-out loss says how far its answers to them are from the right ones: lower is better.',
  },
  rank: {
    title: 'Rank',
    text: 'The rank says how much room each head has for what it learns. More room takes more memory, and seldom helps with few examples.',
  },
} as const;

export type Term = keyof typeof TERMS;
