import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['node_modules', 'out', 'dist'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      'max-lines': ['error', { max: 320, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  { files: ['test/**'], rules: { 'max-lines-per-function': 'off' } },
  {
    files: ['test/e2e/**', 'test/electron/**'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "CallExpression[callee.name='expect'] AwaitExpression > CallExpression > MemberExpression.callee[property.name=/^(count|isVisible|isHidden|isEnabled|isDisabled|isChecked|textContent|innerText|innerHTML|allTextContents|allInnerTexts|inputValue|getAttribute|boundingBox|evaluate|evaluateAll)$/]",
          message: 'The page may be a moment behind: await expect.poll(() => …) asks until it is so.',
        },
      ],
    },
  },
);
