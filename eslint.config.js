import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['build/', 'dist/', 'coverage/', 'lab/build/', 'lab/image/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allow: [{ from: 'lib', name: 'BigInt' }] },
      ],
    },
  },
  {
    files: ['lib/**/*.ts'],
    rules: {
      // The checked value is what is to be used: 0 where -0 was given.
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'ExpressionStatement > CallExpression[callee.name=/^(integer|vp|vtl|sint|flag|connectionId)Argument$/]',
          message: 'Use what this returns: it is 0 where -0 was given.',
        },
      ],
    },
  },
  {
    // The classes of messages have the types of their fields from their layouts, whose getters defineFields() makes: tests
    // read every field of every layout.
    files: ['lib/abi/messages/**'],
    rules: {
      '@typescript-eslint/no-unsafe-declaration-merging': 'off',
      '@typescript-eslint/no-empty-object-type': [
        'error',
        { allowInterfaces: 'with-single-extends' },
      ],
    },
  },
);
