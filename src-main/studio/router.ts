import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { UserError } from '../engine/types.ts';
import { acceptChangedData } from '../trainer/run-datasets.ts';
import { adapterCalls } from './calls/adapters.ts';
import { checkRecipe, checkReference } from './calls/check.ts';
import { draftCalls } from './calls/drafts.ts';
import { evaluationCalls } from './calls/evaluations.ts';
import { exportCalls } from './calls/exporting.ts';
import { inspectorCalls } from './calls/inspector.ts';
import { jobCalls } from './calls/jobs.ts';
import { os, stream } from './calls/os.ts';
import { playgroundCalls } from './calls/playground.ts';
import { servingCalls } from './calls/serving.ts';
import { Drafts } from './drafts.ts';
import { guessedReading } from './datasets/guessed-reading.ts';
import { captionCalls } from './calls/captions.ts';
import { tableCalls } from './calls/tables.ts';
import { storageCalls } from './calls/storage.ts';
import { choicesOf } from './hub/choices.ts';
import { checkMachine } from './doctor/check.ts';
import { browse, folderSize, machineStatus } from './machine.ts';
import { allRecords } from './runs/files.ts';
import { watchList } from './runs/watch-list.ts';
import { watchRun } from './runs/watch.ts';
import { provenEngines } from './prove.ts';
import { installEngine } from './work/install.ts';
import type { Studio } from './studio.ts';
import type { MetricsRecord } from '../../src-preload/contract/index.ts';
import { join } from 'node:path';

/** The contract, served from `studio`'s services. */
export function createRouter(studio: Studio) {
  return os.router({
    machine: machineCalls(studio),
    files: {
      recognise: os.files.recognise.handler(async ({ input }) =>
        studio.worker.call('recognise', { path: await studio.allowed.check(input.path) }),
      ),
      browse: os.files.browse.handler(({ input }) => browse(studio.allowed, input.path, input.show)),
    },
    models: modelCalls(studio),
    hub: hubCalls(studio),
    datasets: { ...datasetCalls(studio), ...tableCalls(studio), ...captionCalls(studio) },
    plans: {
      propose: os.plans.propose.handler(async ({ input, signal }) => {
        await checkReference(studio, input.model);
        for (const part of input.mix) await studio.allowed.check(part.path);
        return studio.worker.call('propose', input, { signal });
      }),
      toYaml: os.plans.toYaml.handler(({ input }) => ({ yaml: stringify(input.recipe) })),
    },
    runs: runCalls(studio),
    adapters: adapterCalls(studio),
    inspector: inspectorCalls(studio),
    playground: playgroundCalls(studio),
    evaluations: evaluationCalls(studio),
    exporting: exportCalls(studio),
    jobs: jobCalls(studio),
    serving: servingCalls(studio),
    settings: settingsCalls(studio),
    storage: storageCalls(studio),
    drafts: draftCalls(new Drafts(studio.settings)),
  });
}

function machineCalls(studio: Studio) {
  return {
    status: os.machine.status.handler(() => machineStatus(studio.dataFolder)),
    install: os.machine.install.handler(({ input, signal }) =>
      stream(installEngine(studio.worker, input.engine, signal)),
    ),
    engines: os.machine.engines.handler(({ input }) => provenEngines(studio.worker, studio.launch, input.refresh)),
    check: os.machine.check.handler(({ signal }) => stream(checkMachine(studio, signal))),
    storage: os.machine.storage.handler(() =>
      Promise.all(studio.storageFolders.map(async (part) => ({ ...part, ...(await folderSize(part.folder)) }))),
    ),
  };
}

function hubCalls({ hub, downloads }: Studio) {
  return {
    search: os.hub.search.handler(({ input }) => hub.search(input.kind, input.query)),
    choices: os.hub.choices.handler(async ({ input: { kind, repository } }) =>
      choicesOf(kind, await hub.files(kind, repository)),
    ),
    download: os.hub.download.handler(({ input }) => downloads.start(input)),
    cancel: os.hub.cancel.handler(({ input }) => {
      downloads.cancel(input.id);
      return {};
    }),
    watch: os.hub.watch.handler(({ signal }) => stream(downloads.watch(signal))),
  };
}

function modelCalls(studio: Studio) {
  return {
    list: os.models.list.handler(() => studio.models.list()),
    add: os.models.add.handler(async ({ input }) => {
      const path = await studio.allowed.check(input.path);
      return studio.models.add(path, await studio.worker.call('inspectModel', { reference: path }));
    }),
    remove: os.models.remove.handler(({ input }) => {
      studio.models.remove(input.id);
      return {};
    }),
  };
}

