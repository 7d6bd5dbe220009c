// The import directions of docs/contributors.md: doors -> studio -> exports -> trainer -> tasks -> recipe -> effilora, models, data -> engine.
const room = (name) => `^src-main/${name}/`;
const doors = '^src-main/(index|web|cli)\\.ts$|^src-main/(cli|electron|web)/';

/** `from` may not import any of `to`. */
const forbid = (name, from, to) => ({ name, severity: 'error', from: { path: from }, to: { path: to } });

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
    forbid(
      'engine-is-the-floor',
      room('engine'),
      ['effilora', 'models', 'data', 'recipe', 'tasks', 'trainer', 'exports', 'studio'].map(room).concat(doors),
    ),
    // Which engine runs is its own matter: whoever uses one knows what lies directly in engine/.
    forbid('engine-by-its-seam', '^src-main/(?!engine/)', ['^src-main/engine/[^/]+/']),
    forbid(
      'effilora-stands-alone',
      room('effilora'),
      ['models', 'data', 'recipe', 'tasks', 'trainer', 'exports', 'studio'].map(room).concat(doors),
    ),
    forbid(
      'models-stand-alone',
      room('models'),
      ['effilora', 'data', 'recipe', 'tasks', 'trainer', 'exports', 'studio'].map(room).concat(doors),
    ),
    forbid(
      'data-stands-alone',
      room('data'),
      ['effilora', 'recipe', 'tasks', 'trainer', 'exports', 'studio'].map(room).concat(doors),
    ),
    forbid('recipe-below-tasks', room('recipe'), ['tasks', 'trainer', 'exports', 'studio'].map(room).concat(doors)),
    forbid('tasks-below-trainer', room('tasks'), ['trainer', 'exports', 'studio'].map(room).concat(doors)),
    // A task's folder is known by name where models pick their task, and to nobody else; not even to another task.
    {
      name: 'tasks-by-their-seam',
      severity: 'error',
      from: { path: '^src-main/', pathNot: '^src-main/tasks/registry\\.ts$|^src-main/tasks/[^/]+/' },
      to: { path: '^src-main/tasks/[^/]+/' },
    },
    {
      name: 'tasks-apart',
      severity: 'error',
      from: { path: '^src-main/tasks/([^/]+)/' },
      to: { path: '^src-main/tasks/[^/]+/', pathNot: '^src-main/tasks/$1/' },
    },
    forbid('tasks-know-no-registry', '^src-main/tasks/[^/]+/', ['^src-main/tasks/registry\\.ts$']),
    forbid('trainer-below-studio', room('trainer'), ['studio', 'exports'].map(room).concat(doors)),
    forbid('exports-below-studio', room('exports'), [room('studio'), doors]),
    forbid('studio-below-doors', room('studio'), [doors]),
    forbid('effilora-knows-no-files', room('effilora'), [
      '^(node:)?(fs|path|child_process|os|net|http)(/|$)',
      'electron',
    ]),
    forbid('contract-imports-neither-side', '^src-preload/contract/', ['^src-main/', '^src-renderer/']),
    forbid('renderer-only-contract', '^src-renderer/', ['^src-main/']),
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