function datasetCalls(studio: Studio) {
  return {
    list: os.datasets.list.handler(() => studio.datasets.list()),
    add: os.datasets.add.handler(async ({ input, signal }) => {
      const path = await studio.allowed.check(input.path);
      // What can't be read is refused here, before it stands in any list.
      return studio.datasets.add(path, { reading: await guessedReading(studio.worker, path, input.config, signal) });
    }),
    configurations: os.datasets.configurations.handler(async ({ input, signal }) =>
      studio.worker.call('configurations', { path: await studio.allowed.check(input.path) }, { signal }),
    ),
    columns: os.datasets.columns.handler(async ({ input, signal }) =>
      studio.worker.call('columns', { ...input, path: await studio.allowed.check(input.path) }, { signal }),
    ),
    preview: os.datasets.preview.handler(async ({ input, signal }) => {
      await checkReference(studio, input.model);
      for (const part of input.mix) await studio.allowed.check(part.path);
      return studio.worker.call('preview', input, { signal });
    }),
  };
}

function runCalls(studio: Studio) {
  const { runs, queue } = studio;
  return {
    list: os.runs.list.handler(() => runs.summaries()),
    get: os.runs.get.handler(({ input }) => {
      const row = runs.row(input.id);
      const predicted = row.predicted && JSON.parse(row.predicted);
      return { run: runs.summary(row), recipe: JSON.parse(row.recipe), predicted, ratio: queue.ratio(input.id) };
    }),
    create: os.runs.create.handler(async ({ input }) => {
      await checkRecipe(studio, input.recipe);
      return runs.summary(await queue.create(input));
    }),
    resume: os.runs.resume.handler(async ({ input }) => {
      if (input.acceptChangedData) await acceptChangedData(runs.row(input.id).folder);
      return runs.summary(queue.resume(input.id));
    }),
    pause: os.runs.pause.handler(({ input }) => runs.summary(queue.pause(input.id))),
    stop: os.runs.stop.handler(async ({ input }) => runs.summary(await queue.stop(input.id))),
    end: os.runs.end.handler(({ input }) => runs.summary(queue.end(input.id))),
    setRatio: os.runs.setRatio.handler(({ input }) => runs.summary(queue.setRatio(input.id, input.ratio))),
    rename: os.runs.rename.handler(({ input }) => runs.summary(queue.change(input.id, { name: input.name }))),
    describe: os.runs.describe.handler(({ input: { id, notes, tags } }) =>
      runs.summary(
        queue.change(id, {
          ...(notes === undefined ? {} : { notes }),
          ...(tags === undefined ? {} : { tags: JSON.stringify([...new Set(tags)]) }),
        }),
      ),
    ),
    remove: os.runs.remove.handler(({ input }) => {
      const row = runs.row(input.id);
      if (row.status === 'running') throw new UserError(`"${row.name}" is running. Stop it before deleting it.`);
      const status = row.status === 'queued' ? 'paused' : row.status;
      queue.change(input.id, { trashed_at: Date.now(), status });
      return {};
    }),
    restore: os.runs.restore.handler(({ input }) => runs.summary(queue.change(input.id, { trashed_at: null }))),
    purge: os.runs.purge.handler(async ({ input }) => {
      await queue.purge(input.id);
      return {};
    }),
    reorder: os.runs.reorder.handler(({ input }) => {
      runs.reorder(input.ids);
      queue.changed();
      return {};
    }),
    picture: os.runs.picture.handler(async ({ input: { id, picture, whole } }) => {
      const bytes = await readFile(join(runs.row(id).folder, picture)).catch(() => {
        throw new UserError(`The picture ${picture} is not in the run’s folder any more.`);
      });
      const { thumbnail, ...size } = await studio.worker.call('thumbnail', { name: picture, bytes });
      return { ...size, url: whole ? `data:image/png;base64,${bytes.toString('base64')}` : thumbnail };
    }),
    metrics: os.runs.metrics.handler(({ input }) =>
      allRecords<MetricsRecord>(join(runs.row(input.id).folder, 'metrics.jsonl')),
    ),
    watch: os.runs.watch.handler(({ input, signal }) => stream(watchRun(runs, input.id, input.from, signal))),
    watchList: os.runs.watchList.handler(({ signal }) => stream(watchList(runs, queue, signal))),
  };
}

function settingsCalls(studio: Studio) {
  return {
    get: os.settings.get.handler(async () => ({
      ...studio.settings.values(),
      hasHubToken: (await studio.secret.read()) !== undefined,
      dataFolder: studio.dataFolder,
    })),
    set: os.settings.set.handler(({ input, context }) => {
      if (input.folders && !context.local)
        throw new UserError('The folders the studio may use can only be changed on the machine it runs on.');
      const missing = input.folders?.find((folder) => !existsSync(folder));
      if (missing !== undefined) throw new UserError(`There is no folder ${missing}. Check its spelling.`);
      return studio.settings.change(input);
    }),
    setHubToken: os.settings.setHubToken.handler(async ({ input, context }) => {
      if (!context.local)
        throw new UserError('The hub token is its owner’s: it can only be changed on the machine the studio runs on.');
      return { kept: await studio.secret.write(input.token) };
    }),
  };
}
